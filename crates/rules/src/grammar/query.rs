//! Query strings as lists of parameters.

use std::borrow::Cow;

/// One parameter of a query, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter<'a> {
    /// The whole of it: `name=value`.
    pub(crate) raw: &'a str,
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
}

/// The parameters in the order sent; empty ones are skipped.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.split('&').filter(|raw| !raw.is_empty()).map(|raw| {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        Parameter { raw, name, value }
    })
}

/// Form decoding: escapes and `+`. Never fails; a bad escape stands for itself. Does not allocate when nothing is encoded.
pub(crate) fn decode(text: &str) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', text.as_bytes()).is_some() {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_encoding::percent_decode_str(&spaced).collect());
    }
    percent_encoding::percent_decode_str(text).into()
}
