//! What tells whether a server can be used: `unavailable`, `validation_path`, `health_check`.

use super::names;
use super::server::not_zero;
use crate::ready::{HealthCheck, Origin, Unavailable, Validation};
use crate::report::{At, Report};
use crate::written::{self, Span};

/// How much longer a server may be left alone each time.
const FACTORS: std::ops::RangeInclusive<f64> = 1.0..=10.0;
/// A first time beyond which an operator would have to wait for a server that is back.
const LONG: Span = Span::mins(5);
/// Failures after which a server is called unavailable.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=100;
/// Bytes of a URL.
const MAX_URL: usize = 2048;

pub(super) fn unavailable(report: &Report, at: &At, written: &written::Unavailable) -> Unavailable {
    not_zero(report, at, "first", written.first);
    if !FACTORS.contains(&written.factor) {
        report
            .error(
                &at.key("factor"),
                format!("`factor` is {}, not from {} to {}", written.factor, FACTORS.start(), FACTORS.end()),
            )
            .hint("1 leaves the server alone for the same time again and again");
    }
    if written.max < written.first {
        let (first, max) = (written.first, written.max);
        report
            .error(&at.key("max"), format!("`max` ({max}) is shorter than `first` ({first})"))
            .hint(format!("`max: {first}` or longer"));
    } else if written.first > LONG {
        report
            .warning(
                &at.key("first"),
                format!("one refused connection keeps a server out of use for {}", written.first),
            )
            .hint("a few seconds are enough: the time grows by `factor` while the server stays away");
    }
    Unavailable::from(written)
}

/// The URL of an object that every server of its scheme must have. The origin is otherwise complete.
pub(super) fn validation(report: &Report, at: &At, url: &str, origin: &Origin) -> Option<Validation> {
    let read = read(url)
        .map_err(|reason| {
            report
                .error(at, format!("`{url}` is not the URL of an object: {reason}"))
                .hint("such as `http://www.example.net/probe.png`");
        })
        .ok()?;
    let (asked, others, scheme, other) = match read.tls {
        true => (&origin.https, &origin.http, "https", "http"),
        false => (&origin.http, &origin.https, "http", "https"),
    };
    if asked.is_none() && others.is_some() {
        report
            .error(at, format!("`validation_path` is for `{scheme}` servers, and this origin has none"))
            .hint(format!("begin the URL with `{other}://`"));
    }
    let host = |authority: &str| names::authority(authority).ok().map(|(host, _)| host);
    if let Some(sent) = origin.host_header.as_deref()
        && host(sent).is_some()
        && host(sent) != host(&read.authority)
    {
        report
            .warning(
                at,
                format!("the host of `validation_path` is `{}`, and `host_header` is `{sent}`", read.authority),
            )
            .hint("servers that are asked for one host may lack what the other has: both should be the same");
    }
    Some(read)
}

fn read(url: &str) -> Result<Validation, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(format!("its scheme `{scheme}` is neither `http` nor `https`")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it has a user name".to_owned());
    }
    if authority.is_empty() {
        return Err("it has no host".to_owned());
    }
    names::authority(authority)?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    target(&path)?;
    Ok(Validation { url: url.to_owned(), tls, authority: authority.to_ascii_lowercase(), path })
}

/// Whether a path, with a query or without, can stand in a request.
fn target(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("it does not begin with `/`".to_owned());
    }
    if path.contains('#') {
        return Err("a fragment is not sent to a server".to_owned());
    }
    if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("spaces, control characters and other than ASCII are written as `%20` and so on".to_owned());
    }
    if path.len() > MAX_URL {
        return Err(format!("it is longer than {MAX_URL} characters"));
    }
    Ok(())
}

pub(super) fn health_check(report: &Report, at: &At, written: &written::HealthCheck) -> HealthCheck {
    if let Some(path) = &written.path
        && let Err(reason) = target(path)
    {
        let added = report.error(&at.key("path"), format!("`{path}` is not a path: {reason}"));
        if !path.starts_with('/') && !path.contains("://") {
            added.hint(format!("`/{path}`"));
        }
    }
    not_zero(report, at, "interval", written.interval);
    not_zero(report, at, "timeout", written.timeout);
    if written.timeout > written.interval && written.interval.0 > std::time::Duration::ZERO {
        let (timeout, interval) = (written.timeout, written.interval);
        report
            .error(&at.key("timeout"), format!("`timeout` ({timeout}) is longer than `interval` ({interval})"))
            .hint(format!("`timeout: {interval}` or shorter: one check ends before the next begins"));
    }
    if !FAILURES.contains(&written.failures) {
        let (failures, least, most) = (written.failures, FAILURES.start(), FAILURES.end());
        report.error(&at.key("failures"), format!("`failures` is {failures}, not from {least} to {most}"));
    }
    HealthCheck {
        path: written.path.clone(),
        interval: written.interval.0,
        timeout: written.timeout.0,
        failures: written.failures,
    }
}
