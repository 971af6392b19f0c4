//! Cache directives of a response: `Cache-Control` (RFC 9111 section 5.2) and `CDN-Cache-Control` (RFC 9213).

use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::CDN_CACHE_CONTROL;

/// Largest number of seconds that is counted; more means this many (RFC 9111 section 1.2.2).
pub(super) const MOST_SECONDS: u32 = i32::MAX as u32;

/// What a response says about its own caching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// The response carries such a field, whatever it says.
    pub present: bool,
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub max_age: Option<u32>,
    pub s_maxage: Option<u32>,
    pub stale_while_revalidate: Option<u32>,
    pub stale_if_error: Option<u32>,
}

impl Directives {
    /// The directives that count: those of `CDN-Cache-Control` alone when that field is there and well formed, otherwise those of
    /// `Cache-Control`. The flag says which.
    pub(super) fn of(headers: &HeaderMap) -> (Self, Source) {
        match targeted(headers) {
            Some(directives) => (directives, Source::Targeted),
            None => (general(headers), Source::General),
        }
    }

    /// Takes one directive in. Numbers: the smallest wins where a directive is repeated, and one that cannot be read is 0, so
    /// that a broken answer is stale rather than cached for too long.
    fn take(&mut self, name: &str, number: impl FnOnce() -> u32) {
        let least = |slot: &mut Option<u32>, value: u32| *slot = Some(slot.map_or(value, |old| old.min(value)));
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "max-age" => least(&mut self.max_age, number()),
            "s-maxage" => least(&mut self.s_maxage, number()),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate, number()),
            "stale-if-error" => least(&mut self.stale_if_error, number()),
            _ => {}
        }
    }
}

/// Which field the directives came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `CDN-Cache-Control`; `Expires` does not count beside it.
    Targeted,
    /// `Cache-Control`.
    General,
}

fn general(headers: &HeaderMap) -> Directives {
    let mut directives = Directives::default();
    for value in headers.get_all(CACHE_CONTROL) {
        directives.present = true;
        for item in split_unquoted(value.as_bytes(), b',') {
            let (name, argument) = match item.iter().position(|byte| *byte == b'=') {
                Some(equals) => item.split_at(equals),
                None => (item, &[][..]),
            };
            // White space around `=` is not in the grammar: `max-age =1` names no directive, `max-age= 1` no number.
            let Ok(name) = str::from_utf8(name) else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            directives.take(&name, || seconds(unquote(argument.strip_prefix(b"=").unwrap_or_default())));
        }
    }
    directives
}

/// Delta-seconds; what is no number is 0, what is too large is [`MOST_SECONDS`].
pub(super) fn seconds(digits: &[u8]) -> u32 {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let parsed = str::from_utf8(digits).ok().and_then(|text| text.parse::<u32>().ok());
    parsed.map_or(MOST_SECONDS, |number| number.min(MOST_SECONDS))
}

fn unquote(argument: &[u8]) -> &[u8] {
    argument.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(argument)
}

/// Splits a list outside of quoted strings and trims the items.
fn split_unquoted(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        let splits = !quoted && *byte == separator;
        match *byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        splits
    })
    .map(<[u8]>::trim_ascii)
}

/// `CDN-Cache-Control` as a structured-field dictionary; `None` when it is absent, empty or malformed (RFC 9213 section 2.1).
fn targeted(headers: &HeaderMap) -> Option<Directives> {
    let mut members: Vec<(String, Item)> = Vec::new();
    for value in headers.get_all(CDN_CACHE_CONTROL) {
        let text = value.to_str().ok()?;
        for member in split_unquoted(text.as_bytes(), b',') {
            let (name, item) = dictionary_member(member)?;
            // The last of equal keys wins in a dictionary (RFC 9651 section 3.2).
            members.retain(|(earlier, _)| *earlier != name);
            members.push((name, item));
        }
    }
    let mut directives = Directives { present: !members.is_empty(), ..Directives::default() };
    for (name, item) in &members {
        match item {
            Item::No => {}
            Item::Yes | Item::Other => directives.take(name, || 0),
            Item::Integer(number) => directives.take(name, || *number),
        }
    }
    directives.present.then_some(directives)
}

/// The value of a dictionary member, as far as directives care.
enum Item {
    Yes,
    No,
    Integer(u32),
    Other,
}

fn dictionary_member(member: &[u8]) -> Option<(String, Item)> {
    let bare = split_unquoted(member, b';').next()?;
    if !member.starts_with(bare) {
        return None;
    }
    let equals = bare.iter().position(|byte| *byte == b'=').unwrap_or(bare.len());
    let (name, value) = bare.split_at(equals);
    let first = *name.first()?;
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte);
    if !(first.is_ascii_lowercase() || first == b'*') || !name.iter().all(legal) {
        return None;
    }
    let name = str::from_utf8(name).ok()?.to_owned();
    let Some(value) = value.strip_prefix(b"=") else {
        return Some((name, Item::Yes));
    };
    Some((name, bare_item(value)?))
}

fn bare_item(value: &[u8]) -> Option<Item> {
    let (first, rest) = value.split_first()?;
    match first {
        b'?' => match rest {
            b"1" => Some(Item::Yes),
            b"0" => Some(Item::No),
            _ => None,
        },
        b'-' => number(rest, true),
        digit if digit.is_ascii_digit() => number(value, false),
        b'"' => (!rest.is_empty() && rest.ends_with(b"\"")).then_some(Item::Other),
        letter if letter.is_ascii_alphabetic() || *letter == b'*' => rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(byte))
            .then_some(Item::Other),
        // Byte sequences, dates, display strings, inner lists: legal, and no directive uses them.
        b':' | b'@' | b'%' | b'(' => Some(Item::Other),
        _ => None,
    }
}

/// An integer of at most 15 digits or a decimal; only the integer means something here.
fn number(digits: &[u8], negative: bool) -> Option<Item> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    if digits.iter().all(u8::is_ascii_digit) {
        return (digits.len() <= 15).then(|| Item::Integer(if negative { 0 } else { seconds(digits) }));
    }
    let mut halves = digits.split(|byte| *byte == b'.');
    let fine = |half: Option<&[u8]>| half.is_some_and(|half| !half.is_empty() && half.iter().all(u8::is_ascii_digit));
    (fine(halves.next()) && fine(halves.next()) && halves.next().is_none()).then_some(Item::Other)
}
