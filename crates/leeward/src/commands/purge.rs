//! `leeward purge`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use super::check::Format;
use super::running::{Ask, ask, configured, reachable};
use super::{say, say_error};

/// A purge waits for the disk.
const PATIENCE: Duration = Duration::from_secs(30);
const CONFIG: &str = "leeward.yaml";

const MORE: &str = "\
What is named is not served any more once the command ends with 0, in no variant, under both schemes, and not after a restart either. \
Options may be repeated and combined; all of it is one purge.

  --url https://www.example.com/a.jpg      this path whatever its query, by every address of the same object
  --url 'https://www.example.com/a?b=1'    this path with this query
  --url 'https://www.example.com/img/*'    everything below
  --prefix www.example.com/im              every path that begins so, letter for letter
  --tag product-7                          what the origin sent with this Surrogate-Key or Cache-Tag

Exit codes: 0 purged; 1 the edge refused, or nobody answered; 2 the command or the configuration is wrong.";

/// Purge from the running edge's cache.
#[derive(Debug, clap::Args)]
#[command(after_help = MORE)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["urls", "prefixes", "tags", "hosts", "all"])))]
pub(crate) struct Args {
    /// A URL; without a query it means every query, with `*` at its end everything that begins so.
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// A host and what the path begins with.
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,
    /// A tag of the origin's answers.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A host: everything that is served under it.
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Stale instead of gone: asked for again, but served while the origin cannot be reached.
    #[arg(long)]
    soft: bool,
    /// Also a host that no site has any more.
    #[arg(long)]
    force: bool,
    /// The configuration, for the admin listener and its token [default: leeward.yaml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The admin listener, instead of the configuration's. Without --config no token is sent.
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// As the help says.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let snapshot = match (&args.config, args.address) {
        (None, Some(_)) => None,
        (file, _) => Some(configured(&file.clone().unwrap_or_else(|| CONFIG.into()))?),
    };
    let token = snapshot.as_ref().and_then(|snapshot| snapshot.admin.token.as_ref()).map(|token| token.expose());
    let address = args.address.or(snapshot.as_ref().map(|snapshot| snapshot.admin.address));
    let address = reachable(address.context("no address to ask")?);
    match purge(address, token, &body(args)) {
        Ok(done) => {
            match args.format {
                Format::Json => say(&serde_json::to_string_pretty(&done)?),
                Format::Text => say(&text(&done)),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say_error(&format!("{address}: {error:#}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn purge(address: SocketAddr, token: Option<&[u8]>, body: &Value) -> anyhow::Result<Value> {
    let body = serde_json::to_vec(body)?;
    let (status, answer) = ask(address, &Ask { path: "/v1/purge", token, body: Some(&body), patience: PATIENCE })?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("status {status} and no JSON"))?;
    if status == 200 {
        return Ok(answer);
    }
    let error = answer.get("error").and_then(Value::as_str).unwrap_or("no reason given");
    let hint = if status == 401 && token.is_none() { "; --config names the file that has it" } else { "" };
    bail!("status {status}: {error}{hint}")
}

fn body(args: &Args) -> Value {
    let mut body = Map::new();
    for (name, texts) in
        [("urls", &args.urls), ("prefixes", &args.prefixes), ("tags", &args.tags), ("hosts", &args.hosts)]
    {
        if !texts.is_empty() {
            body.insert(name.to_owned(), texts.clone().into());
        }
    }
    for (name, said) in [("all", args.all), ("soft", args.soft), ("force", args.force)] {
        if said {
            body.insert(name.to_owned(), true.into());
        }
    }
    body.into()
}

/// For people: what is purged, one a line, and the keys that it stands for.
fn text(done: &Value) -> String {
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let soft = done.get("soft").and_then(Value::as_bool).unwrap_or_default();
    let milliseconds = done.get("seconds").and_then(Value::as_f64).unwrap_or_default() * 1000.0;
    let purged = done.get("purged").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut out: Vec<String> = Vec::new();
    for one in purged {
        let (kind, what) = (of(one, "kind"), of(one, "what"));
        out.push(if kind == "all" { what } else { format!("{kind:<7} {what}") });
        let keys = one.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        out.extend(keys.map(|key| format!("{:<7} stored as {key}", "")));
    }
    let how = if soft { "stale from now on" } else { "gone from now on" };
    out.push(format!("{how}, {milliseconds:.1} ms"));
    out.join("\n")
}
