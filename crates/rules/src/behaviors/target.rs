//! The URL builder shared by `site-failover` and `url-redirect`. Source: policy-language 5.

use std::fmt;

use super::destination::path_and_query;
use super::fields::Fields;
use crate::facts::{Facts, Scheme};
use crate::grammar::host;

/// A URL that stands for the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternateUrl {
    /// The scheme.
    pub scheme: Scheme,
    /// The host, with the port when the client's was kept.
    pub authority: String,
    /// The host alone.
    pub host: String,
    /// Path and query.
    pub path_and_query: String,
}

impl fmt::Display for AlternateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority, self.path_and_query)
    }
}

/// How the URL differs from the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Absent: the client's.
    pub(crate) scheme: Option<Scheme>,
    /// Absent: the client's host with its port.
    pub(crate) host: Option<String>,
    pub(crate) path: TargetPath,
    pub(crate) query: TargetQuery,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetPath {
    /// The client's path.
    Original,
    /// This directory and the client's filename.
    Directory(String),
    /// This path.
    Whole(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetQuery {
    /// The client's query.
    Original,
    /// None, or the one that the rule gives.
    Own(Option<String>),
}

impl Target {
    pub(crate) fn url(&self, facts: &Facts<'_>) -> AlternateUrl {
        let (authority, host) = match &self.host {
            Some(host) => (host.clone(), host.clone()),
            None => (facts.authority.to_owned(), facts.host.to_owned()),
        };
        let mut path_and_query = match &self.path {
            TargetPath::Original => facts.path.as_str().to_owned(),
            TargetPath::Directory(directory) => format!("{directory}{}", facts.path.filename()),
            TargetPath::Whole(path) => path.clone(),
        };
        let query = match &self.query {
            TargetQuery::Original => facts.query,
            TargetQuery::Own(query) => query.as_deref(),
        };
        if let Some(query) = query {
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        AlternateUrl { scheme: self.scheme.unwrap_or(facts.scheme), authority, host, path_and_query }
    }
}

/// The names under which a behaviour gives the three parts.
pub(super) struct Names {
    pub(super) host: &'static str,
    pub(super) path: &'static str,
    /// Whether every part must be written, if only as `-`.
    pub(super) all_required: bool,
}

/// Reads the parts and checks what concerns two of them. `same_scheme` says whether the scheme stays the client's; `own` lists
/// the hosts of the site itself.
pub(super) fn parse(
    fields: &mut Fields<'_, '_>,
    names: &Names,
    scheme: Option<Scheme>,
    own: &[String],
) -> Option<Target> {
    let (host, path, keep) = if names.all_required {
        (
            fields.text_or_nothing(names.host),
            fields.text_or_nothing(names.path),
            fields.required_flag("preserveQueryString").map(Some),
        )
    } else {
        (fields.text(names.host).ok(), fields.text(names.path).ok(), fields.flag("preserveQueryString"))
    };
    let (host_given, path_given) = (host.is_some(), path.is_some());
    let host = host.flatten();
    let path = path.flatten();
    let name = fields.name;
    if host_given && path_given && scheme.is_none() && path.is_none() {
        if host.is_none() {
            let message = format!("{name} keeps both host and path: it would lead back to the same URL");
            fields.report.within("params", |report| {
                report.error_hint(message, format!("give {} or {}", names.host, names.path));
            });
            return None;
        }
        if let Some(host) =
            host.as_deref().filter(|host| own.iter().any(|own| own.eq_ignore_ascii_case(host.trim_end_matches('.'))))
        {
            let message =
                format!("{host} is this site itself and the path is kept: it would lead back to the same URL");
            fields.at(names.host, |report| {
                report.error_hint(message, format!("name another host, or give {}", names.path));
            });
            return None;
        }
    }
    let host = match host {
        None if host_given => Some(None),
        None => None,
        Some(host) => fields.at(names.host, |report| report.take_one(host::url_host(&host))).map(Some),
    };
    let path = match path {
        None if path_given => Some((TargetPath::Original, None)),
        None => None,
        Some(path) => fields.at(names.path, |report| report.take_one(path_and_query(&path))).map(|(path, query)| {
            let path = if path.ends_with('/') { TargetPath::Directory(path) } else { TargetPath::Whole(path) };
            (path, query)
        }),
    };
    let (host, (path, own_query), keep) = (host?, path?, keep?);
    // Where it may be absent: the client's query goes on unless the path brings its own.
    let keep = keep.unwrap_or(own_query.is_none());
    if keep && own_query.is_some() {
        let message =
            format!("preserveQueryString is true but {} has a query of its own: queries are not merged", names.path);
        fields.at(names.path, |report| {
            report.error_hint(message, "set preserveQueryString to false, or leave the query out of the path");
        });
        return None;
    }
    let query = if keep { TargetQuery::Original } else { TargetQuery::Own(own_query) };
    Some(Target { scheme, host, path, query })
}
