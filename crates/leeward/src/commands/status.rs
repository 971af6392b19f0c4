//! `leeward status`

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
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
#[command(after_help = "Exit codes: 0 it serves; 1 it does not, or nobody answers; 2 there is no address to ask.\n\
    A health check names the address: a file that is broken at the moment says nothing about the edge that runs.")]
pub(crate) struct Args {
    /// The configuration, for the address of the admin listener.
    #[arg(long, default_value = "leeward.yaml", value_name = "FILE")]
    config: PathBuf,
    /// The admin listener, instead of the configuration's, which is not read then.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    address: Option<SocketAddr>,
}

/// 0: it serves, 1: it does not or nobody answers, 2: the configuration has no address to ask.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let address = reachable(args.address.map_or_else(|| configured(&args.config), Ok)?);
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

/// The admin listener that the configuration names.
fn configured(file: &Path) -> anyhow::Result<SocketAddr> {
    let loaded = leeward_config::load_to_run(file);
    if let Some(snapshot) = loaded.snapshot {
        return Ok(snapshot.admin.address);
    }
    for diagnostic in &loaded.diagnostics {
        say_error(diagnostic);
    }
    bail!("{}: not valid, see above", file.display())
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
