//! The policies of sites.

use std::collections::HashMap;
use std::sync::Arc;

use super::origins::Origins;
use super::sites::Hosts;
use crate::ready::Origin;
use crate::report::{At, Report};
use crate::written;

#[derive(Default)]
pub(super) struct Documents {}

#[allow(clippy::too_many_arguments)]
pub(super) fn of_site(
    _report: &Report,
    _documents: &mut Documents,
    _at: &At,
    _written: &written::Site,
    _host: &str,
    _own: Option<&Arc<Origin>>,
    hosts: &Hosts,
    _origins: &mut Origins,
) -> (crate::awaited::Policy, HashMap<String, Arc<Origin>>) {
    let _ = hosts.known("");
    (crate::awaited::Policy::empty(), HashMap::new())
}
