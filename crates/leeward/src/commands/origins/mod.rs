//! `leeward origins`

mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use ipnet::IpNet;
use leeward_config::Snapshot;
use leeward_origin::Resolver;
use leeward_origin::health::{Verdict, validate};
use serde_json::{Value, json};

use super::check::Format;
use super::running::{configured, get, reachable};
use super::{say, say_error};

/// How a script tells the outcomes apart.
const MORE: &str = "\
Without an option: asks the running edge for the state of its origin servers.
Exit codes: 0 it answered; 1 it did not; 2 there is no address to ask.

--allow-list: the blocks of `addresses` that customers let through their firewalls, merged, IPv4 first. Needs no running edge.
Exit codes: 0; 1 when no block is configured; 2 when the configuration is not valid.

--validate: asks every address of every server of every origin that has `validation_path`, from here, without an edge.
Exit codes: 0 when all answer 200; 1 when one does not; 2 when there is nothing to ask or the configuration is not valid.";

/// Say how the origin servers are; or which addresses they must let in; or ask each for its validation path.
#[derive(Debug, clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Args {
    /// The configuration: for the admin listener and its token, for the addresses, for the validation paths.
    #[arg(long, default_value = "leeward.yaml", value_name = "FILE")]
    config: PathBuf,
    /// The admin listener, instead of the configuration's. The token is the configuration's all the same.
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["allow_list", "validate"])]
    address: Option<SocketAddr>,
    /// Print the addresses that origins must let in.
    #[arg(long, conflicts_with = "validate")]
    allow_list: bool,
    /// Ask every server for its origin's validation path.
    #[arg(long)]
    validate: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// As the help says.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let snapshot = configured(&args.config)?;
    if args.allow_list {
        return allow_list(&snapshot, args.format);
    }
    if args.validate {
        return validated(&snapshot, args.format);
    }
    let address = reachable(args.address.unwrap_or(snapshot.admin.address));
    let token = snapshot.admin.token.as_ref().map(|token| token.expose());
    match state(address, token) {
        Ok(state) => {
            match args.format {
                Format::Json => say(&serde_json::to_string_pretty(&state)?),
                Format::Text => say(&table::of(&state)),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say_error(&format!("{address}: {error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn state(address: SocketAddr, token: Option<&[u8]>) -> anyhow::Result<Value> {
    let (status, body) = get(address, "/v1/origins", token)?;
    let body: Value = serde_json::from_str(&body).with_context(|| format!("status {status} and no JSON"))?;
    if status == 200 {
        return Ok(body);
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or("no reason given");
    bail!("status {status}: {error}")
}

fn allow_list(snapshot: &Snapshot, format: Format) -> anyhow::Result<ExitCode> {
    let addresses = &snapshot.addresses;
    let written = [&addresses.edge, &addresses.gateways, &addresses.reserved];
    let blocks: Vec<IpNet> = written.into_iter().flatten().map(IpNet::trunc).collect();
    let merged = IpNet::aggregate(&blocks);
    if merged.is_empty() {
        // an empty list in a firewall shuts everyone out
        say_error(&"`addresses` names no block: nothing to let in");
        return Ok(ExitCode::FAILURE);
    }
    match format {
        Format::Json => {
            let blocks: Vec<String> = merged.iter().map(ToString::to_string).collect();
            say(&serde_json::to_string_pretty(&blocks)?);
        }
        Format::Text => merged.iter().for_each(say),
    }
    Ok(ExitCode::SUCCESS)
}

fn validated(snapshot: &Snapshot, format: Format) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let resolver = Resolver::new(&snapshot.dns);
    let mut found: Vec<Verdict> = Vec::new();
    runtime.block_on(validate(snapshot, &resolver, |verdict| {
        if format == Format::Text {
            say(&line(&verdict));
        }
        found.push(verdict);
    }));
    if found.is_empty() {
        bail!("no origin has a `validation_path`: nothing to ask");
    }
    if format == Format::Json {
        say(&serde_json::to_string_pretty(&found.iter().map(about).collect::<Vec<_>>())?);
    }
    Ok(if found.iter().all(Verdict::good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(verdict: &Verdict) -> String {
    let word = if verdict.good() { "ok    " } else { "failed" };
    let at = verdict.address.map(|address| format!(" at {address}")).unwrap_or_default();
    let result = verdict.result.as_ref().map_or_else(Clone::clone, ToString::to_string);
    let took = verdict.took.as_secs_f64();
    format!("{word} {} {}{at}: {result} in {took:.3} s", verdict.origin, verdict.server)
}

fn about(verdict: &Verdict) -> Value {
    json!({
        "origin": verdict.origin,
        "server": verdict.server.to_string(),
        "address": verdict.address,
        "ok": verdict.good(),
        "status": verdict.result.as_ref().ok(),
        "error": verdict.result.as_ref().err(),
        "seconds": verdict.took.as_secs_f64(),
    })
}
