//! `site-failover`: what the client gets instead of a failure. Source: policy-language 5.

use super::fields::Fields;
use super::target::{Names, Target, parse as parse_target};
use crate::grammar::StatusSet;
use crate::reading::Context;

/// What is done instead of answering with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverKind {
    /// A redirect with this status, 301 or 302.
    Redirect(u16),
    /// The edge fetches the URL itself and answers with what it gets.
    Alternate,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: FailoverKind,
    pub(crate) statuses: StatusSet,
    pub(crate) target: Target,
}

const TYPES: &[(&str, FailoverKind)] = &[
    ("serve-301", FailoverKind::Redirect(301)),
    ("serve-302", FailoverKind::Redirect(302)),
    ("serve-alternate", FailoverKind::Alternate),
];

pub(super) fn parse(fields: &mut Fields<'_, '_>, context: &Context<'_>) -> Option<Plan> {
    let kind = fields.kind(TYPES);
    let statuses = fields.required_text("httpResponseStatus");
    let statuses =
        statuses.and_then(|text| fields.at("httpResponseStatus", |report| report.take(StatusSet::parse(&text))));
    let names = Names { host: "alternateHostname", path: "alternatePath", all_required: true };
    let target = parse_target(fields, &names, None, context.property_hosts);
    let plan = Plan { kind: kind?, statuses: statuses?, target: target? };
    if plan.kind == FailoverKind::Redirect(301) {
        fields.report.within("type", |report| {
            report.warn_hint(
                "browsers keep a 301: clients go on to the alternate after the origin has recovered",
                "use serve-302",
            );
        });
    }
    if let Some(host) =
        plan.target.host.as_deref().filter(|host| plan.kind == FailoverKind::Alternate && !(context.known_host)(host))
    {
        fields.at("alternateHostname", |report| {
            report.warn_hint(
                format!("{host} is no site here: it will be connected to directly, without rules and cache"),
                "configure a site for it whose origin is the mirror",
            );
        });
    }
    Some(plan)
}
