//! `leeward explain`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use leeward_rules::Code;
use leeward_server::explain::{Explanation, Question, explain};

use super::check::Format;
use super::{say, say_error};

/// Say what would be done with a request, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The URL as a client would type it.
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
    /// When the request is made, RFC 3339; now, when absent.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    at: Option<SystemTime>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
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
    let loaded = leeward_config::load(&args.config);
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

/// For people: one fact a line.
fn text(found: &Explanation) -> String {
    let mut out = vec![format!("url       {}", found.url)];
    let mut fact = |name: &str, value: &str| out.push(format!("{name:<10}{value}"));
    fact("site", found.site.as_deref().unwrap_or("none"));
    if let Some(path) = &found.path {
        fact("path", path);
    }
    if let Some(rules) = &found.rules {
        for rule in &rules.rules {
            fact("rule", &format!("{} {}", rule.rule, if rule.applies { "applies" } else { "does not apply" }));
            for test in &rule.matches {
                let not = if test.negated { "not " } else { "" };
                fact("", &format!("  {not}{} {:?}: {}", test.name, test.value, if test.holds { "yes" } else { "no" }));
            }
        }
        for winner in &rules.winners {
            let header = winner.header.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            fact("in force", &format!("{}{header}, from rule {}", winner.behavior, winner.rule));
        }
    }
    if let Some(answer) = &found.answer {
        let location = answer.location.as_ref().map(|to| format!(", to {to}")).unwrap_or_default();
        fact("answer", &format!("{} {}{location}", answer.status, answer.reason));
    }
    if let Some(cache) = &found.cache {
        fact("cache", cache.key.as_ref().map_or("not used", |key| key));
    }
    if let Some(origin) = &found.origin {
        let servers = origin.servers.join(", ");
        fact("origin", &format!("{} at {servers}: {} with Host {}", origin.name, origin.target, origin.host));
    }
    for way in &found.failover {
        let (first, last) = way.status;
        let statuses = if first == last { first.to_string() } else { format!("{first} to {last}") };
        fact("failover", &format!("{statuses}: {} {}", way.kind, way.url));
    }
    out.join("\n")
}
