//! `origin`: where answers come from. Source: policy-language 4.1.

use std::time::Duration;

use super::fields::Fields;
use crate::grammar::{Invalid, host};
use crate::reading::Context;

/// The scheme towards an origin, `originScheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OriginScheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// What the client used.
    #[default]
    Match,
}

#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) domain: String,
    pub(crate) host_header: Name,
    pub(crate) key_host: Name,
    pub(crate) scheme: OriginScheme,
    pub(crate) port: Option<u16>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
}

/// The name that stands in a place: the site's, the origin's, or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Property,
    Origin,
    Fixed(String),
}

#[derive(Clone, Copy)]
enum Kind {
    Property,
    Origin,
    Fixed,
}

const KINDS: &[(&str, Kind)] =
    &[("digital_property", Kind::Property), ("origin", Kind::Origin), ("fixed", Kind::Fixed)];

pub(super) fn parse(fields: &mut Fields<'_, '_>, context: &Context<'_>) -> Option<Origin> {
    let property = fields.optional("digitalProperty", |text| {
        let name = host::domain(text)?;
        if context.property_hosts.iter().any(|host| host.eq_ignore_ascii_case(&name)) || (context.known_host)(&name) {
            return Ok(());
        }
        Err(Invalid::new(format!("digitalProperty {text:?} is no site here"))
            .hint("write \"-\" for the site that this policy belongs to"))
    });
    let domain = fields.required("originDomain", |text| not_own(host::domain(text)?, context));
    let host_header = name(fields, "hostHeaderType", "hostHeaderValue", host::authority);
    let key_host = name(fields, "cacheKeyType", "cacheKeyValue", |text| {
        let good = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#'));
        if good {
            Ok(text.to_ascii_lowercase())
        } else {
            Err(Invalid::new(format!("{text:?} cannot stand for a host in a cache key")))
        }
    });
    let port = fields.whole("originPort", 1..=65_535);
    let scheme = fields.word(
        "originScheme",
        &[("http", OriginScheme::Http), ("https", OriginScheme::Https), ("match", OriginScheme::Match)],
    );
    let connect_timeout = fields.time_limit("connectTimeout");
    let read_timeout = fields.time_limit("readTimeout");
    property?;
    Some(Origin {
        domain: domain?,
        host_header: host_header?,
        key_host: key_host?,
        scheme: scheme?.unwrap_or_default(),
        port: port?.and_then(|port| u16::try_from(port).ok()),
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
    })
}

/// A site that is its own origin would ask itself for ever.
pub(super) fn not_own(domain: String, context: &Context<'_>) -> Result<String, Invalid> {
    if context.property_hosts.iter().any(|host| host.eq_ignore_ascii_case(&domain)) {
        return Err(Invalid::new(format!("{domain} is this site itself: requests would go round in a loop"))
            .hint("name the server behind the site"));
    }
    Ok(domain)
}

fn name(
    fields: &mut Fields<'_, '_>,
    kind: &'static str,
    value: &'static str,
    read: impl FnOnce(&str) -> Result<String, Invalid>,
) -> Option<Name> {
    let kind_given = fields.word(kind, KINDS);
    if let Some(Some(Kind::Fixed)) = kind_given {
        return fields.required(value, read).map(Name::Fixed);
    }
    // Legal as a filler, and ignored with the other types.
    let _ = fields.text(value);
    Some(if matches!(kind_given?, Some(Kind::Origin)) { Name::Origin } else { Name::Property })
}
