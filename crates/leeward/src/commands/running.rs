//! Questions to the edge that runs, through its admin listener.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use leeward_config::Snapshot;

use super::say_error;

/// For the connection and for each read: a health check that hangs is no health check.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer, head included: far more than thousands of origin servers take.
const MAX_ANSWER: u64 = 64 << 20;

/// The configuration, said to be wrong on standard error when it is.
pub(crate) fn configured(file: &Path) -> anyhow::Result<Snapshot> {
    let loaded = leeward_config::load_to_run(file);
    if let Some(snapshot) = loaded.snapshot {
        return Ok(snapshot);
    }
    for diagnostic in &loaded.diagnostics {
        say_error(diagnostic);
    }
    bail!("{}: not valid, see above", file.display())
}

/// A listener on every address is asked on loopback.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A question to the admin listener.
pub(crate) struct Ask<'a> {
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a [u8]>,
    /// JSON to post; absent: GET.
    pub(crate) body: Option<&'a [u8]>,
    /// For each read.
    pub(crate) patience: Duration,
}

/// The status and the body of `GET path`.
pub(crate) fn get(address: SocketAddr, path: &str, token: Option<&[u8]>) -> anyhow::Result<(u16, String)> {
    ask(address, &Ask { path, token, body: None, patience: PATIENCE })
}

/// The status and the body of the answer.
pub(crate) fn ask(address: SocketAddr, ask: &Ask<'_>) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("nobody answers")?;
    stream.set_read_timeout(Some(ask.patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (method, path) = (if ask.body.is_some() { "POST" } else { "GET" }, ask.path);
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n").into_bytes();
    if let Some(token) = ask.token {
        request.extend_from_slice(b"Authorization: Bearer ");
        request.extend_from_slice(token);
        request.extend_from_slice(b"\r\n");
    }
    if let Some(body) = ask.body {
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        request.extend_from_slice(fields.as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(ask.body.unwrap_or_default());
    stream.write_all(&request)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).context("no answer in time")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("not an HTTP answer")?;
    Ok((status, body.to_owned()))
}
