//! `leeward demo`

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context, bail};
use leeward_server::Running;
use leeward_server::life::{Signals, Stage};

use super::{say, say_error, start_logging};
use crate::demo::{Origin, script};

/// Start a small origin, its mirror and an edge on loopback, and say what to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of the edge on loopback; 0: any free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Serves until stopped.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let signals = Signals::start(Stage::default(), false)?;
    start_logging();
    let origin = Origin::start("origin").context("the demo's origin")?;
    let mirror = Origin::start("mirror").context("the demo's mirror")?;
    let folder = std::env::temp_dir().join(format!("leeward-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("leeward.yaml");
    let edge = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    std::fs::write(&file, script::configuration(edge, origin.address(), mirror.address()))?;
    let loaded = leeward_config::load(&file);
    for diagnostic in &loaded.diagnostics {
        say_error(diagnostic);
    }
    let Some(snapshot) = loaded.snapshot else { bail!("the demo's own configuration is not valid") };
    let control = origin.control();
    let ready = |running: &Running| {
        if let Some(edge) = running.listeners.first() {
            say(&script::instructions(*edge, running.admin, control, &file));
        }
    };
    let clean_up = move || drop(std::fs::remove_dir_all(&folder));
    match leeward_server::run(snapshot, file.clone(), signals, ready, clean_up.clone()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            clean_up();
            say_error(&format!("leeward: {error} (another port: --port 0)"));
            Ok(ExitCode::FAILURE)
        }
    }
}
