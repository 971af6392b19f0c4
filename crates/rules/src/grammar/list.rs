//! Values that are lists: every token is read, every bad one is reported.

use super::Invalid;
use super::tokens::split;

/// Bytes of the longest value.
pub const MAX_VALUE: usize = 8 * 1024;
/// Bytes of the longest list of addresses or referrers: tens of thousands of networks.
pub const MAX_LIST: usize = 1 << 20;

/// Reads every token of a value; all that is wrong comes back at once.
pub(crate) fn each<T>(value: &str, mut read: impl FnMut(&str) -> Result<T, Invalid>) -> Result<Vec<T>, Vec<Invalid>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for token in split(value) {
        match read(token) {
            Ok(item) => good.push(item),
            Err(invalid) => bad.push(invalid),
        }
    }
    if good.is_empty() && bad.is_empty() {
        bad.push(Invalid::new("the list is empty"));
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}
