//! What a client without a good token gets. Source: delivery-and-security 4.1, 5.4.

use crate::behaviors::destination::no_variable;
use crate::grammar::Invalid;

/// Statuses of a denial.
const STATUSES: [u16; 7] = [301, 302, 307, 401, 403, 404, 410];
/// Bytes of a field that goes with one.
const MAX_FIELD: usize = 2048;
/// What a 401 asks for where nothing else is configured.
const CHALLENGE: &str = "basic";

/// The answer to a client without a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    status: u16,
    /// `Location` or `WWW-Authenticate`; empty for other statuses.
    field: Box<str>,
}

impl Default for Denial {
    fn default() -> Self {
        Self { status: 403, field: Box::default() }
    }
}

/// The part of a denial that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialPart {
    /// The status.
    Status,
    /// The location.
    Location,
    /// The challenge of a 401.
    Authenticate,
}

impl Denial {
    /// Checks a denial: 301, 302 and 307, which without a location are a page that says so; 401, whose challenge is `basic` unless
    /// another is given; 403, 404, 410.
    ///
    /// # Errors
    /// What is wrong with which part.
    pub fn new(status: u16, location: Option<&str>, authenticate: Option<&str>) -> Result<Self, (DenialPart, Invalid)> {
        if !STATUSES.contains(&status) {
            let legal: Vec<String> = STATUSES.iter().map(u16::to_string).collect();
            let invalid = Invalid::new(format!("{status} is not the status of a denial"));
            return Err((DenialPart::Status, invalid.hint(format!("write one of {}", legal.join(", ")))));
        }
        let redirects = matches!(status, 301 | 302 | 307);
        if !redirects && location.is_some() {
            return Err((DenialPart::Location, Invalid::new(format!("a {status} has no location"))));
        }
        if status != 401 && authenticate.is_some() {
            return Err((DenialPart::Authenticate, Invalid::new(format!("a {status} has no challenge"))));
        }
        let field = match location {
            Some(location) => url(location).map_err(|invalid| (DenialPart::Location, invalid))?,
            None if status == 401 => {
                challenge(authenticate.unwrap_or(CHALLENGE)).map_err(|invalid| (DenialPart::Authenticate, invalid))?
            }
            None => "",
        };
        Ok(Self { status, field: field.into() })
    }

    /// What whoever configures such a denial should look at twice, and what to write instead.
    #[must_use]
    pub fn remark(&self) -> Option<(String, &'static str)> {
        let status = self.status;
        (matches!(status, 301 | 302 | 307) && self.field.is_empty()).then(|| {
            let what = format!("a {status} without a location leads nowhere: clients get a page that says so");
            (what, "`location: https://www.example.com/login`")
        })
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where a redirect leads; nothing for one that leads nowhere.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        Some(&*self.field).filter(|field| matches!(self.status, 301 | 302 | 307) && !field.is_empty())
    }

    /// What a 401 asks for.
    #[must_use]
    pub fn authenticate(&self) -> Option<&str> {
        Some(&*self.field).filter(|_| self.status == 401)
    }
}

/// `https://host/...` or `/path`, as it goes into `Location`.
fn url(text: &str) -> Result<&str, Invalid> {
    no_variable(text)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let absolute = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let path = text.starts_with('/') && !text.starts_with("//");
    if !absolute && !path {
        return Err(Invalid::new(format!("{text:?} is not a location")).hint("begin with '/', http:// or https://"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid::new(format!("{text:?} contains characters that cannot stand in a URL"))
            .hint("percent-encode them"));
    }
    if text.len() > MAX_FIELD {
        return Err(Invalid::new(format!("the location is longer than {MAX_FIELD} bytes")));
    }
    Ok(text)
}

fn challenge(text: &str) -> Result<&str, Invalid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let scheme = text.split(' ').next().is_some_and(|word| !word.is_empty());
    if plain && scheme && text.len() <= MAX_FIELD {
        return Ok(text);
    }
    Err(Invalid::new(format!("{text:?} is not a challenge")).hint("such as: Basic realm=\"members\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_has_the_field_that_its_status_needs_and_no_other() {
        let login = Some("https://www.example.com/login?from=edge");
        for (status, location, authenticate, want) in [
            (301, login, None, Ok(("location", "https://www.example.com/login?from=edge"))),
            (302, Some("/login"), None, Ok(("location", "/login"))),
            (307, login, None, Ok(("location", "https://www.example.com/login?from=edge"))),
            (401, None, None, Ok(("authenticate", "basic"))),
            (401, None, Some("Basic realm=\"x\""), Ok(("authenticate", "Basic realm=\"x\""))),
            (403, None, None, Ok(("", ""))),
            (404, None, None, Ok(("", ""))),
            (410, None, None, Ok(("", ""))),
            (301, None, None, Ok(("", ""))),
            (302, None, None, Ok(("", ""))),
            (307, None, None, Ok(("", ""))),
            (302, Some(""), None, Err(DenialPart::Location)),
            (403, login, None, Err(DenialPart::Location)),
            (401, login, None, Err(DenialPart::Location)),
            (302, login, Some("basic"), Err(DenialPart::Authenticate)),
            (403, None, Some("basic"), Err(DenialPart::Authenticate)),
            (401, None, Some("a\r\nb"), Err(DenialPart::Authenticate)),
            (401, None, Some(""), Err(DenialPart::Authenticate)),
            (200, None, None, Err(DenialPart::Status)),
            (308, login, None, Err(DenialPart::Status)),
            (302, Some("//evil.example.com/"), None, Err(DenialPart::Location)),
            (302, Some("login"), None, Err(DenialPart::Location)),
            (302, Some("https://"), None, Err(DenialPart::Location)),
            (302, Some("https://a/b c"), None, Err(DenialPart::Location)),
            (302, Some("/a\r\nSet-Cookie: x"), None, Err(DenialPart::Location)),
            (302, Some("https://a/%{request_uri}"), None, Err(DenialPart::Location)),
        ] {
            let got = Denial::new(status, location, authenticate).map_err(|(part, _)| part);
            let got = got.as_ref().map(|denial| {
                assert_eq!(denial.status(), status);
                let field = denial.location().map(|value| ("location", value));
                field.or(denial.authenticate().map(|value| ("authenticate", value))).unwrap_or_default()
            });
            assert_eq!(got, want.as_ref().copied(), "{status} {location:?} {authenticate:?}");
        }
    }
}
