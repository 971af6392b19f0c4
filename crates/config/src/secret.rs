//! Reads secrets from where they are kept.

use crate::gather;
use crate::ready::Secret;
use crate::report::{At, Report};
use crate::written;

/// Bytes of a file with a secret.
const MAX_SECRET: u64 = 64 << 10;

/// The secret itself; reported and None where there is none. The text never gets into a message.
pub(crate) fn read(report: &Report, at: &At, written: &written::Secret) -> Option<Secret> {
    let bytes = match written {
        written::Secret::Text(text) => {
            report.secret(at.file, text);
            if !text.is_empty() {
                report
                    .warning(at, "this secret stands in the file itself")
                    .hint("keep it elsewhere: `{ file: PATH }` or `{ env: NAME }`");
            }
            text.clone().into_bytes()
        }
        written::Secret::File(name) => {
            let path = report.resolve(at.file, name);
            match gather::bytes(&path, MAX_SECRET) {
                Ok(bytes) => without_line_end(bytes),
                Err(reason) => {
                    report.error(&at.key("file"), format!("cannot read the secret in `{}`: {reason}", path.display()));
                    return None;
                }
            }
        }
        written::Secret::Env(name) => match std::env::var_os(name) {
            Some(value) => value.into_encoded_bytes(),
            None => {
                report.error(&at.key("env"), format!("the environment has no `{name}`"));
                return None;
            }
        },
    };
    if bytes.is_empty() {
        report.error(at, "this secret is empty");
        return None;
    }
    Some(Secret::new(bytes))
}

/// Editors and `echo` end files with a line end.
fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}
