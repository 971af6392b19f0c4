//! `caching`: may an answer be stored, and for how long. Source: policy-language 4.2.

use super::fields::Fields;
use crate::grammar::DeltaTime;

/// What the rules say about storing; values are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Do not store.
    NoStore,
    /// Neither store nor touch what is stored.
    Bypass,
    /// Store for exactly this long, whatever the origin says.
    Fixed(u32),
    /// Obey `Cache-Control` and `Expires`; this long when there is neither.
    Honor(u32),
    /// Obey `Cache-Control` only; this long when there is none.
    HonorCc(u32),
    /// Obey `Expires` only; this long when there is none.
    HonorExpires(u32),
}

type Make = fn(u32) -> Caching;

const TYPES: &[(&str, (Make, bool))] = &[
    ("no-store", (|_| Caching::NoStore, false)),
    ("bypass-cache", (|_| Caching::Bypass, false)),
    ("fixed", (Caching::Fixed, true)),
    ("honor", (Caching::Honor, true)),
    ("honor-cc", (Caching::HonorCc, true)),
    ("honor-expires", (Caching::HonorExpires, true)),
];

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<Caching> {
    let (make, timed) = fields.kind(TYPES)?;
    if !timed {
        return Some(make(0));
    }
    let fixed = matches!(make(0), Caching::Fixed(_));
    let value = if fixed { Some(fields.required_value("write a duration, such as 1h")?) } else { fields.value() };
    match value {
        None => Some(make(0)),
        Some(text) => fields.read_value(text, str::parse::<DeltaTime>).map(|time| make(time.as_secs())),
    }
}
