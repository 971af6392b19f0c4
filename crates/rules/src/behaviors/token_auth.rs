//! `token-auth`: only holders of a token are served. Source: policy-language 4.8.

use super::fields::Fields;
use crate::grammar::Invalid;
use crate::token::mac::{Algorithm, Key, Salt, Shape};
use crate::token::{Denial, DenialPart, TokenAuth, parameter_name};

/// Bytes of a salt.
const MAX_SALT: usize = 256;

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<TokenAuth> {
    let name = fields.required_text("tokenName");
    let algorithm = fields.required("hmacAlgorithm", |text| {
        let found = Algorithm::ALL.iter().find(|(word, _)| *word == text).map(|(_, algorithm)| *algorithm);
        found.ok_or_else(|| Invalid::new(format!("{text:?} is not an algorithm")).hint("write SHA256, SHA1 or MD5"))
    });
    let escape = fields.required_flag("escapeTokenInputs");
    let ignore = fields.required_flag("ignoreQueryString");
    // keys are checked also when the algorithm is wrong
    let read = |text: &str| Key::from_hex(algorithm.unwrap_or(Algorithm::Sha256), text);
    let current = fields.required("key", read);
    let next = fields.optional("transitionKey", read);
    let token = fields.optional("tokenDelimiter", delimiter);
    let acl = fields.optional("aclDelimiter", delimiter);
    let salt = fields.optional("salt", salt);
    let (default, name) = (Shape::default(), name?);
    let (token, acl) = (token?.unwrap_or(default.delimiter), acl?.unwrap_or(default.acl_delimiter));
    if token == acl {
        fields.report.warn(format!(
            "{token:?} separates the fields of a token and the patterns of an acl: an acl has one pattern"
        ));
    }
    let shape = Shape { delimiter: token, acl_delimiter: acl, escape: escape?, salt: salt? };
    let ready = TokenAuth::new(&name, algorithm?, current?, next?, shape, ignore?);
    fields.at("tokenName", |report| report.take_one(ready))
}

fn delimiter(text: &str) -> Result<char, Invalid> {
    let mut characters = text.chars();
    let one = characters
        .next()
        .filter(|one| one.is_ascii_graphic() && !one.is_ascii_alphanumeric() && !"&=/\\:%".contains(*one));
    one.filter(|_| characters.next().is_none()).ok_or_else(|| {
        Invalid::new(format!("{text:?} is not a delimiter"))
            .hint("one character, no letter, no digit and none of & = / \\ : %")
    })
}

/// The message never repeats the salt.
fn salt(text: &str) -> Result<Salt, Invalid> {
    if text.len() <= MAX_SALT {
        Ok(Salt(text.into()))
    } else {
        Err(Invalid::new(format!("a salt has at most {MAX_SALT} bytes")))
    }
}

const STATUSES: &[(&str, u16)] =
    &[("301", 301), ("302", 302), ("307", 307), ("401", 401), ("403", 403), ("404", 404), ("410", 410)];

/// `ectoken-denial`: what a client without a good ectoken gets. Source: delivery-and-security 4.1.
pub(super) fn denial(fields: &mut Fields<'_, '_>) -> Option<Denial> {
    let status = fields.kind(STATUSES);
    let location = fields.text("location").ok();
    let authenticate = fields.text("authenticate").ok();
    let (status, location, authenticate) = (status?, location?, authenticate?);
    match Denial::new(status, location.as_deref(), authenticate.as_deref()) {
        Ok(denial) => {
            if let Some((remark, hint)) = denial.remark() {
                fields.report.warn_hint(remark, hint);
            }
            Some(denial)
        }
        Err((part, invalid)) => {
            match part {
                DenialPart::Location => fields.at("location", |report| report.invalid(invalid)),
                DenialPart::Authenticate => fields.at("authenticate", |report| report.invalid(invalid)),
                DenialPart::Status => fields.report.invalid(invalid),
            }
            None
        }
    }
}

/// `ectoken-parameter`: the parameter that holds the ectoken; `-` is the start of the query.
pub(super) fn parameter(fields: &mut Fields<'_, '_>) -> Option<Option<Box<str>>> {
    match fields.value() {
        None => Some(None),
        Some(value) => fields.read_value(value, parameter_name).map(Some),
    }
}
