//! Behaviours with one plain value: `downstream-caching`, `deny-access`, `access-control`, `content-compression`,
//! `bypass-cache`, `store-on-hit`, `ectoken`, `ectoken-ignore-case`, and those without effect. Sources: policy-language 4.9 and 6, delivery spec 2.4 and 5.4.

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

/// `deny-access`, `bypass-cache`, `ectoken`, `ectoken-ignore-case`: in force unless the value is `no`.
pub(super) fn yes_or_no(fields: &mut Fields<'_, '_>) -> Option<bool> {
    match fields.value() {
        None => Some(true),
        Some(value) => fields.read_value(value, |text| one_of(&[("yes", true), ("no", false)], text)),
    }
}

/// Requests that the admission of the cache can count.
const STORE_ON_HIT: std::ops::RangeInclusive<u8> = 1..=15;

pub(super) fn store_on_hit(fields: &mut Fields<'_, '_>) -> Option<u8> {
    let value = fields.required_value("write 1 to store the first answer, 2 for the second request's")?;
    fields.read_value(value, |text| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let count = digits.then(|| text.parse().ok()).flatten().filter(|count| STORE_ON_HIT.contains(count));
        count.ok_or_else(|| {
            Invalid::new(format!(
                "{text:?} is not a number of requests from {} to {}",
                STORE_ON_HIT.start(),
                STORE_ON_HIT.end()
            ))
        })
    })
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
