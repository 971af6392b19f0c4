//! From what an operator types to the rules that name the stored objects: by the host and path that clients ask, and by the
//! key, so that every other address of the same objects is meant too.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Uri;
use leeward_cache::purge::{MAX_TAG, Rule, Side};
use leeward_config::Snapshot;
use leeward_config::ready::Platform;
use leeward_rules::{Path, Scheme};
use leeward_telemetry::PurgeKind;
use pingora::http::RequestHeader;

use crate::context::{Context, Route};
use crate::phase::{lookup, request};

/// One thing that is purged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Purged {
    pub(super) kind: PurgeKind,
    /// What was named, in its normal form.
    pub(super) what: String,
    /// Keys that it stands for, beside what clients ask.
    pub(super) keys: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// The rules for one thing.
///
/// # Errors
/// What is wrong with it.
pub(super) fn resolve(snapshot: &Arc<Snapshot>, kind: PurgeKind, text: &str, force: bool) -> Result<Purged, String> {
    let place = || Typed::read(text).map_err(|why| format!("{text:?}: {why}"));
    let about = |why: String| format!("{text:?}: {why}");
    match kind {
        PurgeKind::All => Ok(Purged { kind, what: text.to_owned(), keys: Vec::new(), rules: vec![Rule::Everything] }),
        PurgeKind::Tag => tag(text).map_err(about),
        PurgeKind::Host => host(snapshot, text, force).map_err(about),
        PurgeKind::Prefix => prefix(snapshot, &place()?.starless(), force).map_err(about),
        // a pattern: everything below
        PurgeKind::Url if text.ends_with('*') && !text.contains('?') => {
            prefix(snapshot, &place()?.starless(), force).map_err(about)
        }
        PurgeKind::Url => url(snapshot, &place()?, force).map_err(about),
    }
}

/// Scheme and host as typed, what follows them.
#[derive(Debug)]
struct Typed {
    authority: String,
    path: String,
    query: Option<String>,
}

impl Typed {
    /// `http://host/path?query`, with or without the scheme: both are meant anyway.
    fn read(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => rest,
            Some((scheme, _)) => return Err(format!("nothing is stored for {scheme}://")),
        };
        if text.contains('#') {
            return Err("a fragment is never sent; leave # and what follows it away".to_owned());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.is_empty() {
            return Err("a host comes first, as in https://www.example.com/a".to_owned());
        }
        let good = authority.parse::<http::uri::Authority>().is_ok() && !authority.contains('@');
        if !good {
            return Err(format!("{authority:?} is no host"));
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { "/" } else { path };
        let inner = path.strip_suffix('*').unwrap_or(path);
        if inner.contains('*') {
            return Err("a * stands for the rest of the path, at its end only".to_owned());
        }
        Ok(Self { authority: authority.to_owned(), path: path.to_owned(), query: query.map(str::to_owned) })
    }

    /// A prefix may be written with the `*` that it stands for.
    fn starless(mut self) -> Self {
        if self.path.ends_with('*') {
            self.path.pop();
        }
        self
    }

    fn host(&self) -> String {
        request::host_of(&self.authority)
    }
}

/// A request as the edge would route it, and the host components that its key may have.
struct Routed {
    route: Route,
    key_hosts: BTreeSet<String>,
    /// The parts of the query that its key may have.
    queries: BTreeSet<Vec<u8>>,
}

/// Routes in both schemes; `None` for a host that no site has.
///
/// # Errors
/// When no client could send such a request.
fn routed(snapshot: &Arc<Snapshot>, typed: &Typed) -> Result<Option<Routed>, String> {
    // what has no normal form is refused, whoever's host it is
    Path::normalise(&typed.path).map_err(|error| error.to_string())?;
    let target = match &typed.query {
        Some(query) => format!("{}?{query}", typed.path),
        None => typed.path.clone(),
    };
    let escaped = "spaces and other than ASCII are escaped in a URL, such as %20";
    target.parse::<Uri>().map_err(|_| escaped.to_owned())?;
    let mut found: Option<Routed> = None;
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut header = RequestHeader::build("GET", target.as_bytes(), None).map_err(|error| error.to_string())?;
        header.insert_header("Host", typed.authority.as_str()).map_err(|error| error.to_string())?;
        let mut ctx = Context::new(Arc::clone(snapshot));
        ctx.client.scheme = scheme;
        if request::route(&header, &mut ctx).is_err() {
            return Ok(None);
        }
        let Some(route) = ctx.route.take() else { return Ok(None) };
        let parts = lookup::key_parts(&header, &ctx, &route);
        let (mut key_hosts, mut queries) = (BTreeSet::from([parts.host.into_owned()]), BTreeSet::from([parts.query]));
        // what rules choose by more than the URL (a header, a country) may be any of these
        if let Some(policy) = route.policy() {
            key_hosts.extend(policy.key_hosts().map(str::to_owned));
            queries.extend(policy.key_queries().map(|choice| {
                let mut query = Vec::new();
                choice.write(typed.query.as_deref(), &mut query);
                query
            }));
        }
        if let Some(origin) = &route.origin {
            let follows = origin.host_header.is_none();
            let own = || route.normal_authority(scheme).into_owned();
            key_hosts.insert(if follows { own() } else { lookup::origin_component(origin) });
        }
        match &mut found {
            None => found = Some(Routed { route, key_hosts, queries }),
            Some(found) => {
                found.key_hosts.extend(key_hosts);
                found.queries.extend(queries);
            }
        }
    }
    Ok(found)
}

fn unknown(typed: &Typed) -> String {
    format!(
        "no site or CDN URL here has it (host {}); \"force\": true purges by what clients asked all the same",
        typed.host()
    )
}

fn url(snapshot: &Arc<Snapshot>, typed: &Typed, force: bool) -> Result<Purged, String> {
    let kind = PurgeKind::Url;
    let mut rules = Vec::new();
    let mut add = |side: Side, host: &str, path: &str, queries: Option<&BTreeSet<Vec<u8>>>| {
        let rule = |query| Rule::Url { side, host: host.to_owned(), path: path.to_owned(), query };
        match queries {
            None => rules.push(rule(None)),
            Some(queries) => rules.extend(queries.iter().map(|query| rule(Some(query.clone())))),
        }
    };
    let Some(Routed { route, key_hosts, queries }) = routed(snapshot, typed)? else {
        if !force {
            return Err(unknown(typed));
        }
        let path = Path::normalise(&typed.path).map_err(|error| error.to_string())?;
        // which part of the query was in the key is not known any more
        add(Side::Client, &typed.host(), path.as_str(), None);
        return Ok(Purged { kind, what: shown(&typed.host(), path.as_str(), None), keys: Vec::new(), rules });
    };
    let queries = typed.query.as_ref().map(|_| &queries);
    let path = route.path.as_str();
    add(Side::Client, &route.host, path, queries);
    for host in &key_hosts {
        add(Side::Key, host, &route.origin_path, queries);
    }
    let what = shown(&route.host, path, typed.query.as_deref());
    Ok(Purged { kind, what, keys: keys(&key_hosts, &route.origin_path), rules })
}

fn prefix(snapshot: &Arc<Snapshot>, typed: &Typed, force: bool) -> Result<Purged, String> {
    let kind = PurgeKind::Prefix;
    if typed.query.is_some() {
        return Err("a prefix has no query: it means every query".to_owned());
    }
    let rule = |side, host: &str, path: &str| Rule::Prefix { side, host: host.to_owned(), path: path.to_owned() };
    let Some(Routed { route, key_hosts, .. }) = routed(snapshot, typed)? else {
        if !force {
            return Err(unknown(typed));
        }
        let path = Path::normalise(&typed.path).map_err(|error| error.to_string())?;
        let rules = vec![rule(Side::Client, &typed.host(), path.as_str())];
        return Ok(Purged { kind, what: shown(&typed.host(), path.as_str(), None), keys: Vec::new(), rules });
    };
    let path = route.path.as_str();
    let paths = origin_prefixes(&route);
    let mut rules = vec![rule(Side::Client, &route.host, path)];
    rules.extend(key_hosts.iter().flat_map(|host| paths.iter().map(|path| rule(Side::Key, host, path))));
    let keys = paths.iter().flat_map(|path| keys(&key_hosts, path)).collect();
    Ok(Purged { kind, what: shown(&route.host, path, None), keys, rules })
}

/// Where on the origin the objects below a path are: behind the site's own prefix, and where a rule rewrites that path to.
fn origin_prefixes(route: &Route) -> BTreeSet<String> {
    let Some(site) = &route.site else { return BTreeSet::from([route.origin_path.clone()]) };
    let mut paths = BTreeSet::from([format!("{}{}", site.path, route.path.as_str())]);
    // a rewrite of this very path to the root is about this path, not about everything below it
    if route.origin_path != format!("{}/", site.path) {
        paths.insert(route.origin_path.clone());
    }
    paths
}

fn host(snapshot: &Arc<Snapshot>, text: &str, force: bool) -> Result<Purged, String> {
    let kind = PurgeKind::Host;
    if text.contains('/') {
        return Err("a host has no scheme and no path; for a path there is prefix".to_owned());
    }
    let typed = Typed::read(text)?;
    let host = typed.host();
    let by_client = Rule::Host { side: Side::Client, host: host.clone() };
    if let Some(platform) = snapshot.cdn_hosts.get(&host) {
        // every directory of its platform
        let keys = directories(snapshot, *platform);
        let by_key = keys.iter().map(|host| Rule::Host { side: Side::Key, host: host.clone() });
        let rules = std::iter::once(by_client).chain(by_key).collect();
        return Ok(Purged { kind, what: host, keys, rules });
    }
    let Some(Routed { route, key_hosts, .. }) = routed(snapshot, &typed)? else {
        if !force {
            return Err(unknown(&typed));
        }
        return Ok(Purged { kind, what: host, keys: Vec::new(), rules: vec![by_client] });
    };
    let below = route.site.as_ref().map_or("/".to_owned(), |site| format!("{}/", site.path));
    let by_key = key_hosts.iter().map(|host| Rule::Prefix { side: Side::Key, host: host.clone(), path: below.clone() });
    let rules = std::iter::once(by_client).chain(by_key).collect();
    Ok(Purged { kind, what: host, keys: keys(&key_hosts, &below), rules })
}

fn directories(snapshot: &Snapshot, platform: Platform) -> Vec<String> {
    let of_platform = snapshot.origins.iter().filter(|origin| origin.directory.is_some());
    of_platform.filter(|origin| origin.platform == platform).map(|origin| lookup::origin_component(origin)).collect()
}

fn tag(text: &str) -> Result<Purged, String> {
    if text.is_empty() || text.len() > MAX_TAG {
        return Err(format!("a tag has 1 to {MAX_TAG} bytes"));
    }
    // such a text could never be a tag of an answer, so the purge would do nothing, silently
    if text.contains(',') && text.contains([' ', '\t']) || text.trim() != text {
        return Err("a tag has no space at its ends, and no comma when it has spaces".to_owned());
    }
    let rules = vec![Rule::Tag(text.to_owned())];
    Ok(Purged { kind: PurgeKind::Tag, what: text.to_owned(), keys: Vec::new(), rules })
}

fn keys(hosts: &BTreeSet<String>, path: &str) -> Vec<String> {
    hosts.iter().map(|host| format!("{host} {path}")).collect()
}

fn shown(host: &str, path: &str, query: Option<&str>) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{host}{path}{query}")
}
