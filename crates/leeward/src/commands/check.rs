//! `leeward check`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use leeward_config::Severity;

use super::say;

/// Check a configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Needs no network and no running edge. What passes here is what a reload takes.")]
pub(crate) struct Args {
    /// The configuration.
    #[arg(default_value = "leeward.yaml", value_name = "FILE")]
    file: PathBuf,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Warnings are errors too.
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// 0: valid, 1: not, 2: the file could not be read.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = leeward_server::load(&args.file);
    let count = |severity| loaded.diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match args.format {
        Format::Json => say(&serde_json::to_string_pretty(&loaded.diagnostics)?),
        Format::Text => {
            for diagnostic in &loaded.diagnostics {
                say(diagnostic);
            }
            say(&format!("{}: {}", args.file.display(), summary(errors, warnings)));
        }
    }
    Ok(match (loaded.looked, errors, warnings) {
        (false, ..) => ExitCode::from(2),
        (true, 0, 0) => ExitCode::SUCCESS,
        (true, 0, _) if !args.deny_warnings => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn summary(errors: usize, warnings: usize) -> String {
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "valid".to_owned(),
        (0, _) => format!("valid, {}", plural(warnings, "warning")),
        (_, 0) => plural(errors, "error"),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}
