//! `modify-outgoing-request-path`: the path that the origin is asked for. Source: policy-language 4.7.

use super::fields::Fields;
use crate::grammar::Invalid;
use crate::path::normalise_escapes;

const SEPARATOR: &str = "###";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PathEdit {
    /// The first occurrence goes, but for one slash.
    Remove(String),
    /// The whole directory part becomes this.
    ReplaceAll(String),
    /// The first occurrence of the one becomes the other.
    Replace(String, String),
}

#[derive(Clone, Copy)]
enum Kind {
    Remove,
    ReplaceAll,
    Replace,
}

const TYPES: &[(&str, Kind)] =
    &[("remove", Kind::Remove), ("replace-all", Kind::ReplaceAll), ("replace", Kind::Replace)];

pub(super) fn parse(fields: &mut Fields<'_, '_>) -> Option<PathEdit> {
    let kind = fields.kind(TYPES)?;
    let hint = if matches!(kind, Kind::Replace) { "write /find/path/###/new/path/" } else { "write /dir1/dir2/" };
    let value = fields.required_value(hint)?;
    fields.read_value(value, |text| match kind {
        Kind::Remove => directory(text).map(PathEdit::Remove),
        Kind::ReplaceAll => directory(text).map(PathEdit::ReplaceAll),
        Kind::Replace => {
            let parts: Vec<&str> = text.split(SEPARATOR).collect();
            let [find, new] = parts.as_slice() else {
                return Err(Invalid::new(format!("{text:?} does not contain exactly one {SEPARATOR}"))
                    .hint("write /find/path/###/new/path/"));
            };
            Ok(PathEdit::Replace(directory(find)?, directory(new)?))
        }
    })
}

/// `/dir1/dir2/`, in the spelling of normal paths.
fn directory(text: &str) -> Result<String, Invalid> {
    if text.len() < 2 && text != "/" || !text.starts_with('/') || !text.ends_with('/') {
        return Err(Invalid::new(format!("{text:?} does not begin and end with '/'"))
            .hint("write whole directories: /dir1/dir2/"));
    }
    if text.contains(' ') {
        return Err(Invalid::new(format!("{text:?} contains a space")).hint("write %20"));
    }
    normalise_escapes(text).map_err(|error| Invalid::new(format!("{text:?} is no directory: {error}")))
}

impl PathEdit {
    /// The edited path, or nothing when it stays as it is. The result begins with `/` when the path does.
    pub(crate) fn apply(&self, path: &str) -> Option<String> {
        let (find, new) = match self {
            Self::ReplaceAll(new) => {
                let filename = path.rsplit_once('/').map_or(path, |(_, filename)| filename);
                return Some(format!("{new}{filename}"));
            }
            Self::Remove(find) => (find, "/"),
            Self::Replace(find, new) => (find, new.as_str()),
        };
        let (before, after) = path.split_once(find.as_str())?;
        Some(format!("{before}{new}{after}"))
    }
}
