//! Why the edge does what it does: the very evaluation and decisions of production, with a recorder.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Caching;
use crate::behaviors::Slot;
use crate::compile::Policy;
use crate::decide::{self, AccessMode, Downstream, FailoverKind, HostHeader, KeyHost, OriginScheme, Verdict};
use crate::evaluate::{Effective, Recorder};
use crate::facts::Facts;

/// Everything that a policy decides about one request, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Every rule, in order.
    pub rules: Vec<RuleResult>,
    /// The setting that won each behavior.
    pub winners: Vec<Winner>,
    /// What each phase does about it.
    pub decisions: Value,
    #[serde(skip)]
    effective: Effective,
}

/// One rule and the request.
#[derive(Debug, Clone, Serialize)]
pub struct RuleResult {
    /// Its place in the policy, from 0.
    pub rule: usize,
    /// Whether all its matches hold.
    pub applies: bool,
    /// Whether the index offered it for this request at all.
    pub candidate: bool,
    /// Its matches, in order.
    pub matches: Vec<MatchResult>,
}

/// One match and the request.
#[derive(Debug, Clone, Serialize)]
pub struct MatchResult {
    /// The match.
    pub name: &'static str,
    /// Its value as written.
    pub value: String,
    /// Whether it is turned round.
    pub negated: bool,
    /// Whether it holds, negation included.
    pub holds: bool,
}

/// The setting that won a behavior.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Winner {
    /// The behavior.
    pub behavior: &'static str,
    /// The header, for header edits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The rule it stands in, from 0.
    pub rule: usize,
    /// Its place among the rule's behaviors, from 0.
    pub index: usize,
}

impl Explanation {
    /// The outcome that was explained.
    #[must_use]
    pub fn effective(&self) -> &Effective {
        &self.effective
    }
}

struct Tried(Vec<Option<bool>>);

impl Recorder for Tried {
    const EVERY_CANDIDATE: bool = true;
    fn tried(&mut self, rule: u32, applies: bool) {
        if let Some(slot) = self.0.get_mut(rule as usize) {
            *slot = Some(applies);
        }
    }
}

/// Explains what a policy decides about a request.
#[must_use]
pub fn explain(policy: &Policy, facts: &Facts<'_>, mode: AccessMode) -> Explanation {
    explain_without_token(policy, facts, facts, mode)
}

/// The same for a request whose token must not be shown: rules match on the request as it came (`facts`), decisions are about what
/// goes on (`rest`).
#[must_use]
pub fn explain_without_token(policy: &Policy, facts: &Facts<'_>, rest: &Facts<'_>, mode: AccessMode) -> Explanation {
    let mut tried = Tried(vec![None; policy.len()]);
    let effective = policy.evaluate_with(facts, &mut tried);
    let rules = policy.rules.iter().zip(tried.0).enumerate().map(|(number, (rule, tried))| RuleResult {
        rule: number,
        applies: tried.unwrap_or(false),
        candidate: tried.is_some(),
        matches: rule
            .tests
            .iter()
            .map(|test| MatchResult {
                name: test.name,
                value: test.value.to_string(),
                negated: test.negated,
                holds: test.holds(facts),
            })
            .collect(),
    });
    let winners = effective.all(policy).map(|placed| Winner {
        behavior: placed.slot.name(),
        header: match &placed.setting {
            crate::behaviors::Setting::Header(edit) => Some(edit.name.to_string()),
            _ => None,
        },
        rule: placed.rule as usize,
        index: placed.behavior as usize,
    });
    Explanation {
        rules: rules.collect(),
        winners: winners.collect(),
        decisions: decisions(policy, &effective, rest, mode),
        effective,
    }
}

fn decisions(policy: &Policy, effective: &Effective, facts: &Facts<'_>, mode: AccessMode) -> Value {
    let request = decide::request(policy, effective, facts);
    let path = request.rewrite.as_ref().unwrap_or(facts.path);
    json!({
        "request": {
            "redirect": request.redirect.as_ref().map(|redirect| json!({ "status": redirect.status, "location": redirect.location })),
            "rewrite": request.rewrite.as_ref().map(crate::Path::as_str),
        },
        "security": match decide::security(policy, effective, facts, mode) {
            Verdict::Allow => json!("allow"),
            Verdict::Deny { reason } => json!({ "deny": reason }),
        },
        "tokens": tokens(policy, effective),
        "lookup": lookup(policy, effective, facts),
        "fetch": fetch(policy, effective, facts, path.as_str()),
        "failover": failover(policy, effective, facts),
        "store": decide::store(policy, effective).map(caching),
        "store_on_hit": decide::store_on_hit(policy, effective),
        "deliver": deliver(policy, effective),
    })
}

/// Names and statuses; never a key.
fn tokens(policy: &Policy, effective: &Effective) -> Value {
    let found = decide::tokens(policy, effective);
    json!({
        "ectoken": found.ectoken,
        "denial": found.denial.map(|denial| json!({ "status": denial.status(), "location": denial.location(), "authenticate": denial.authenticate() })),
        "parameter": found.parameter.map(|name| name.unwrap_or("-")),
        "ignore_case": found.ignore_case,
        "token_auth": found.token_auth.map(|settings| json!({ "name": settings.name(), "algorithm": settings.algorithm.word() })),
    })
}

fn caching(caching: Caching) -> Value {
    match caching {
        Caching::NoStore => json!({ "type": "no-store" }),
        Caching::Bypass => json!({ "type": "bypass-cache" }),
        Caching::Fixed(seconds) => json!({ "type": "fixed", "seconds": seconds }),
        Caching::Honor(seconds) => json!({ "type": "honor", "seconds": seconds }),
        Caching::HonorCc(seconds) => json!({ "type": "honor-cc", "seconds": seconds }),
        Caching::HonorExpires(seconds) => json!({ "type": "honor-expires", "seconds": seconds }),
    }
}

fn lookup(policy: &Policy, effective: &Effective, facts: &Facts<'_>) -> Value {
    let lookup = decide::lookup(policy, effective);
    let key_query = lookup.key_query.map(|choice| {
        let mut query = Vec::new();
        choice.write(facts.query, &mut query);
        String::from_utf8_lossy(&query).into_owned()
    });
    let key_host = match lookup.key_host {
        KeyHost::Unset => None,
        KeyHost::Property => Some(facts.host),
        KeyHost::Origin => lookup.origin_domain,
        KeyHost::Fixed(name) => Some(name),
    };
    json!({
        "caching": lookup.caching.map(caching),
        "bypass": lookup.bypass,
        "key_query": key_query,
        "key_host": key_host,
        "refresh": lookup.refresh.map(|refresh| json!({ "since": refresh.since, "must_revalidate": refresh.must_revalidate, "in_force": refresh.since <= facts.now })),
    })
}

fn headers(edits: &[decide::HeaderEdit<'_>]) -> Value {
    let edit = |edit: &decide::HeaderEdit<'_>| json!({ "op": edit.op, "name": edit.name.as_str(), "value": edit.value.and_then(|value| value.to_str().ok()) });
    edits.iter().map(edit).collect()
}

fn fetch(policy: &Policy, effective: &Effective, facts: &Facts<'_>, path: &str) -> Value {
    let fetch = decide::fetch(policy, effective, facts, path);
    let origin = fetch.origin.map(|origin| {
        json!({
            "domain": origin.domain,
            "host": match origin.host_header {
                HostHeader::Property => facts.host,
                HostHeader::Origin => origin.domain,
                HostHeader::Fixed(name) => name,
            },
            "scheme": match origin.scheme {
                OriginScheme::Http => "http",
                OriginScheme::Https => "https",
                OriginScheme::Match => facts.scheme.as_str(),
            },
            "port": origin.port,
            "connect_timeout": origin.connect_timeout.map(|time| time.as_secs()),
            "read_timeout": origin.read_timeout.map(|time| time.as_secs()),
        })
    });
    let backup = decide::backup(policy, effective)
        .map(|backup| json!({ "domain": backup.domain, "exclude": backup.exclude.to_string() }));
    json!({ "origin": origin, "path": fetch.path.as_deref().unwrap_or(path), "headers": headers(&fetch.headers), "backup": backup })
}

fn failover(policy: &Policy, effective: &Effective, facts: &Facts<'_>) -> Value {
    let Some(crate::behaviors::Setting::Failover(plan)) = effective.setting(policy, Slot::Failover) else {
        return Value::Null;
    };
    // Every listed status leads to the same URL.
    let first = plan.statuses.iter().next().and_then(|status| decide::failover(policy, effective, facts, status));
    json!({
        "statuses": plan.statuses.to_string(),
        "kind": match plan.kind {
            FailoverKind::Redirect(status) => json!({ "redirect": status }),
            FailoverKind::Alternate => json!("alternate"),
        },
        "url": first.map(|failover| failover.url.to_string()),
    })
}

fn deliver(policy: &Policy, effective: &Effective) -> Value {
    let deliver = decide::deliver(policy, effective);
    let downstream = deliver.downstream.map(|downstream| match downstream {
        Downstream::NoStore => "no-store",
        Downstream::NoCache => "no-cache",
    });
    json!({ "downstream": downstream, "compression": deliver.compression, "headers": headers(&deliver.headers) })
}
