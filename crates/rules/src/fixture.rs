//! Requests and policies for tests.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::{Code, Context, Facts, Form, Path, Place, Policy, Problem, Scheme, Severity, read};

pub(crate) const PUBLISHED_AT: u64 = 1_700_000_000;

/// A client's request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) scheme: Scheme,
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) path: Path,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) ip: IpAddr,
    pub(crate) place: Option<Place>,
}

impl Request {
    pub(crate) fn get(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (authority, target) = match rest.find('/') {
            Some(0) => ("www.example.com", rest),
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Self {
            method: "GET".to_owned(),
            scheme: if scheme == "https" { Scheme::Https } else { Scheme::Http },
            authority: authority.to_owned(),
            host: authority.split(':').next().unwrap().to_owned(),
            path: Path::normalise(path).unwrap(),
            query: query.map(str::to_owned),
            headers: HeaderMap::new(),
            ip: "203.0.113.7".parse().unwrap(),
            place: None,
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn ip(mut self, ip: &str) -> Self {
        self.ip = ip.parse().unwrap();
        self
    }

    /// `NA US WA 819`, each part of it optional from the right.
    pub(crate) fn place(mut self, text: &str) -> Self {
        let mut parts = text.split(' ');
        let mut code = || parts.next().and_then(Code::new);
        let (continent, country, region) = (code(), code(), code());
        self.place = Some(Place { continent, country, region, dma: parts.next().and_then(|dma| dma.parse().ok()) });
        self
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            client_ip: self.ip,
            place: self.place.as_ref(),
            now: PUBLISHED_AT,
        }
    }
}

/// What the site of a test knows.
pub(crate) fn in_context<R>(work: impl FnOnce(&Context<'_>) -> R) -> R {
    let own = ["www.example.com".to_owned()];
    let known = |host: &str| matches!(host, "www.example.com" | "failover.example.com");
    work(&Context {
        property_hosts: &own,
        known_host: &known,
        has_default_origin: true,
        access_mode: None,
        published_at: PUBLISHED_AT,
        publishing: true,
    })
}

/// The tree of a YAML text.
pub(crate) fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn read_in(document: &Value, form: Form) -> (Option<crate::written::Policy>, Vec<Problem>) {
    in_context(|context| read(document, form, context))
}

/// The compiled policy of a document without errors.
pub(crate) fn policy_of(document: &Value) -> Policy {
    let (written, problems) = read_in(document, Form::Yaml);
    let written = written.unwrap_or_else(|| panic!("{problems:#?}\n{document}"));
    in_context(|context| Policy::compile(&written, context))
}

/// The compiled policy of a YAML text.
pub(crate) fn policy(text: &str) -> Policy {
    policy_of(&yaml(text))
}

/// One rule for every request with this behaviour.
pub(crate) fn with_behavior(behavior: &str) -> Value {
    yaml(&format!("rules: [{{matches: [{{name: url-wildcard, value: \"/*\"}}], behaviors: [{behavior}]}}]"))
}

/// `error PLACE: MESSAGE` for each problem.
pub(crate) fn lines(problems: &[Problem]) -> Vec<String> {
    let line = |problem: &Problem| {
        let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
        format!("{severity} {}: {}", problem.place(), problem.message)
    };
    problems.iter().map(line).collect()
}
