//! Which variant of an object a request selects (RFC 9111 section 4.1).

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY};
use pingora::http::RequestHeader;
use pingora_cache::CacheMeta;
use pingora_cache::key::HashBinary;

use crate::key::{frame, keyed_hash};

#[cfg(test)]
mod tests;

/// What stands before the value of a field: there is none, it is what was understood of it, it is what was sent.
const ABSENT: u8 = 0;
const UNDERSTOOD: u8 = 1;
const AS_SENT: u8 = 2;

/// The content codings in use; whether one is accepted is a yes or no, without weights and order.
const CODINGS: [&str; 4] = ["br", "zstd", "gzip", "deflate"];

/// The hash of the request's values for the fields that the stored answer varies on, `None` when it varies on nothing.
///
/// The same function serves lookup and store. Values are normalised first: `Accept-Encoding` to the set of codings with a
/// weight above zero, `Accept-Language` to the languages by weight, lists of other fields to their items, so that equal wishes
/// share one variant.
#[must_use]
pub fn variance(meta: &CacheMeta, request: &RequestHeader) -> Option<HashBinary> {
    of_headers(meta.headers(), &request.headers)
}

fn of_headers(response: &HeaderMap, request: &HeaderMap) -> Option<HashBinary> {
    let mut names: Vec<String> = response
        .get_all(VARY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        // what is no name at all stands for a field that nobody sends
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        return None;
    }
    names.sort_unstable();
    names.dedup();
    let mut framed = Vec::new();
    for name in &names {
        frame(name.as_bytes(), &mut framed);
        if !request.contains_key(name.as_str()) {
            framed.push(ABSENT);
            continue;
        }
        let understood = match name.as_str() {
            "accept-encoding" => accepted_codings(request),
            "accept-language" => accepted_languages(request),
            _ => None,
        };
        framed.push(if understood.is_some() { UNDERSTOOD } else { AS_SENT });
        frame(&understood.unwrap_or_else(|| joined(request, name)), &mut framed);
    }
    Some(keyed_hash(&framed))
}

/// One byte for each known coding in the order of [`CODINGS`] plus one for identity, 1 when it is accepted; then the unknown
/// ones that are accepted, since an origin may know them. `None` where an origin may read something else than this: it is asked
/// with the value as it came, and its answer must not be that of clients who mean what is read here.
fn accepted_codings(request: &HeaderMap) -> Option<Vec<u8>> {
    let mut accepted: [Option<bool>; CODINGS.len() + 1] = [None; CODINGS.len() + 1];
    let (mut rest, mut unknown, mut refused) = (None, Vec::new(), Vec::new());
    for value in request.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().ok()?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, parameter) = item.split_once(';').unwrap_or((item, ""));
            let is_wanted = weight(parameter)? > 0;
            let name = name.trim().to_ascii_lowercase();
            let slot = match name.as_str() {
                "*" => Some(&mut rest),
                "identity" => accepted.get_mut(CODINGS.len()),
                "x-gzip" => CODINGS.iter().position(|coding| *coding == "gzip").and_then(|at| accepted.get_mut(at)),
                other => CODINGS.iter().position(|coding| *coding == other).and_then(|at| accepted.get_mut(at)),
            };
            match slot {
                // said twice, and only the origin knows which one counts
                Some(Some(before)) if *before != is_wanted => return None,
                Some(slot) => *slot = Some(is_wanted),
                None if is_wanted => unknown.push(name),
                None => refused.push(name),
            }
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.iter().any(|name| refused.contains(name)) || rest == Some(true) && !refused.is_empty() {
        return None;
    }
    let without_mention = |place: usize| rest.unwrap_or(place == CODINGS.len());
    let known =
        accepted.iter().enumerate().map(|(place, slot)| u8::from(slot.unwrap_or_else(|| without_mention(place))));
    let mut set: Vec<u8> = known.collect();
    for name in unknown {
        frame(name.as_bytes(), &mut set);
    }
    Some(set)
}

/// The languages with their weights in thousandths, best first. Those of equal weight are equally welcome in whatever order they
/// were named (RFC 9110 section 12.5.4), and case does not count. `None` where that is not plain.
fn accepted_languages(request: &HeaderMap) -> Option<Vec<u8>> {
    let mut accepted: Vec<(u16, String)> = Vec::new();
    for value in request.get_all(ACCEPT_LANGUAGE) {
        for item in value.to_str().ok()?.split(',') {
            let (range, parameter) = item.split_once(';').unwrap_or((item, ""));
            let range = range.trim().to_ascii_lowercase();
            match weight(parameter) {
                _ if range.is_empty() && parameter.is_empty() => {}
                Some(weight) => accepted.push((weight, range)),
                // what is not understood is a wish of its own
                None => accepted.push((u16::MAX, format!("{range};{parameter}"))),
            }
        }
    }
    accepted.sort_unstable_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    accepted.dedup();
    let mut list = Vec::new();
    for (weight, range) in accepted {
        list.extend_from_slice(&weight.to_be_bytes());
        frame(range.as_bytes(), &mut list);
    }
    Some(list)
}

/// A weight in thousandths (RFC 9110 section 12.4.2); 1 where there is none.
fn weight(parameter: &str) -> Option<u16> {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return Some(1000);
    }
    let (name, value) = parameter.split_once('=')?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !name.eq_ignore_ascii_case("q") || !digits || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

/// All values of a field as one list, with optional white space around commas removed.
fn joined(request: &HeaderMap, name: &str) -> Vec<u8> {
    let mut list = Vec::new();
    for value in request.get_all(name) {
        for item in value.as_bytes().split(|byte| *byte == b',') {
            let item = item.trim_ascii();
            if !item.is_empty() {
                frame(item, &mut list);
            }
        }
    }
    list
}
