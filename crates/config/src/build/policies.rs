//! The policies of sites: read from their files or from the site itself, checked with what only the whole configuration knows, and
//! given their origins.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use leeward_rules::{Context, Policy, Severity, decide};
use serde_json::Value;

use super::origins::Origins;
use super::policy_origins::is_all_of;
use super::sites::Hosts;
use super::tokens;
use crate::ready::{Backup, Origin, OriginServer, PolicyOrigins, Tokens};
use crate::report::{At, Purpose, Report};
use crate::tree::{Form, Step};
use crate::{diagnostic, gather, place, unsupported, written};

/// Bytes of a policy file.
pub const MAX_POLICY: u64 = 1 << 20;

/// A policy as written, and where its root stands.
#[derive(Clone)]
struct Document {
    at: At,
    value: Arc<Value>,
    form: leeward_rules::Form,
    /// Unix seconds.
    published_at: u64,
}

/// The policy files that were read, each once however many sites have it. None: it cannot be read.
#[derive(Default)]
pub(super) struct Documents(HashMap<PathBuf, Option<Document>>);

/// What a policy is checked and compiled against.
pub(super) struct Surroundings<'a> {
    pub(super) report: &'a Report,
    pub(super) hosts: &'a Hosts,
    /// The site's host.
    pub(super) host: &'a str,
    /// The site's own origin.
    pub(super) own: Option<&'a Arc<Origin>>,
    /// Whether the site names an origin, known or not.
    pub(super) has_origin: bool,
    /// The keys of tokens.
    pub(super) tokens: Option<&'a Tokens>,
    /// Whether a database says where clients are.
    pub(super) has_geo: bool,
    /// What the configuration says of address lists beside country lists.
    pub(super) access_mode: Option<decide::AccessMode>,
}

/// The policy of a site, empty if it has none or a wrong one, and the origins that it names.
pub(super) fn of_site(
    around: &Surroundings<'_>,
    documents: &mut Documents,
    at: &At,
    site: &written::Site,
    origins: &mut Origins,
) -> (Policy, PolicyOrigins) {
    let document = match (&site.policy, &site.rules) {
        (Some(name), _) => documents.file(around.report, &at.key("policy"), name),
        (None, Some(rules)) => Some(inline(around.report, at, rules)),
        (None, None) => None,
    };
    document
        .and_then(|document| compile(around, &document, origins))
        .unwrap_or_else(|| (Policy::empty(), PolicyOrigins::default()))
}

impl Documents {
    fn file(&mut self, report: &Report, named: &At, name: &str) -> Option<Document> {
        let path = report.resolve(named.file, name);
        if let Some(known) = self.0.get(&path) {
            return known.clone();
        }
        let read = gather::document(report, &path, Some(named), MAX_POLICY).map(|(file, value)| Document {
            at: report.root(file),
            value: Arc::new(value),
            form: form(&path),
            published_at: published_at(&path),
        });
        if let Some(document) = &read {
            unsupported::names(report, &document.at, &document.value);
        }
        self.0.insert(path, read.clone());
        read
    }
}

/// The `rules` of a site as a document of their own: the site stands for its root.
fn inline(report: &Report, site: &At, rules: &[Value]) -> Document {
    let file = report.path(site.file);
    let value = serde_json::json!({ "rules": rules });
    unsupported::names(report, site, &value);
    Document { at: site.clone(), value: Arc::new(value), form: form(&file), published_at: published_at(&file) }
}

fn form(path: &Path) -> leeward_rules::Form {
    match Form::of(path) {
        Form::Json => leeward_rules::Form::Json,
        Form::Yaml => leeward_rules::Form::Yaml,
    }
}

/// A policy takes effect when its file was written, not when a process starts: `content-refresh` is measured against it.
fn published_at(path: &Path) -> u64 {
    let modified = std::fs::metadata(path).and_then(|about| about.modified()).ok();
    modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

fn compile(around: &Surroundings<'_>, document: &Document, origins: &mut Origins) -> Option<(Policy, PolicyOrigins)> {
    let property_hosts = [around.host.to_owned()];
    let context = Context {
        property_hosts: &property_hosts,
        known_host: &|host| around.hosts.known(host),
        // also when it dangles: that is one mistake, and said already
        has_default_origin: around.has_origin,
        access_mode: around.access_mode,
        published_at: document.published_at,
        publishing: around.report.purpose() == Purpose::Publish,
    };
    let (written, problems) = leeward_rules::read(&document.value, document.form, &context);
    for problem in problems {
        let at = problem.path.into_iter().fold(document.at.clone(), |at, step| at.step(Step::from(step)));
        let part = if problem.message.starts_with("unknown key") || problem.message.starts_with("unknown param") {
            place::Part::Key
        } else {
            place::Part::Value
        };
        let severity = match problem.severity {
            Severity::Error => diagnostic::Severity::Error,
            Severity::Warning => diagnostic::Severity::Warning,
        };
        let added = around.report.add(&at, part, severity, problem.message);
        if let Some(hint) = problem.hint {
            added.hint(hint);
        }
    }
    let policy = Policy::compile(&written?, &context);
    let platform = around.own.map(|own| own.platform).unwrap_or_default();
    if around.tokens.is_none_or(|tokens| tokens.of(platform).keys.is_empty()) {
        for path in policy.ectokens() {
            let at = path.into_iter().fold(document.at.clone(), |at, step| at.step(Step::from(step)));
            tokens::without_key(around.report, &at, platform);
        }
    }
    if !around.has_geo
        && let Some(path) = policy.geographies().next()
    {
        let at = path.into_iter().fold(document.at.clone(), |at, step| at.step(Step::from(step)));
        around.report.error(&at, super::geo::NO_DATABASE).hint(super::geo::DATABASE);
    }
    let named = name_origins(around, document, &policy, origins);
    Some((policy, named))
}

/// Finds or makes the origin of every `origin` and `origin-failover` behaviour.
fn name_origins(
    around: &Surroundings<'_>,
    document: &Document,
    policy: &Policy,
    origins: &mut Origins,
) -> PolicyOrigins {
    let mut named = PolicyOrigins::default();
    for (choice, path) in policy.origins() {
        let at = path.into_iter().fold(document.at.clone(), |at, step| at.step(Step::from(step)));
        let at = at.key("params").key("originDomain");
        let port = choice.port.unwrap_or(if choice.scheme == decide::OriginScheme::Https { 443 } else { 80 });
        let server = OriginServer { tls: false, host: choice.domain.to_owned(), port };
        around.hosts.refuse_loop(around.report, &at, &server);
        named.insert(&choice, origins.of_policy(&choice, around.own));
    }
    for (choice, path) in policy.backups() {
        let at = path.into_iter().fold(document.at.clone(), |at, step| at.step(Step::from(step)));
        let at = at.key("params").key("backupDomain");
        let server = OriginServer { tls: false, host: choice.domain.to_owned(), port: 80 };
        around.hosts.refuse_loop(around.report, &at, &server);
        let origin = origins.of_failover(choice.domain, around.own);
        if let Some(own) = around.own.filter(|own| is_all_of(&origin, own)) {
            let (domain, name) = (choice.domain, &own.name);
            around
                .report
                .warning(
                    &at,
                    format!("`{domain}` is all that the site's own origin `{name}` has: nothing else is asked"),
                )
                .hint("name a server of its own for the backup");
        }
        named.insert_backup(&choice, Backup { origin, on: choice.triggers() });
    }
    named
}
