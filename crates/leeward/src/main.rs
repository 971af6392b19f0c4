//! The `leeward` command.

mod commands;
mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Connections, log lines and cached bodies come and go on every worker; this allocator copes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A CDN edge server that keeps a site up when its origin is not.
#[derive(Debug, Parser)]
#[command(name = "leeward", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until a signal ends it; SIGHUP reloads the configuration.
    Run(commands::run::Args),
    /// Check a configuration: exit code 0 when it is valid, 1 when not, 2 when it cannot be read.
    Check(commands::check::Args),
    /// Say what would be done with a request, and why.
    Explain(commands::explain::Args),
    /// Ask the running edge whether it serves: exit code 0 when it does, 1 when not.
    Status(commands::status::Args),
    /// Say how the origin servers are; or which addresses they must let in; or ask each for its validation path.
    Origins(commands::origins::Args),
    /// Purge URLs, prefixes, hosts, tags or everything from the running edge's cache.
    Purge(commands::purge::Args),
    /// Make and read tokens: ectokens, and those of token-auth.
    Token(commands::token::Args),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Start a small origin, its mirror and an edge on loopback, and say what to try.
    Demo(commands::demo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => commands::run::run(args),
        Command::Check(args) => commands::check::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Origins(args) => commands::origins::run(&args),
        Command::Purge(args) => commands::purge::run(&args),
        Command::Token(args) => commands::token::run(&args),
        Command::Schema => commands::schema::run(),
        Command::Demo(args) => commands::demo::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            commands::say_error(&format!("leeward: {error:#}"));
            ExitCode::from(2)
        }
    }
}
