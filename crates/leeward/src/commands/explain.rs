//! `leeward explain`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use leeward_rules::Code;
use leeward_server::explain::{Explanation, Own, Question, explain};

use super::check::Format;
use super::{say, say_error};

/// Say what would be done with a request, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The URL as a client would type it, with http:// or https://.
    #[arg(value_parser = url)]
    url: http::Uri,
    /// The configuration.
    #[arg(long, default_value = "leeward.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Request method.
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// A header field of the request; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The client's address.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client_ip: IpAddr,
    /// The country the client is in, such as JP.
    #[arg(long, value_name = "CC", value_parser = country)]
    country: Option<Code>,
    /// When the request is made, such as 2026-01-31T12:00:00Z; now, when absent.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<SystemTime>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn url(text: &str) -> Result<http::Uri, String> {
    let wanted = || "a URL begins with http:// or https://, and has spaces and other than ASCII escaped".to_owned();
    let url: http::Uri = text.parse().map_err(|_| wanted())?;
    if matches!(url.scheme_str(), Some("http" | "https")) { Ok(url) } else { Err(wanted()) }
}

/// A point in time, RFC 3339.
pub(super) fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339_weak(text).map_err(|_| "a time is written 2026-01-31T12:00:00Z (RFC 3339)".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn country(text: &str) -> Result<Code, String> {
    let code = Code::new(text).filter(|_| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()));
    code.ok_or_else(|| "a country is two capital letters (ISO 3166-1)".to_owned())
}

/// Asks the phases of the very edge that would serve the request.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = leeward_config::load_to_run(&args.config);
    let Some(snapshot) = loaded.snapshot else {
        for diagnostic in &loaded.diagnostics {
            say_error(diagnostic);
        }
        bail!("{}: not valid, see above", args.config.display());
    };
    let question = Question {
        method: args.method.clone(),
        url: args.url.clone(),
        headers: args.headers.clone(),
        client_ip: args.client_ip,
        country: args.country,
        at: args.at.unwrap_or_else(SystemTime::now),
    };
    let explanation = explain(Arc::new(snapshot), &question).map_err(|error| anyhow!(error))?;
    match args.format {
        Format::Json => say(&serde_json::to_string_pretty(&explanation).context("JSON")?),
        Format::Text => say(&text(&explanation)),
    }
    Ok(ExitCode::SUCCESS)
}

/// A value in quotes; of a long list its beginning and its length.
fn shown(value: &str) -> String {
    const LONGEST: usize = 200;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}... ({} bytes)", value.get(..end).unwrap_or(""), value.len()),
        None => format!("{value:?}"),
    }
}

/// For people: one fact a line.
fn text(found: &Explanation) -> String {
    let mut out = vec![format!("url       {}", found.url)];
    let mut fact = |name: &str, value: &str| out.push(format!("{name:<10}{value}"));
    fact("site", found.site.as_deref().unwrap_or("none"));
    if let Some(path) = &found.path {
        fact("path", path);
    }
    if let Some(country) = &found.country {
        fact("country", country);
    }
    if let Some(rules) = &found.rules {
        for rule in &rules.rules {
            fact("rule", &format!("{} {}", rule.rule, if rule.applies { "applies" } else { "does not apply" }));
            for test in &rule.matches {
                let not = if test.negated { "not " } else { "" };
                fact(
                    "",
                    &format!("  {not}{} {}: {}", test.name, shown(&test.value), if test.holds { "yes" } else { "no" }),
                );
            }
        }
        for winner in &rules.winners {
            let header = winner.header.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            fact("in force", &format!("{}{header}, from rule {}", winner.behavior, winner.rule));
        }
    }
    if let Some(token) = found.token {
        fact("token", token);
    }
    if let Some(answer) = &found.answer {
        let Own { status, reason, location } = answer;
        let more = location.as_ref().map_or_else(|| format!(": {}", reason.about().trim()), |to| format!(", to {to}"));
        fact("answer", &format!("{status} {reason}{more}"));
    }
    if let Some(cache) = &found.cache {
        fact("cache", cache.key.as_ref().map_or("not used", |key| key));
    }
    if let Some(origin) = &found.origin {
        if origin.servers.is_empty() {
            fact("origin", &format!("{} has no server for this scheme: 502", origin.name));
        } else {
            let servers = origin.servers.join(", ");
            fact("origin", &format!("{} at {servers}: {} with Host {}", origin.name, origin.target, origin.host));
        }
    }
    for step in &found.plan {
        let after = step.after.as_ref().map(|after| format!(", after {after}")).unwrap_or_default();
        fact("plan", &format!("{}: {}{after}", step.way, step.to));
    }
    for way in &found.failover {
        let (first, last) = way.status;
        let statuses = if first == last { first.to_string() } else { format!("{first} to {last}") };
        fact("failover", &format!("{statuses}: {} {}", way.kind, way.url));
    }
    out.join("\n")
}
