//! The DNS server of a scenario.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use crate::dns::{Dns, Entry, Kind};
use crate::wait::PATIENCE;

/// The server that the edge asks. Names that are not here do not exist; `*` is every other one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSetup {
    /// What it says of each name.
    pub names: BTreeMap<String, Entry>,
}

/// How often the edge asked for a name since its entry was last written: at least so often, which is waited for; 0 is never.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Questions {
    /// The name.
    pub(super) questions: String,
    /// Questions for IPv4.
    pub(super) a: Option<usize>,
    /// Questions for IPv6.
    pub(super) aaaa: Option<usize>,
}

impl Questions {
    /// Everything that is wrong with the questions that came.
    pub(super) fn misses(&self, dns: &Dns) -> Vec<String> {
        let mut misses = Vec::new();
        for (kind, wanted) in [(Kind::A, self.a), (Kind::Aaaa, self.aaaa)] {
            let Some(wanted) = wanted else { continue };
            if wanted > 0 {
                dns.wait_for(&self.questions, kind, wanted, PATIENCE);
            } else if dns.asked(&self.questions, kind) > 0 {
                let got = dns.asked(&self.questions, kind);
                misses.push(format!(
                    "{kind:?} questions for {}\n      expected: none\n      got:      {got}",
                    self.questions
                ));
            }
        }
        misses
    }
}

/// Makes the edge ask the server, unless its configuration names another.
pub(super) fn configure(edge: &mut Mapping) {
    let dns = edge.entry("dns".into()).or_insert_with(|| Value::Mapping(Mapping::new()));
    let dns = dns.as_mapping_mut().expect("`dns` is a map");
    dns.entry("servers".into()).or_insert_with(|| serde_yaml::from_str("[\"${dns}\"]").unwrap());
}
