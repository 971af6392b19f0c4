//! What the DNS server says of a name.

use std::net::IpAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

use crate::wait::Span;

/// The type of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `A`
    A,
    /// `AAAA`
    Aaaa,
    /// Any other, by number.
    Other(u16),
}

/// One name: a map, or one word for both families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is said to a question for IPv4.
    pub a: Says,
    /// What is said to a question for IPv6.
    pub aaaa: Says,
    /// It is another name for this one, which is looked up here too.
    pub cname: Option<String>,
    /// Time to live, whole seconds; 60 s unless told otherwise.
    pub ttl: Span,
    /// The answer is sent so much later.
    pub late: Span,
}

/// What is said to one kind of question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// These records; an empty list is "no such record".
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    Nxdomain,
    /// SERVFAIL.
    Servfail,
    /// REFUSED.
    Refused,
    /// No answer.
    Nothing,
}

impl Default for Entry {
    fn default() -> Self {
        let none = Says::Addresses(Vec::new());
        Self { a: none.clone(), aaaa: none, cname: None, ttl: Span(Duration::from_secs(60)), late: Span::default() }
    }
}

impl Entry {
    /// A name with these addresses, each in the family it is of.
    ///
    /// # Panics
    /// When one is no address.
    #[must_use]
    pub fn of(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let (a, aaaa): (Vec<IpAddr>, Vec<IpAddr>) = addresses.partition(IpAddr::is_ipv4);
        Self { a: Says::Addresses(a), aaaa: Says::Addresses(aaaa), ..Self::default() }
    }

    /// An entry as scenarios write it.
    ///
    /// # Errors
    /// When a DNS server does not say that.
    pub fn parse(script: &str) -> Result<Self, String> {
        serde_yaml::from_str(script).map_err(|error| error.to_string())
    }

    /// A name of which the same is said to every question.
    #[must_use]
    pub fn says_only(says: &Says) -> Self {
        Self { a: says.clone(), aaaa: says.clone(), ..Self::default() }
    }

    pub(super) fn says(&self, kind: Kind) -> &Says {
        const NONE: &Says = &Says::Addresses(Vec::new());
        match kind {
            Kind::A => &self.a,
            Kind::Aaaa => &self.aaaa,
            Kind::Other(_) => NONE,
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parts {
            a: Option<Says>,
            aaaa: Option<Says>,
            cname: Option<String>,
            ttl: Option<Span>,
            late: Option<Span>,
        }
        let usual = Self::default();
        match Value::deserialize(deserializer)? {
            word @ Value::String(_) => {
                serde_yaml::from_value(word).map(|says| Self::says_only(&says)).map_err(D::Error::custom)
            }
            map => {
                let parts: Parts = serde_yaml::from_value(map).map_err(D::Error::custom)?;
                Ok(Self {
                    a: parts.a.unwrap_or(usual.a),
                    aaaa: parts.aaaa.unwrap_or(usual.aaaa),
                    cname: parts.cname,
                    ttl: parts.ttl.unwrap_or(usual.ttl),
                    late: parts.late.unwrap_or(usual.late),
                })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(word) => match word.as_str() {
                "nxdomain" => Self::Nxdomain,
                "servfail" => Self::Servfail,
                "refused" => Self::Refused,
                "nothing" => Self::Nothing,
                other => {
                    let words = "nxdomain, servfail, refused, nothing, or a list of addresses";
                    return Err(D::Error::custom(format!("a DNS server says {words}, not {other:?}")));
                }
            },
            list => Self::Addresses(serde_yaml::from_value(list).map_err(D::Error::custom)?),
        })
    }
}
