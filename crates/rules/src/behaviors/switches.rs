//! Behaviours with one plain value: `downstream-caching`, `deny-access`, `access-control`, `content-compression`, and those
//! without effect. Sources: policy-language 4.9 and 6.

use super::fields::Fields;
use crate::grammar::Invalid;

/// `downstream-caching`: the exact `Cache-Control` of the response to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downstream {
    /// `no-store`
    NoStore,
    /// `no-cache`
    NoCache,
}

fn one_of<T: Copy>(legal: &[(&str, T)], text: &str) -> Result<T, Invalid> {
    legal.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = legal.iter().map(|(word, _)| *word).collect();
        Invalid::new(format!("{text:?} is not a legal value")).hint(format!("write {}", words.join(" or ")))
    })
}

pub(super) fn downstream(fields: &mut Fields<'_, '_>) -> Option<Downstream> {
    let value = fields.required_value("write no-store or no-cache")?;
    fields
        .read_value(value, |text| one_of(&[("no-store", Downstream::NoStore), ("no-cache", Downstream::NoCache)], text))
}

pub(super) fn deny_access(fields: &mut Fields<'_, '_>) -> Option<bool> {
    match fields.value() {
        None => Some(true),
        Some(value) => fields.read_value(value, |text| one_of(&[("yes", true), ("no", false)], text)),
    }
}

pub(super) fn access_control(fields: &mut Fields<'_, '_>) -> Option<()> {
    fields.kind(&[("deny", ())])
}

pub(super) fn compression(fields: &mut Fields<'_, '_>) -> Option<bool> {
    let value = fields.required_value("write on or off")?;
    fields.read_value(value, |text| one_of(&[("on", true), ("off", false)], text))
}

pub(super) fn no_effect(fields: &mut Fields<'_, '_>) {
    fields.anything();
    let message = format!("{} has no effect", fields.name);
    fields.report.warn(message);
}
