//! `leeward run`

use std::path::PathBuf;
use std::process::ExitCode;

use leeward_server::life::{Signals, Stage};

use super::{say_error, start_logging};

/// Serve.
#[derive(Debug, clap::Args)]
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
    let loaded = leeward_config::load(&args.config);
    for diagnostic in &loaded.diagnostics {
        say_error(diagnostic);
    }
    let Some(snapshot) = loaded.snapshot else {
        say_error(&format!("{}: not started, see above", args.config.display()));
        return Ok(ExitCode::FAILURE);
    };
    let served = leeward_server::run(snapshot, args.config, signals, |running| {
        for address in &running.listeners {
            log::info!("listening on {address}");
        }
        log::info!("admin on {}", running.admin);
    });
    match served {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            say_error(&format!("leeward: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
