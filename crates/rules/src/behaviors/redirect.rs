//! `url-redirect` and `rewrite`. Sources: policy-language 4.9, delivery-and-security 5.6.

use ::regex::bytes::Regex;

use super::destination::{Destination, path_and_query};
use super::fields::Fields;
use super::target::{Names, Target, parse as parse_target};
use crate::facts::{Facts, Scheme};
use crate::grammar::{Invalid, host, regex};
use crate::path::Path;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) status: u16,
    to: To,
}

#[derive(Debug)]
enum To {
    Target(Target),
    /// The path, searched by an expression, gives the URL.
    Pattern {
        source: Regex,
        destination: Destination,
        absolute: bool,
        keep_query: bool,
    },
}

const STATUSES: &[(&str, u16)] = &[("301", 301), ("302", 302), ("307", 307), ("308", 308)];

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<Plan> {
    let status = fields.kind(STATUSES);
    let to =
        if fields.has("source") || fields.has("destination") { parse_pattern(fields) } else { parse_parts(fields) };
    Some(Plan { status: status?, to: to? })
}

fn parse_parts(fields: &mut Fields<'_, '_>) -> Option<To> {
    let scheme =
        fields.word("protocol", &[("http", Some(Scheme::Http)), ("https", Some(Scheme::Https)), ("match", None)]);
    let names = Names { host: "hostname", path: "path", all_required: false };
    // A wrong protocol was one that changes the URL: nothing is said about a URL that stays the same.
    let target = parse_target(fields, &names, scheme.map_or(Some(Scheme::Https), Option::flatten), &[]);
    scheme.and(target).map(To::Target)
}

fn parse_pattern(fields: &mut Fields<'_, '_>) -> Option<To> {
    let source = fields.required("source", regex::compile);
    let keep_query = fields.flag("preserveQueryString");
    let text = fields.required_text("destination");
    let (source, text) = (source?, text?);
    let keep_query = keep_query?.unwrap_or(!text.contains('?'));
    let destination = fields.at("destination", |report| {
        if keep_query && text.contains('?') {
            report.error_hint(
                "preserveQueryString is true but the destination has a query of its own: queries are not merged",
                "set preserveQueryString to false",
            );
            return None;
        }
        let checked =
            if text.starts_with('/') { path_and_query(&text.replace('$', "_")).map(|_| ()) } else { absolute(&text) };
        report.take_one(checked.and_then(|()| Destination::parse(&text, &source)))
    })?;
    Some(To::Pattern { source, destination, absolute: !text.starts_with('/'), keep_query })
}

/// `https://www.example.com/...`, whose host holds no group: the client must not choose where it is sent.
fn absolute(text: &str) -> Result<(), Invalid> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest =
        rest.ok_or_else(|| Invalid::new(format!("{text:?} is not a URL")).hint("begin with '/', http:// or https://"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('$') {
        return Err(
            Invalid::new("the host of the destination comes from the request").hint("write one rule for each host")
        );
    }
    host::authority(authority)?;
    path_and_query(&format!("/{}", path.replace('$', "_"))).map(|_| ())
}

impl Plan {
    /// The absolute URL to go to; nothing when the expression does not match or the client is there already.
    pub(crate) fn location(&self, facts: &Facts<'_>) -> Option<String> {
        let location = match &self.to {
            To::Target(target) => target.url(facts).to_string(),
            To::Pattern { source, destination, absolute, keep_query } => {
                let captures = source.captures(facts.path.as_str().as_bytes())?;
                let mut url = destination.expand(&captures);
                if !absolute {
                    // Absolute, as a relative `//name/...` would lead to another host.
                    url.insert_str(0, &format!("{}://{}", facts.scheme.as_str(), facts.authority));
                }
                match facts.query.filter(|_| *keep_query) {
                    Some(query) => format!("{url}?{query}"),
                    None => url,
                }
            }
        };
        (!is_request_itself(&location, facts)).then_some(location)
    }
}

/// A redirect to the very URL of the request never ends.
fn is_request_itself(location: &str, facts: &Facts<'_>) -> bool {
    let rest = location
        .strip_prefix(facts.scheme.as_str())
        .and_then(|rest| rest.strip_prefix("://"))
        .and_then(|rest| rest.strip_prefix(facts.authority));
    let rest = rest.and_then(|rest| rest.strip_prefix(facts.path.as_str()));
    match (rest, facts.query) {
        (Some(rest), None) => rest.is_empty(),
        (Some(rest), Some(query)) => rest.strip_prefix('?') == Some(query),
        (None, _) => false,
    }
}

/// Another path for cache and origin; the query stays.
#[derive(Debug)]
pub(crate) struct Rewrite {
    source: Regex,
    destination: Destination,
}

pub(super) fn parse_rewrite(fields: &mut Fields<'_, '_>) -> Option<Rewrite> {
    let source = fields.required("source", regex::compile);
    let text = fields.required_text("destination");
    let (source, text) = (source?, text?);
    let destination = fields.at("destination", |report| {
        let checked = if text.contains('?') {
            Err(Invalid::new("the destination of a rewrite has no query").hint("the client's query is kept as it is"))
        } else {
            path_and_query(&text.replace('$', "_")).map(|_| ())
        };
        report.take_one(checked.and_then(|()| Destination::parse(&text, &source)))
    })?;
    Some(Rewrite { source, destination })
}

impl Rewrite {
    /// The new path; nothing when the expression does not match or the result is no path.
    pub(crate) fn path(&self, facts: &Facts<'_>) -> Option<Path> {
        let captures = self.source.captures(facts.path.as_str().as_bytes())?;
        Path::normalise(&self.destination.expand(&captures)).ok()
    }
}
