//! Settings that rules make: one file per behaviour. Source: policy-language 4 to 7.

pub(crate) mod access;
pub(crate) mod backup;
pub(crate) mod caching;
pub(crate) mod destination;
pub(crate) mod failover;
pub(crate) mod fields;
pub(crate) mod header_edit;
pub(crate) mod key_query;
pub(crate) mod origin;
pub(crate) mod path_edit;
pub(crate) mod redirect;
pub(crate) mod refresh;
pub(crate) mod switches;
pub(crate) mod target;
pub(crate) mod token_auth;

use fields::Fields;

use crate::grammar::IpSet;
use crate::reading::nearest;
use crate::reading::report::Report;
use crate::reading::{Context, Form};
use crate::token::{Denial, TokenAuth};
use crate::written;

/// Every behaviour that can be written once per request. The order is that of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Slot {
    Origin,
    Caching,
    KeyQuery,
    Refresh,
    IpBlacklist,
    IpWhitelist,
    GeoBlacklist,
    GeoWhitelist,
    RefererBlacklist,
    RefererWhitelist,
    PathEdit,
    TokenAuth,
    Ectoken,
    EctokenDenial,
    EctokenParameter,
    EctokenIgnoreCase,
    Failover,
    Downstream,
    AccessControl,
    DenyAccess,
    Redirect,
    Rewrite,
    Compression,
    Backup,
    BypassCache,
    StoreOnHit,
    OriginCharacteristics,
    DynamicWebContent,
    LargeFiles,
    OnDemandStreaming,
    LiveStreaming,
    /// One winner for each header name.
    RequestHeader,
    /// One winner for each header name.
    ResponseHeader,
}

/// How many slots have a single winner; the two header behaviours have one for each header name.
pub(crate) const SINGLE_SLOTS: usize = Slot::RequestHeader as usize;

pub(crate) const NAMES: &[(&str, Slot)] = &[
    ("origin", Slot::Origin),
    ("caching", Slot::Caching),
    ("cachekey-query-args", Slot::KeyQuery),
    ("content-refresh", Slot::Refresh),
    ("ip-blacklist", Slot::IpBlacklist),
    ("ip-whitelist", Slot::IpWhitelist),
    ("geo-blacklist", Slot::GeoBlacklist),
    ("geo-whitelist", Slot::GeoWhitelist),
    ("referer-blacklist", Slot::RefererBlacklist),
    ("referer-whitelist", Slot::RefererWhitelist),
    ("modify-outgoing-request-path", Slot::PathEdit),
    ("token-auth", Slot::TokenAuth),
    ("ectoken", Slot::Ectoken),
    ("ectoken-denial", Slot::EctokenDenial),
    ("ectoken-parameter", Slot::EctokenParameter),
    ("ectoken-ignore-case", Slot::EctokenIgnoreCase),
    ("site-failover", Slot::Failover),
    ("downstream-caching", Slot::Downstream),
    ("access-control", Slot::AccessControl),
    ("deny-access", Slot::DenyAccess),
    ("url-redirect", Slot::Redirect),
    ("rewrite", Slot::Rewrite),
    ("content-compression", Slot::Compression),
    ("origin-failover", Slot::Backup),
    ("bypass-cache", Slot::BypassCache),
    ("store-on-hit", Slot::StoreOnHit),
    ("origin-characteristics", Slot::OriginCharacteristics),
    ("content-characteristics-dynamic-web-content", Slot::DynamicWebContent),
    ("content-characteristics-large-files", Slot::LargeFiles),
    ("content-characteristics-on-demand-streaming", Slot::OnDemandStreaming),
    ("content-characteristics-live-streaming", Slot::LiveStreaming),
    ("modify-outgoing-request-header", Slot::RequestHeader),
    ("modify-outgoing-response-header", Slot::ResponseHeader),
];

/// Every legal name.
pub(crate) fn names() -> Vec<&'static str> {
    NAMES.iter().map(|(name, _)| *name).collect()
}

impl Slot {
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, slot)| *slot == self).map_or("", |(name, _)| name)
    }
}

/// One behaviour, ready to be carried out.
#[derive(Debug)]
pub(crate) enum Setting {
    Origin(Box<origin::Origin>),
    Caching(caching::Caching),
    KeyQuery(key_query::KeyQuery),
    Refresh(refresh::Refresh),
    Ips(Box<IpSet>),
    Geo(access::Geo),
    Referers(access::Referers),
    PathEdit(path_edit::PathEdit),
    Failover(Box<failover::Plan>),
    Downstream(switches::Downstream),
    TokenAuth(Box<TokenAuth>),
    Denial(Box<Denial>),
    /// The parameter that holds an ectoken; nothing: it stands at the start of the query.
    TokenParameter(Option<Box<str>>),
    /// `deny-access`, `access-control`, `content-compression`, `bypass-cache`, `ectoken`, `ectoken-ignore-case`: in force or lifted.
    Switch(bool),
    /// `store-on-hit`: from which request on an object is stored.
    StoreOnHit(u8),
    Redirect(Box<redirect::Plan>),
    Rewrite(Box<redirect::Rewrite>),
    Header(Box<header_edit::Edit>),
    Backup(Box<backup::Plan>),
    /// Accepted, but decides nothing.
    Inert,
}

/// Reads one behaviour; everything that is wrong goes to the report.
pub(crate) fn parse(
    written: &written::Behavior,
    form: Form,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<(Slot, Setting)> {
    let Some((name, slot)) = NAMES.iter().copied().find(|(name, _)| *name == written.name) else {
        let legal = names();
        let near = nearest(&written.name, legal.iter().copied())
            .map_or_else(String::new, |near| format!("did you mean {near:?}? "));
        report.within("name", |report| {
            report.error_hint(
                format!("unknown behavior {:?}", written.name),
                format!("{near}legal names: {}", legal.join(", ")),
            );
        });
        return None;
    };
    let mut fields = Fields::new(name, written, form, report);
    let setting = match slot {
        Slot::Origin => origin::parse(&mut fields, context).map(|origin| Setting::Origin(Box::new(origin))),
        Slot::Caching => caching::parse(&mut fields).map(Setting::Caching),
        Slot::KeyQuery => key_query::parse(&mut fields).map(Setting::KeyQuery),
        Slot::Refresh => refresh::parse(&mut fields, context).map(Setting::Refresh),
        Slot::IpBlacklist | Slot::IpWhitelist => access::ips(&mut fields).map(|ips| Setting::Ips(Box::new(ips))),
        Slot::GeoBlacklist | Slot::GeoWhitelist => access::geo(&mut fields).map(Setting::Geo),
        Slot::RefererBlacklist | Slot::RefererWhitelist => access::referers(&mut fields).map(Setting::Referers),
        Slot::PathEdit => path_edit::parse(&mut fields).map(Setting::PathEdit),
        Slot::TokenAuth => token_auth::parse(&mut fields).map(|settings| Setting::TokenAuth(Box::new(settings))),
        Slot::EctokenDenial => token_auth::denial(&mut fields).map(|denial| Setting::Denial(Box::new(denial))),
        Slot::EctokenParameter => token_auth::parameter(&mut fields).map(Setting::TokenParameter),
        Slot::Failover => failover::parse(&mut fields, context).map(|plan| Setting::Failover(Box::new(plan))),
        Slot::Downstream => switches::downstream(&mut fields).map(Setting::Downstream),
        Slot::AccessControl => switches::access_control(&mut fields).map(|()| Setting::Switch(true)),
        Slot::DenyAccess | Slot::BypassCache | Slot::Ectoken | Slot::EctokenIgnoreCase => {
            switches::yes_or_no(&mut fields).map(Setting::Switch)
        }
        Slot::StoreOnHit => switches::store_on_hit(&mut fields).map(Setting::StoreOnHit),
        Slot::Compression => switches::compression(&mut fields).map(Setting::Switch),
        Slot::Redirect => redirect::parse(&mut fields).map(|plan| Setting::Redirect(Box::new(plan))),
        Slot::Rewrite => redirect::parse_rewrite(&mut fields).map(|rewrite| Setting::Rewrite(Box::new(rewrite))),
        Slot::Backup => backup::parse(&mut fields, context).map(|plan| Setting::Backup(Box::new(plan))),
        Slot::RequestHeader | Slot::ResponseHeader => {
            header_edit::parse(&mut fields).map(|edit| Setting::Header(Box::new(edit)))
        }
        Slot::OriginCharacteristics
        | Slot::DynamicWebContent
        | Slot::LargeFiles
        | Slot::OnDemandStreaming
        | Slot::LiveStreaming => {
            switches::no_effect(&mut fields);
            Some(Setting::Inert)
        }
    };
    fields.finish();
    setting.map(|setting| (slot, setting))
}

#[cfg(test)]
mod tests;
