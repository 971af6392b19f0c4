//! Cache directives of a response: `Cache-Control` (RFC 9111 section 5.2) and `CDN-Cache-Control` (RFC 9213).

use http::header::{self, CACHE_CONTROL};
use http::{HeaderMap, HeaderName};

use super::CDN_CACHE_CONTROL;
use super::structured::{self, Value};

/// Largest number of seconds that is counted; more means this many (RFC 9111 section 1.2.2).
pub(super) const MOST_SECONDS: u32 = i32::MAX as u32;

/// Fields that a directive names at most. One that names more holds for the whole answer.
const MOST_FIELDS: usize = 32;

/// Fields without which an answer cannot be stored: a directive that names one of them holds for the whole answer.
const NEEDED: [HeaderName; 6] = [
    CACHE_CONTROL,
    CDN_CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::VARY,
];

/// What a response says about its own caching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Fields that `no-cache` and `private` name: they are for the request that was answered, and not stored.
    pub withheld: Vec<HeaderName>,
}

/// What stands behind a directive's name.
enum Argument<'a> {
    None,
    Seconds(u32),
    Text(&'a [u8]),
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

    /// Whether the answer may never be served after its time without the origin's word.
    pub(super) fn is_strict(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }

    /// Takes one directive in. Numbers: the smallest wins where a directive is repeated, and one that cannot be read is 0, so
    /// that a broken answer is stale rather than cached for too long.
    fn take(&mut self, name: &str, argument: &Argument<'_>) {
        let seconds = match argument {
            Argument::None => 0,
            Argument::Seconds(number) => *number,
            Argument::Text(text) => seconds(text),
        };
        let least = |slot: &mut Option<u32>| *slot = Some(slot.map_or(seconds, |old| old.min(seconds)));
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache |= !self.withholds(argument),
            "private" => self.private |= !self.withholds(argument),
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "max-age" => least(&mut self.max_age),
            "s-maxage" => least(&mut self.s_maxage),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate),
            "stale-if-error" => least(&mut self.stale_if_error),
            _ => {}
        }
    }

    /// Takes the fields that `no-cache` or `private` names. False when it holds for the whole answer: it names none, or one
    /// that cannot be left out.
    fn withholds(&mut self, argument: &Argument<'_>) -> bool {
        let Argument::Text(list) = argument else { return false };
        let names: Option<Vec<HeaderName>> = list
            .split(|byte| *byte == b',')
            .map(|name| HeaderName::from_bytes(name.trim_ascii()).ok().filter(|name| !NEEDED.contains(name)))
            .collect();
        match names {
            Some(names) if names.len() + self.withheld.len() <= MOST_FIELDS => {
                self.withheld.extend(names);
                true
            }
            _ => false,
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
    each(headers, |name, argument| directives.take(name, &argument.map_or(Argument::None, Argument::Text)));
    directives.present = headers.contains_key(CACHE_CONTROL);
    directives
}

/// Calls `take` with every directive of `Cache-Control`, of a request or a response: its name in lower case, and what follows
/// behind `=`, without quotes.
pub(super) fn each(headers: &HeaderMap, mut take: impl FnMut(&str, Option<&[u8]>)) {
    for value in headers.get_all(CACHE_CONTROL) {
        for item in split_unquoted(value.as_bytes(), b',') {
            let (name, argument) = match item.iter().position(|byte| *byte == b'=') {
                Some(equals) => item.split_at(equals),
                None => (item, &[][..]),
            };
            // White space around `=` is not in the grammar: `max-age =1` names no directive, `max-age= 1` no number.
            let Ok(name) = str::from_utf8(name) else {
                continue;
            };
            take(&name.to_ascii_lowercase(), argument.strip_prefix(b"=").map(unquote));
        }
    }
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

/// Splits a list outside of quoted strings and trims the items. A quote that nothing closes quotes nothing: otherwise a slip of
/// the pen would hide `no-store` behind it.
fn split_unquoted(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let closed = is_closed(list);
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        let splits = !quoted && *byte == separator;
        match *byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if closed => quoted = !quoted,
            _ => {}
        }
        splits
    })
    .map(<[u8]>::trim_ascii)
}

/// Whether every quoted string of a list ends.
fn is_closed(list: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in list {
        match *byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// `CDN-Cache-Control` as a structured-field dictionary; `None` when it is absent, empty or malformed, or a directive's value
/// has the wrong type (RFC 9213 section 2.1).
fn targeted(headers: &HeaderMap) -> Option<Directives> {
    let mut lines = headers.get_all(CDN_CACHE_CONTROL).iter();
    let mut text = lines.next()?.to_str().ok()?.to_owned();
    for line in lines {
        text.push_str(", ");
        text.push_str(line.to_str().ok()?);
    }
    let members = structured::dictionary(&text)?;
    let mut directives = Directives { present: !members.is_empty(), ..Directives::default() };
    for (name, value) in &members {
        let argument = match (name.as_str(), value) {
            ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", Value::Integer(number)) => {
                Argument::Seconds(
                    u32::try_from((*number).max(0)).map_or(MOST_SECONDS, |number| number.min(MOST_SECONDS)),
                )
            }
            ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", _) => return None,
            (_, Value::Boolean(false)) => continue,
            ("no-cache" | "private", Value::Text(fields)) => Argument::Text(fields.as_bytes()),
            // what is there at all counts: the careful reading
            _ => Argument::None,
        };
        directives.take(name, &argument);
    }
    directives.present.then_some(directives)
}
