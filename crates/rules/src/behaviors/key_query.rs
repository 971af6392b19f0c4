//! `cachekey-query-args`: which parameters of the query are in the cache key. Source: policy-language 4.3.

use super::fields::Fields;
use crate::grammar::query::{Parameter, decode, parameters};
use crate::grammar::{Invalid, list};

/// The part of the query that is in the cache key. Only the key changes: the origin still gets the whole query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyQuery(Choice);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    All,
    None,
    Listed { wanted: Box<[Wanted]>, keep: bool },
}

/// One token of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// The parameter of this name, with this value if one is given; decoded.
    Exact { name: Box<[u8]>, value: Option<Box<[u8]>> },
    /// Every parameter whose decoded text begins so.
    Prefix(Box<[u8]>),
}

#[derive(Clone, Copy)]
enum Kind {
    All,
    None,
    Include,
    Ignore,
}

const TYPES: &[(&str, Kind)] =
    &[("include-all", Kind::All), ("ignore-all", Kind::None), ("include", Kind::Include), ("ignore", Kind::Ignore)];

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<KeyQuery> {
    let prefix = fields.flag("prefix");
    let kind = fields.kind(TYPES)?;
    let prefix = prefix?.unwrap_or(false);
    let keep = match kind {
        Kind::All => return Some(KeyQuery(Choice::All)),
        Kind::None => return Some(KeyQuery(Choice::None)),
        Kind::Include => true,
        Kind::Ignore => false,
    };
    let value = fields.required_value("list parameter names: sessionid utm_source debug=0&")?;
    let wanted =
        fields.report.within("value", |report| report.take(list::each(value, |token| wanted(token, prefix))))?;
    Some(KeyQuery(Choice::Listed { wanted: wanted.into_boxed_slice(), keep }))
}

fn wanted(token: &str, prefix: bool) -> Result<Wanted, Invalid> {
    let anchored = token.strip_suffix('&').or_else(|| token.strip_suffix("%26"));
    let text = anchored.unwrap_or(token);
    if text.is_empty() || text.starts_with('=') || text.contains('&') {
        return Err(Invalid::new(format!("{token:?} does not name a parameter"))
            .hint("write `name`, `name=value` or `name=value&`"));
    }
    if prefix && anchored.is_none() {
        return Ok(Wanted::Prefix(decode(text).into()));
    }
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    Ok(Wanted::Exact { name: decode(name).into(), value: value.map(|value| decode(value).into()) })
}

impl Wanted {
    fn fits(&self, parameter: Parameter<'_>) -> bool {
        match self {
            // Compared decoded: a client could otherwise keep a parameter out of the key by writing it differently.
            Self::Exact { name, value } => {
                *decode(parameter.name) == **name
                    && value.as_ref().is_none_or(|value| *decode(parameter.value) == **value)
            }
            Self::Prefix(prefix) => decode(parameter.raw).starts_with(prefix),
        }
    }
}

impl KeyQuery {
    /// Appends the part of the query that is in the key: order and bytes as sent, without a leading `?`.
    pub fn write(&self, query: Option<&str>, out: &mut Vec<u8>) {
        let Some(query) = query else { return };
        let (wanted, keep) = match &self.0 {
            Choice::All => return out.extend_from_slice(query.as_bytes()),
            Choice::None => return,
            Choice::Listed { wanted, keep } => (wanted, *keep),
        };
        let mut first = true;
        for parameter in parameters(query).filter(|parameter| wanted.iter().any(|token| token.fits(*parameter)) == keep)
        {
            if !first {
                out.push(b'&');
            }
            first = false;
            out.extend_from_slice(parameter.raw.as_bytes());
        }
    }
}
