//! `origin-failover`: a second origin for what the first cannot answer. Source: policy-language 7.

use std::time::Duration;

use super::fields::Fields;
use super::origin::not_own;
use crate::grammar::{StatusPattern, StatusSet, host};
use crate::reading::Context;

/// Most further tries at the first origin.
const MAX_RETRIES: u64 = 5;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) domain: String,
    pub(crate) exclude: StatusSet,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) first_byte_timeout: Option<Duration>,
    pub(crate) max_retries: u8,
}

pub(super) fn parse(fields: &mut Fields<'_, '_>, context: &Context<'_>) -> Option<Plan> {
    let domain = fields.required("backupDomain", |text| not_own(host::domain(text)?, context));
    let exclude = fields.optional("excludeStatus", StatusPattern::set);
    let connect_timeout = fields.time_limit("connectTimeout");
    let first_byte_timeout = fields.time_limit("firstByteTimeout");
    let max_retries = fields.whole("maxRetries", 0..=MAX_RETRIES);
    Some(Plan {
        domain: domain?,
        exclude: exclude?.unwrap_or_default(),
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        max_retries: max_retries?.and_then(|tries| u8::try_from(tries).ok()).unwrap_or(0),
    })
}
