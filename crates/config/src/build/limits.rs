//! `rate_limits`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use leeward_rules::{Conditions, Form, Severity};

use super::geo::{DATABASE, NO_DATABASE};
use super::sites::Hosts;
use crate::gather::{Found, Gathered};
use crate::ready::{LimitAction, LimitKey, OwnAnswer, RateLimit};
use crate::report::{At, Report};
use crate::tree::Step;
use crate::written::{self, LimitMode, Span};
use crate::{diagnostic, place};

/// Rate limits: what each counts takes about 3 MiB.
const MAX_LIMITS: usize = 64;
/// Characters of a limit's name, which is a metric label.
const MAX_NAME: usize = 64;
/// Times in which requests are counted, and in which clients are refused.
const TIMES: std::ops::RangeInclusive<Span> = Span::secs(1)..=Span::mins(60);
/// Requests of one limit.
const MAX_REQUESTS: u64 = 1_000_000_000;
/// Bytes of an answer of the operator's own.
const MAX_BODY: usize = 64 << 10;
/// Fields of it.
const MAX_HEADERS: usize = 32;
/// Fields that the edge writes itself.
const OWN: [&str; 8] = [
    "cache-control",
    "connection",
    "content-length",
    "keep-alive",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn limits(report: &Report, gathered: &Gathered, hosts: &Hosts, has_geo: bool) -> Vec<Arc<RateLimit>> {
    let mut first: HashMap<&str, &At> = HashMap::new();
    let mut limits = Vec::new();
    if let Some(found) = gathered.rate_limits.get(MAX_LIMITS) {
        report.error(&found.at, format!("{} rate limits are more than {MAX_LIMITS}", gathered.rate_limits.len()));
        return limits;
    }
    for Found { at, value } in &gathered.rate_limits {
        if let Some(name) = value.name.as_deref() {
            match first.get(name) {
                Some(other) => report
                    .error(&at.key("name"), format!("there is a rate limit `{name}` already"))
                    .hint(format!("the first one is at {}", report.mention(&other.key("name")))),
                None => {
                    first.insert(name, at);
                }
            }
        }
        limits.extend(limit(report, at, value, hosts, has_geo).map(Arc::new));
    }
    limits
}

fn limit(report: &Report, at: &At, written: &written::RateLimit, hosts: &Hosts, has_geo: bool) -> Option<RateLimit> {
    let name = name(report, at, written.name.as_ref());
    let site = written.site.as_ref().map(|site| site.trim_end_matches('.').to_ascii_lowercase());
    if let Some(site) = &site
        && !hosts.is_site(site)
    {
        report
            .error(&at.key("site"), format!("there is no site `{site}`"))
            .hint("a `host` of `sites`, as it is written there; without `site` the limit is for all of them");
    }
    let conditions = conditions(report, &at.key("matches"), &written.matches);
    if !has_geo && conditions.as_ref().is_some_and(Conditions::ask_place) {
        report.error(&at.key("matches"), NO_DATABASE).hint(DATABASE);
    }
    let key = key(report, &at.key("key"), &written.key);
    if !(1..=128).contains(&written.ipv6_prefix) {
        let bits = written.ipv6_prefix;
        report.error(&at.key("ipv6_prefix"), format!("`ipv6_prefix` is {bits}, not from 1 to 128"));
    }
    if written.requests.is_none() {
        report.missing(at, "requests").hint("how many in that time: `requests: 100`");
    }
    if let Some(requests) = written.requests.filter(|requests| !(1..=MAX_REQUESTS).contains(requests)) {
        let added =
            report.error(&at.key("requests"), format!("`requests` is {requests}, not from 1 to {MAX_REQUESTS}"));
        if requests == 0 {
            added.hint("a rule with `deny-access` refuses every request");
        }
    }
    if written.per.is_none() {
        report.missing(at, "per").hint("the time in which they are counted: `per: 10s`");
    }
    for (key, span) in [("per", written.per), ("penalty", Some(written.penalty))] {
        if let Some(span) = span.filter(|span| !TIMES.contains(span)) {
            report.error(&at.key(key), format!("`{key}` is {span}, not from {} to {}", TIMES.start(), TIMES.end()));
        }
    }
    let action = action(report, &at.key("action"), &written.action);
    let (requests, per, penalty) = (written.requests?, written.per?.0, written.penalty.0);
    let key = key?;
    let mut hasher = DefaultHasher::new();
    let matches = serde_json::Value::from(written.matches.clone()).to_string();
    (&name, &site, matches, &written.key, written.ipv6_prefix, requests, per, penalty).hash(&mut hasher);
    Some(RateLimit {
        name: name?,
        conditions: conditions?,
        key,
        ipv6_prefix: written.ipv6_prefix,
        requests,
        per,
        penalty,
        action: action?,
        enforce: written.mode == LimitMode::Enforce,
        counted_as: hasher.finish(),
        site,
    })
}

fn name(report: &Report, at: &At, written: Option<&String>) -> Option<String> {
    let Some(name) = written else {
        report.missing(at, "name").hint("its name in the log and in metrics: `name: logins`");
        return None;
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(allowed) {
        report
            .error(&at.key("name"), format!("`{name}` is not the name of a limit"))
            .hint(format!("1 to {MAX_NAME} letters, digits, `-`, `_` and `.`"));
    }
    Some(name.clone())
}

/// Reads matches as a policy has them, and says what is wrong at its place.
fn conditions(report: &Report, at: &At, written: &[serde_json::Value]) -> Option<Conditions> {
    let (conditions, problems) = Conditions::read(written, Form::Yaml);
    for problem in problems {
        let at = problem.path.into_iter().fold(at.clone(), |at, step| at.step(Step::from(step)));
        let part = if problem.message.starts_with("unknown key") { place::Part::Key } else { place::Part::Value };
        let severity = match problem.severity {
            Severity::Error => diagnostic::Severity::Error,
            Severity::Warning => diagnostic::Severity::Warning,
        };
        let added = report.add(&at, part, severity, problem.message);
        if let Some(hint) = problem.hint {
            added.hint(hint);
        }
    }
    conditions
}

fn key(report: &Report, at: &At, written: &str) -> Option<LimitKey> {
    match written {
        "none" => Some(LimitKey::None),
        "ip" => Some(LimitKey::Ip),
        "ip_and_user_agent" => Some(LimitKey::IpAndUserAgent),
        other => {
            let field = other.strip_prefix("header:").map(str::trim).filter(|name| is_field_name(name));
            if field.is_none() {
                report
                    .error(at, format!("`{other}` is no key"))
                    .hint("none | ip | ip_and_user_agent | header:NAME, such as `header:X-Api-Key`");
            }
            field.map(|name| LimitKey::Header(name.to_ascii_lowercase()))
        }
    }
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn action(report: &Report, at: &At, written: &written::LimitAction) -> Option<LimitAction> {
    let custom = !written.headers.is_empty() || written.body.is_some();
    if let Some(to) = &written.redirect {
        let others = [
            ("status", written.status.is_some()),
            ("retry_after", written.retry_after.is_some()),
            ("headers", !written.headers.is_empty()),
            ("body", written.body.is_some()),
        ];
        for (key, _) in others.iter().filter(|(_, given)| *given) {
            report.error_at_key(&at.key(key), format!("`{key}` has no meaning beside `redirect`"));
        }
        let absolute = ["https://", "http://", "/"].iter().any(|start| to.starts_with(start));
        if !absolute || !to.bytes().all(|b| b.is_ascii_graphic()) {
            report
                .error(&at.key("redirect"), format!("`{to}` is not a URL"))
                .hint("`https://www.example.com/slow-down.html`, or a path that begins with `/`");
        }
        return Some(LimitAction::Redirect(to.clone()));
    }
    let status = written.status.unwrap_or(503);
    if !custom {
        if !matches!(status, 503 | 429) {
            report
                .error(&at.key("status"), format!("`status` is {status}, not 503 or 429"))
                .hint("any other needs a `body` or `headers`");
        }
        let longest = Duration::from_secs(86_400);
        if let Some(span) = written.retry_after.filter(|span| span.0 > longest) {
            report.error(&at.key("retry_after"), format!("`retry_after` is {span}, more than a day"));
        }
        return Some(LimitAction::Refuse { status, retry_after: written.retry_after.map(|span| span.0) });
    }
    if written.retry_after.is_some() {
        report
            .error_at_key(&at.key("retry_after"), "`retry_after` has no meaning beside `headers` and `body`")
            .hint("`headers: { Retry-After: \"10\" }`");
    }
    if !matches!(status, 200 | 400..=599) {
        report.error(&at.key("status"), format!("`status` is {status}, not 200 or from 400 to 599"));
    }
    let headers = fields(report, &at.key("headers"), written);
    let body = body(report, at, written);
    Some(LimitAction::Custom(Arc::new(OwnAnswer { status, headers, body })))
}

fn fields(report: &Report, at: &At, written: &written::LimitAction) -> Vec<(String, String)> {
    if written.headers.len() > MAX_HEADERS {
        report.error(at, format!("{} fields are more than {MAX_HEADERS}", written.headers.len()));
    }
    for (name, value) in &written.headers {
        if !is_field_name(name) {
            report.error_at_key(&at.key(name), format!("`{name}` is not the name of a field"));
        } else if OWN.contains(&name.to_ascii_lowercase().as_str()) {
            report.error_at_key(&at.key(name), format!("`{name}` is written by the edge itself"));
        }
        if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            report.error(&at.key(name), format!("the value of `{name}` has characters that no field can have"));
        }
    }
    written.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn body(report: &Report, at: &At, written: &written::LimitAction) -> String {
    let body = written.body.clone().unwrap_or_default();
    if body.len() > MAX_BODY {
        report.error(&at.key("body"), format!("`body` has {} bytes, more than {MAX_BODY}", body.len()));
    }
    body
}
