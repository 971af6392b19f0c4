//! What a token requires: `name=value&name=value`, all of which must hold. Sources: delivery-and-security 4.2 and 4.3.

use std::net::IpAddr;

use http::header::REFERER;
use ipnet::IpNet;

use super::Code;
use crate::facts::Facts;
use crate::path::normalise_escapes;
use crate::place::Code as PlaceCode;

/// Bytes of a Referer's host that a leading `*` may stand for.
const MAX_HOST: usize = 255;
/// What stands for an absent Referer.
const MISSING: &str = "missing";

/// Names that are tested; every other one is ignored.
const NAMES: [&str; 13] = [
    "ec_expire",
    "ec_country_allow",
    "ec_country_deny",
    "ec_url_allow",
    "ec_host_allow",
    "ec_host_deny",
    "ec_ref_allow",
    "ec_ref_deny",
    "ec_proto_allow",
    "ec_proto_deny",
    "ec_clientip",
    // of older tokens; what they allow
    "ec_country",
    "ec_ref",
];

fn terms(plaintext: &str) -> impl Iterator<Item = (&str, &str)> {
    plaintext.split('&').map(|term| term.split_once('=').unwrap_or((term, "")))
}

/// Items of a list. One that begins with a space is no item.
fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter(|item| !item.starts_with(' '))
}

/// The first requirement that does not hold.
pub(super) fn check(plaintext: &str, ignore_case: bool, facts: &Facts<'_>) -> Code {
    let referers = Referers::of(facts, ignore_case);
    let has = |wanted: &str| terms(plaintext).any(|(name, _)| name == wanted);
    for (name, value) in terms(plaintext) {
        // where both lists are given, the list of what is allowed decides
        let (good, otherwise) = match name {
            "ec_expire" => (is_in_time(value, facts.now), Code::Expire),
            "ec_clientip" => (address(value, facts.client_ip), Code::ClientIp),
            "ec_country" => (country(value, facts), Code::Country),
            "ec_country_allow" => (country(value, facts), Code::CountryAllow),
            "ec_country_deny" => (has("ec_country_allow") || !country(value, facts), Code::CountryDeny),
            "ec_url_allow" => (url(value, facts.path.as_str(), ignore_case), Code::UrlAllow),
            "ec_host_allow" => (host(value, facts.host), Code::HostAllow),
            "ec_host_deny" => (has("ec_host_allow") || !host(value, facts.host), Code::HostDeny),
            "ec_ref" => (referers.all_in(value), Code::Ref),
            "ec_ref_allow" => (referers.all_in(value), Code::RefAllow),
            "ec_ref_deny" => (has("ec_ref_allow") || !referers.any_in(value), Code::RefDeny),
            "ec_proto_allow" => (items(value).any(|item| item == facts.scheme.as_str()), Code::ProtoAllow),
            "ec_proto_deny" => {
                (has("ec_proto_allow") || !items(value).any(|item| item == facts.scheme.as_str()), Code::ProtoDeny)
            }
            _ => continue,
        };
        if !good {
            return otherwise;
        }
    }
    Code::Allow
}

/// The last second in which it is good; 0 is never over. What is no number is over.
fn is_in_time(value: &str, now: u64) -> bool {
    seconds(value).is_some_and(|until| until == 0 || now <= until)
}

fn seconds(value: &str) -> Option<u64> {
    value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Addresses and networks; the base of a network need not be aligned.
fn address(value: &str, client: IpAddr) -> bool {
    let client = client.to_canonical();
    items(value).any(|item| match item.parse::<IpNet>() {
        Ok(network) => network.contains(&client),
        Err(_) => item.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == client),
    })
}

/// An unknown country is in no list.
fn country(value: &str, facts: &Facts<'_>) -> bool {
    let Some(country) = facts.place.and_then(|place| place.country) else { return false };
    items(value).any(|item| PlaceCode::new(item) == Some(country))
}

/// Beginnings of paths, not of whole segments. What can be no part of a path is compared as it stands.
fn url(value: &str, path: &str, ignore_case: bool) -> bool {
    let begins = |item: &str| begins_with(path.as_bytes(), item.as_bytes(), ignore_case);
    items(value)
        .filter(|item| !item.is_empty())
        .any(|item| begins(item) || normalise_escapes(item).is_ok_and(|item| begins(&item)))
}

fn begins_with(text: &[u8], start: &[u8], ignore_case: bool) -> bool {
    text.get(..start.len())
        .is_some_and(|front| if ignore_case { front.eq_ignore_ascii_case(start) } else { front == start })
}

/// Hosts without regard to case and port; `*` is special as the first character only.
fn host(value: &str, host: &str) -> bool {
    items(value).filter(|item| !item.is_empty()).any(|item| {
        let item = match item.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') => name,
            _ => item,
        };
        match item.strip_prefix('*') {
            Some(end) => host
                .len()
                .checked_sub(end.len())
                .and_then(|from| host.get(from..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end)),
            None => host.eq_ignore_ascii_case(item),
        }
    })
}

/// The Referer lines of a request without their schemes. A second line opens nothing.
struct Referers<'a> {
    lines: smallvec::SmallVec<[&'a [u8]; 1]>,
    ignore_case: bool,
}

impl<'a> Referers<'a> {
    fn of(facts: &Facts<'a>, ignore_case: bool) -> Self {
        let lines = facts.headers.get_all(REFERER).iter().map(|line| line.as_bytes().trim_ascii());
        let lines = lines.filter(|line| !line.is_empty()).map(without_scheme).collect();
        Self { lines, ignore_case }
    }

    fn all_in(&self, value: &str) -> bool {
        if self.lines.is_empty() { says_missing(value) } else { self.lines.iter().all(|line| self.is_in(value, line)) }
    }

    fn any_in(&self, value: &str) -> bool {
        if self.lines.is_empty() { says_missing(value) } else { self.lines.iter().any(|line| self.is_in(value, line)) }
    }

    fn is_in(&self, value: &str, line: &[u8]) -> bool {
        let begins = |text: &[u8], item: &str| begins_with(text, item.as_bytes(), self.ignore_case);
        let host = line.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(line.len()).min(MAX_HOST);
        items(value).filter(|item| !item.is_empty() && !item.eq_ignore_ascii_case(MISSING)).any(|item| {
            let item = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://")).unwrap_or(item);
            match item.strip_prefix('*') {
                Some(rest) => (0..=host).filter_map(|from| line.get(from..)).any(|line| begins(line, rest)),
                None => begins(line, item),
            }
        })
    }
}

/// `missing`, or an empty item.
fn says_missing(value: &str) -> bool {
    items(value).any(|item| item.is_empty() || item.eq_ignore_ascii_case(MISSING))
}

fn without_scheme(referer: &[u8]) -> &[u8] {
    let scheme =
        |name: &[u8]| referer.split_at_checked(name.len()).filter(|(front, _)| front.eq_ignore_ascii_case(name));
    scheme(b"https://").or_else(|| scheme(b"http://")).map_or(referer, |(_, rest)| rest)
}

/// When a token is over, Unix seconds; nothing when it never is.
#[must_use]
pub fn expires_at(plaintext: &str) -> Option<u64> {
    let times = terms(plaintext).filter(|(name, _)| *name == "ec_expire").filter_map(|(_, value)| seconds(value));
    times.filter(|until| *until != 0).min()
}

/// What whoever makes such a token should look at twice.
#[must_use]
pub fn remarks(plaintext: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in terms(plaintext) {
        let throttle = ["ec_rate", "ec_prebuf"].contains(&name);
        if !NAMES.contains(&name) {
            let unknown = if throttle { "is not enforced" } else { "is not known and requires nothing" };
            found.push(format!("{name} {unknown}"));
        } else if value.split(',').any(|item| item.starts_with(' ')) {
            found.push(format!("{name}: an item that begins with a space does not count"));
        } else if name == "ec_expire" && seconds(value).is_none() {
            found.push("ec_expire is not in Unix seconds: the token is over from the beginning".to_owned());
        }
    }
    found
}
