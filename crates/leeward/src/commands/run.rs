//! `leeward run`

use std::path::PathBuf;
use std::process::ExitCode;

use leeward_server::Running;
use leeward_server::life::{Signals, Stage};

use super::{say_error, start_logging};

/// What an operator looks up here when something is wrong.
const MORE: &str = "\
Signals:
  HUP        read the configuration again: all of it or nothing, and the log says what is wrong
  TERM, INT  drain within server.grace_period, then end; the second one ends at once
  USR1       open the access log again

Messages go to standard error, the access log to standard output unless log.access says otherwise.
RUST_LOG sets how much is said: `warn,leeward=info` when it is absent, `warn,leeward=debug` for more.

Exit codes: 0 after a drain; 1 when the configuration is not valid, an address is taken, or a second signal came.";

/// Serve.
#[derive(Debug, clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Args {
    /// The configuration.
    #[arg(long, default_value = "leeward.yaml", value_name = "FILE")]
    config: PathBuf,
}

/// Serves until a signal ends it: 0 then, 1 when the configuration is not valid or a socket is taken.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // before anything else: until then SIGHUP kills the process
    let signals = Signals::start(Stage::default(), false)?;
    start_logging();
    let loaded = leeward_server::load_to_run(&args.config);
    for diagnostic in &loaded.diagnostics {
        say_error(diagnostic);
    }
    let Some(snapshot) = loaded.snapshot else {
        say_error(&format!("{}: not started, see above", args.config.display()));
        return Ok(ExitCode::FAILURE);
    };
    let ready = |running: &Running| {
        for address in &running.listeners {
            log::info!("listening on {address}");
        }
        log::info!("admin on {}", running.admin);
    };
    let served = leeward_server::run(snapshot, args.config, signals, ready, || {});
    match served {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            say_error(&format!("leeward: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
