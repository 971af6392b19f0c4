//! `token-auth`: only holders of a token are served. Checked here; not enforced yet. Source: policy-language 4.8.

use super::fields::Fields;
use crate::grammar::Invalid;

/// Hexadecimal digits of the longest key.
const MAX_KEY_DIGITS: usize = 64;

/// Checks every parameter. The parameters are not kept: what cannot be verified is refused (see `decide::security`).
pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<()> {
    let name = fields.required("tokenName", |text| {
        let good = text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if good {
            Ok(())
        } else {
            Err(Invalid::new(format!("{text:?} is not a token name"))
                .hint("begin with a letter; letters, digits, '-' and '_' follow"))
        }
    });
    let algorithm = fields.required("hmacAlgorithm", |text| match text {
        "SHA256" | "SHA1" | "MD5" => Ok(()),
        _ => Err(Invalid::new(format!("{text:?} is not an algorithm")).hint("write SHA256, SHA1 or MD5")),
    });
    let escape = fields.required_flag("escapeTokenInputs");
    let ignore = fields.required_flag("ignoreQueryString");
    let current = fields.required("key", key);
    let next = fields.optional("transitionKey", key);
    let token = fields.optional("tokenDelimiter", delimiter);
    let acl = fields.optional("aclDelimiter", delimiter);
    name?;
    algorithm?;
    escape?;
    ignore?;
    current?;
    next?;
    token?;
    acl?;
    Some(())
}

/// The message never repeats the key.
fn key(text: &str) -> Result<(), Invalid> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && text.len().is_multiple_of(2) && text.len() <= MAX_KEY_DIGITS {
        return Ok(());
    }
    Err(Invalid::new(format!("a key is an even number of hexadecimal digits, at most {MAX_KEY_DIGITS}")))
}

fn delimiter(text: &str) -> Result<(), Invalid> {
    let mut characters = text.chars();
    let good = characters
        .next()
        .is_some_and(|one| one.is_ascii_graphic() && !one.is_ascii_alphanumeric() && !"&=/\\:%".contains(one));
    if good && characters.next().is_none() {
        Ok(())
    } else {
        Err(Invalid::new(format!("{text:?} is not a delimiter"))
            .hint("one character, no letter, no digit and none of & = / \\ : %"))
    }
}
