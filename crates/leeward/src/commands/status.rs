//! `leeward status`

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{say, say_error};

/// For the connection and for each read: a health check that hangs is no health check.
const PATIENCE: Duration = Duration::from_secs(2);
/// The answer is a word.
const MAX_ANSWER: u64 = 4 << 10;

/// Ask the running edge whether it serves.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration, for the address of the admin listener.
    #[arg(long, default_value = "leeward.yaml", value_name = "FILE")]
    config: PathBuf,
}

/// 0: it serves, 1: it does not or nobody answers, 2: the configuration has no address to ask.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = leeward_config::load(&args.config);
    let Some(snapshot) = loaded.snapshot else {
        for diagnostic in &loaded.diagnostics {
            say_error(diagnostic);
        }
        bail!("{}: not valid, see above", args.config.display());
    };
    let address = reachable(snapshot.admin.address);
    match ask(address) {
        Ok(word) => {
            say(&word);
            Ok(if word == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            say_error(&format!("{address}: {error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A listener on every address is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The body of `GET /readyz`, which needs no token.
fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("nobody answers")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).context("no answer in time")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    Ok(body.trim().to_owned())
}
