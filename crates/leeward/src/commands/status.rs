//! `leeward status`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::running::{configured, get, reachable};
use super::{say, say_error};

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
    let configured = || configured(&args.config).map(|snapshot| snapshot.admin.address);
    let address = reachable(args.address.map_or_else(configured, Ok)?);
    // it needs no token
    match get(address, "/readyz", None) {
        Ok((_, body)) => {
            let word = body.trim();
            say(&word);
            Ok(if word == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            say_error(&format!("{address}: {error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
