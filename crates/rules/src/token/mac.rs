//! `token-auth`: tokens that say what they allow and carry an HMAC over it. Source: policy-language 4.8.
//!
//! `exp=1893456000~acl=/video/*~hmac=5f71...` is for what an `acl` covers; without an `acl` the MAC is over the requested URL too,
//! which the token does not repeat.

use std::borrow::Cow;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac as _};
use http::HeaderName;
use http::header::COOKIE;
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use smallvec::SmallVec;
use subtle::ConstantTimeEq;

use super::fields::{Fields, address, escape, fields, hex, seconds, split};
use super::{Code, Place, glob};
use crate::facts::Facts;
use crate::grammar::Invalid;

/// Hexadecimal digits of the longest key.
const MAX_KEY_DIGITS: usize = 64;
/// Bytes of the longest token.
pub const MAX_TOKEN: usize = 4096;

/// The hash under the MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `SHA256`, which is advised.
    Sha256,
    /// `SHA1`
    Sha1,
    /// `MD5`
    Md5,
}

impl Algorithm {
    /// Every algorithm by its word.
    pub const ALL: [(&'static str, Self); 3] = [("SHA256", Self::Sha256), ("SHA1", Self::Sha1), ("MD5", Self::Md5)];

    /// The word in policies.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(word, _)| word)
    }
}

/// A key with its algorithm, its inner and outer hash begun once.
#[derive(Clone)]
pub struct Key(Keyed);

#[derive(Clone)]
enum Keyed {
    Sha256(Hmac<Sha256>),
    Sha1(Hmac<Sha1>),
    Md5(Hmac<Md5>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

type Digest = SmallVec<[u8; 32]>;

impl Key {
    /// Reads the hexadecimal digits of a key.
    ///
    /// # Errors
    /// For other characters, an odd number of digits, none, and more than 64. The message never repeats the key.
    pub fn from_hex(algorithm: Algorithm, digits: &str) -> Result<Self, Invalid> {
        let bytes = hex(digits).filter(|bytes| !bytes.is_empty() && digits.len() <= MAX_KEY_DIGITS);
        let bytes = bytes.ok_or_else(|| {
            Invalid::new(format!("a key is an even number of hexadecimal digits, at most {MAX_KEY_DIGITS}"))
        })?;
        let unfit = |_| Invalid::new("the key does not fit the algorithm");
        Ok(Self(match algorithm {
            Algorithm::Sha256 => Keyed::Sha256(Hmac::new_from_slice(&bytes).map_err(unfit)?),
            Algorithm::Sha1 => Keyed::Sha1(Hmac::new_from_slice(&bytes).map_err(unfit)?),
            Algorithm::Md5 => Keyed::Md5(Hmac::new_from_slice(&bytes).map_err(unfit)?),
        }))
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        macro_rules! over {
            ($mac:expr) => {{
                let mut mac = $mac.clone();
                parts.iter().for_each(|part| mac.update(part));
                Digest::from_slice(&mac.finalize().into_bytes())
            }};
        }
        match &self.0 {
            Keyed::Sha256(mac) => over!(mac),
            Keyed::Sha1(mac) => over!(mac),
            Keyed::Md5(mac) => over!(mac),
        }
    }
}

/// The form of tokens: what maker and verifier must agree on beside the key.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Between the fields of a token.
    pub delimiter: char,
    /// Between the patterns of an `acl`.
    pub acl_delimiter: char,
    /// Whether `ip`, `id`, `data` and the URL are escaped before the MAC.
    pub escape: bool,
    /// A text that is under the MAC and not in the token.
    pub salt: Option<Salt>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { delimiter: '~', acl_delimiter: '!', escape: false, salt: None }
    }
}

/// A salt, which prints as `[secret]`.
#[derive(Clone)]
pub struct Salt(pub Box<str>);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a new token shall say.
#[derive(Debug, Clone, Default)]
pub struct Claims<'a> {
    /// The only client that may use it.
    pub ip: Option<IpAddr>,
    /// From when on it is good, Unix seconds.
    pub start: Option<u64>,
    /// From when on it is over, Unix seconds.
    pub expires: u64,
    /// What it is good for.
    pub what: What<'a>,
    /// Whose session it is; not tested.
    pub id: Option<&'a str>,
    /// Anything; not tested.
    pub data: Option<&'a str>,
}

/// What a token is good for.
#[derive(Debug, Clone)]
pub enum What<'a> {
    /// Paths that fit one of these patterns.
    Acl(&'a [&'a str]),
    /// This path, and query unless that is ignored, unescaped.
    Url(&'a str),
}

impl Default for What<'_> {
    fn default() -> Self {
        Self::Url("/")
    }
}

/// Makes a token.
///
/// # Errors
/// When a text holds the delimiter: it would be read as the beginning of another field.
pub fn sign(key: &Key, shape: &Shape, claims: &Claims<'_>) -> Result<String, Invalid> {
    let escaped = |text: &str| if shape.escape { escape(text.as_bytes()) } else { text.to_owned() };
    let mut fields = Vec::new();
    fields.extend(claims.ip.map(|ip| format!("ip={}", escaped(&ip.to_string()))));
    fields.extend(claims.start.map(|start| format!("st={start}")));
    fields.push(format!("exp={}", claims.expires));
    let mut url = None;
    match &claims.what {
        What::Acl(patterns) => fields.push(format!("acl={}", patterns.join(&shape.acl_delimiter.to_string()))),
        What::Url(text) => url = Some(escaped(text)),
    }
    fields.extend(claims.id.map(|id| format!("id={}", escaped(id))));
    fields.extend(claims.data.map(|data| format!("data={}", escaped(data))));
    let delimited = |text: &str| text.contains(shape.delimiter);
    if fields.iter().any(|field| delimited(field)) || url.as_deref().is_some_and(delimited) {
        return Err(Invalid::new(format!("a value contains {:?}, which separates the fields", shape.delimiter))
            .hint("escape the inputs, or choose another delimiter"));
    }
    let text = fields.join(&shape.delimiter.to_string());
    let mac = key.digest(&input(shape, text.as_bytes(), url.as_deref().map(str::as_bytes), &mut [0; 4]));
    let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{text}{}hmac={digits}", shape.delimiter))
}

/// What the MAC is over: the fields, and what the token does not carry.
fn input<'a>(
    shape: &'a Shape,
    fields: &'a [u8],
    url: Option<&'a [u8]>,
    room: &'a mut [u8; 4],
) -> SmallVec<[&'a [u8]; 7]> {
    let delimiter = shape.delimiter.encode_utf8(room).as_bytes();
    let mut parts = SmallVec::new();
    parts.push(fields);
    for (name, value) in [(&b"url="[..], url), (b"salt=", shape.salt.as_ref().map(|salt| salt.0.as_bytes()))] {
        if let Some(value) = value {
            parts.extend([delimiter, name, value]);
        }
    }
    parts
}

/// The behavior, ready.
#[derive(Debug)]
pub struct TokenAuth {
    pub(crate) name: Box<str>,
    /// The same name among header fields.
    pub(crate) field: HeaderName,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Key,
    pub(crate) transition: Option<Key>,
    pub(crate) shape: Shape,
    pub(crate) ignore_query: bool,
}

impl TokenAuth {
    /// The settings of a verifier that is no behavior: what `leeward token verify` asks.
    ///
    /// # Errors
    /// When the name is none of a token.
    pub fn new(
        name: &str,
        algorithm: Algorithm,
        key: Key,
        transition: Option<Key>,
        shape: Shape,
        ignore_query: bool,
    ) -> Result<Self, Invalid> {
        let good = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let field = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| good);
        let field = field.ok_or_else(|| {
            Invalid::new(format!("{name:?} is not a token name"))
                .hint("begin with a letter; letters, digits, '-' and '_' follow")
        })?;
        Ok(Self { name: name.into(), field, algorithm, key, transition, shape, ignore_query })
    }

    /// The name of parameter, cookie and header field.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header field that may carry a token.
    #[must_use]
    pub fn field(&self) -> &HeaderName {
        &self.field
    }

    /// Where in the query a token may stand.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place::Parameter(&self.name)
    }

    /// Whether the request may go on. Looks into the query, then into cookies, then into the header.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Code {
        match self.find(facts) {
            None => Code::NoToken,
            Some(token) => self.verify(token, facts),
        }
    }

    fn find<'f>(&self, facts: &Facts<'f>) -> Option<&'f str> {
        let text = |value: &'f http::HeaderValue| value.to_str().ok();
        let cookies = facts.headers.get_all(COOKIE).iter().filter_map(text);
        let in_cookies = || cookies.flat_map(|line| line.split(';')).find_map(|pair| self.of_cookie(pair));
        let in_header = || facts.headers.get(&self.field).and_then(text).map(str::trim);
        self.place().find(facts.query).or_else(in_cookies).or_else(in_header).filter(|token| !token.is_empty())
    }

    fn of_cookie<'c>(&self, pair: &'c str) -> Option<&'c str> {
        let (name, value) = pair.trim().split_once('=')?;
        (name == &*self.name).then(|| value.trim_matches('"'))
    }

    /// Whether this token lets the request of these facts pass.
    #[must_use]
    pub fn verify(&self, token: &str, facts: &Facts<'_>) -> Code {
        if token.len() > MAX_TOKEN {
            return Code::Decrypt;
        }
        // a client's library may have escaped the whole token once more
        let plain = percent_encoding::percent_decode_str(token);
        let mut texts: SmallVec<[Cow<'_, [u8]>; 2]> = SmallVec::new();
        texts.push(token.as_bytes().into());
        texts.extend(Some(Cow::from(plain)).filter(|text| **text != *token.as_bytes()));
        texts.iter().find_map(|text| self.read(text, facts)).map_or(Code::Decrypt, |fields| self.check(&fields, facts))
    }

    /// The fields of a token that one of the keys made.
    fn read<'t>(&self, token: &'t [u8], facts: &Facts<'_>) -> Option<Fields<'t>> {
        let mut room = [0; 4];
        let delimiter = self.shape.delimiter.encode_utf8(&mut room).as_bytes();
        let mark = [delimiter, b"hmac="].concat();
        let at = memchr::memmem::rfind(token, &mark)?;
        let (text, mac) = (token.get(..at)?, token.get(at + mark.len()..)?);
        let mac = hex(std::str::from_utf8(mac).ok()?)?;
        let fields = fields(text, delimiter)?;
        let urls = if fields.acl.is_some() { SmallVec::new() } else { self.urls(facts) };
        let keys = std::iter::once(&self.key).chain(&self.transition);
        let is_good = |url: Option<&[u8]>| {
            let mut room = [0; 4];
            let input = input(&self.shape, text, url, &mut room);
            // every key is asked: how long it takes says nothing of which one fits
            keys.clone().fold(subtle::Choice::from(0), |good, key| good | key.digest(&input).ct_eq(&mac)).into()
        };
        let good: bool =
            if fields.acl.is_some() { is_good(None) } else { urls.iter().any(|url| is_good(Some(url.as_slice()))) };
        good.then_some(fields)
    }

    /// The request's URL as its maker may have written it: the path as it is in requests, or as people read it.
    fn urls(&self, facts: &Facts<'_>) -> SmallVec<[Vec<u8>; 2]> {
        let query = facts.query.filter(|_| !self.ignore_query).map(|query| self.place().without(query));
        let query = query.filter(|query| !query.is_empty());
        let paths = paths(facts);
        let url = |path: &Cow<'_, [u8]>| {
            let mut url = path.to_vec();
            if let Some(query) = &query {
                url.push(b'?');
                url.extend_from_slice(query.as_bytes());
            }
            if self.shape.escape { escape(&url).into_bytes() } else { url }
        };
        paths.iter().map(url).collect()
    }

    fn check(&self, fields: &Fields<'_>, facts: &Facts<'_>) -> Code {
        let over = |until: Option<&[u8]>| until.and_then(seconds).is_none_or(|until| until <= facts.now);
        if over(fields.expires) {
            return Code::Expire;
        }
        if fields.start.is_some_and(|start| seconds(start).is_none_or(|start| start > facts.now)) {
            return Code::Start;
        }
        if fields.ip.is_some_and(|ip| address(ip).is_none_or(|ip| ip != facts.client_ip.to_canonical())) {
            return Code::ClientIp;
        }
        let mut room = [0; 4];
        let delimiter = self.shape.acl_delimiter.encode_utf8(&mut room).as_bytes();
        let covers = |acl: &[u8]| {
            let paths = paths(facts);
            split(acl, delimiter).any(|pattern| paths.iter().any(|path| glob::matches(pattern, path)))
        };
        if fields.acl.is_none_or(covers) { Code::Allow } else { Code::UrlAllow }
    }
}

/// A `Cookie` line without the cookie of this name; nothing when it had none.
#[must_use]
pub fn without_cookie(name: &str, line: &str) -> Option<String> {
    let is_token = |pair: &&str| pair.trim().split('=').next() == Some(name);
    line.split(';').any(|pair| is_token(&pair)).then(|| {
        let rest: Vec<&str> = line.split(';').filter(|pair| !is_token(pair)).map(str::trim).collect();
        rest.join("; ")
    })
}

/// The path in normal form, and decoded where that differs.
fn paths<'f>(facts: &Facts<'f>) -> SmallVec<[Cow<'f, [u8]>; 2]> {
    let normal = facts.path.as_str();
    let decoded: Cow<'f, [u8]> = percent_encoding::percent_decode_str(normal).into();
    let mut paths = SmallVec::new();
    paths.push(normal.as_bytes().into());
    paths.extend(Some(decoded).filter(|decoded| **decoded != *normal.as_bytes()));
    paths
}

#[cfg(test)]
#[path = "mac_tests.rs"]
mod tests;
