//! The fourth phase: whom to ask, and for what.

use std::time::Duration;

use super::plan::Triggers;
use super::{HeaderEdits, edits};
use crate::behaviors::backup::Plan;
use crate::behaviors::origin::{Name, Origin, OriginScheme};
use crate::behaviors::{Setting, Slot};
use crate::compile::Policy;
use crate::evaluate::Effective;
use crate::facts::Facts;
use crate::grammar::StatusSet;

/// The origin that the rules choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginChoice<'p> {
    /// Name or address, lower case.
    pub domain: &'p str,
    /// `Host` of the request to it.
    pub host_header: HostHeader<'p>,
    /// The scheme towards it.
    pub scheme: OriginScheme,
    /// Its port, if not the scheme's own.
    pub port: Option<u16>,
    /// The longest time for a connection.
    pub connect_timeout: Option<Duration>,
    /// The longest time between two reads.
    pub read_timeout: Option<Duration>,
}

impl<'p> OriginChoice<'p> {
    pub(crate) fn of(origin: &'p Origin) -> Self {
        let host_header = match &origin.host_header {
            Name::Property => HostHeader::Property,
            Name::Origin => HostHeader::Origin,
            Name::Fixed(name) => HostHeader::Fixed(name),
        };
        Self {
            domain: &origin.domain,
            host_header,
            scheme: origin.scheme,
            port: origin.port,
            connect_timeout: origin.connect_timeout,
            read_timeout: origin.read_timeout,
        }
    }
}

/// `Host` of the request to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostHeader<'p> {
    /// The site's name.
    Property,
    /// The origin's name.
    Origin,
    /// This value: a host, maybe with a port.
    Fixed(&'p str),
}

/// The backup origin that the rules choose (`origin-failover`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup<'p> {
    /// Name or address, lower case.
    pub domain: &'p str,
    /// Statuses of the first origin that go to the client as they are.
    pub exclude: &'p StatusSet,
    /// The longest time for a connection to the first origin.
    pub connect_timeout: Option<Duration>,
    /// The longest wait for its response head.
    pub first_byte_timeout: Option<Duration>,
    /// Further tries at the first origin.
    pub max_retries: u8,
}

impl<'p> Backup<'p> {
    pub(crate) fn of(plan: &'p Plan) -> Self {
        Self {
            domain: &plan.domain,
            exclude: &plan.exclude,
            connect_timeout: plan.connect_timeout,
            first_byte_timeout: plan.first_byte_timeout,
            max_retries: plan.max_retries,
        }
    }

    /// What counts as a failure of the first origin: every error status that is not excluded, and every failure to get an answer.
    #[must_use]
    pub fn triggers(&self) -> Triggers {
        Triggers { statuses: StatusSet::all().without(*self.exclude), unanswered: true }
    }
}

/// What the rules say about asking the origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetch<'p> {
    /// The origin, if a rule names one.
    pub origin: Option<OriginChoice<'p>>,
    /// The path to ask for, when it differs from the one given.
    pub path: Option<String>,
    /// Edits of the request's header.
    pub headers: HeaderEdits<'p>,
}

/// The origin alone.
#[must_use]
pub fn origin<'p>(policy: &'p Policy, effective: &Effective) -> Option<OriginChoice<'p>> {
    match effective.setting(policy, Slot::Origin) {
        Some(Setting::Origin(origin)) => Some(OriginChoice::of(origin)),
        _ => None,
    }
}

/// The backup origin.
#[must_use]
pub fn backup<'p>(policy: &'p Policy, effective: &Effective) -> Option<Backup<'p>> {
    match effective.setting(policy, Slot::Backup) {
        Some(Setting::Backup(plan)) => Some(Backup::of(plan)),
        _ => None,
    }
}

/// Decides how the origin is asked. `path` is the path as the origin would be asked for it: the site's prefix, after
/// `rewrite`, without a query.
#[must_use]
pub fn fetch<'p>(policy: &'p Policy, effective: &Effective, _facts: &Facts<'_>, path: &str) -> Fetch<'p> {
    let edited = match effective.setting(policy, Slot::PathEdit) {
        Some(Setting::PathEdit(edit)) => edit.apply(path).filter(|edited| edited != path),
        _ => None,
    };
    Fetch { origin: origin(policy, effective), path: edited, headers: edits(policy, effective, Slot::RequestHeader) }
}
