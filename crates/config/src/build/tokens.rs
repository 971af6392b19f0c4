//! `token_auth`.

use leeward_rules::token::{self, DenialPart, Key, Keys};

use super::origins::Origins;
use crate::gather::Gathered;
use crate::read::suggestion;
use crate::ready::{Platform, PlatformTokens, Tokens};
use crate::report::{At, Report};
use crate::secret;
use crate::written::{self, TokenVersion};

/// Directories that need a token.
const MAX_DIRECTORIES: usize = 10_000;
/// Characters of a directory's path.
const MAX_PATH: usize = 1024;

/// The tokens of each platform. Nothing is shown of a key.
pub(super) fn tokens(report: &Report, gathered: &Gathered, origins: &Origins) -> Option<Tokens> {
    let written = gathered.main.token_auth.as_ref()?;
    let at = gathered.root.key("token_auth");
    let general = keys(report, &at, written.primary_key.as_ref(), written.backup_key.as_ref());
    for (key, version) in [
        ("primary_minimum_version", written.primary_minimum_version),
        ("backup_minimum_version", written.backup_minimum_version),
    ] {
        if version == TokenVersion::V2 {
            report
                .warning(&at.key(key), "tokens of version 2 are refused all the same")
                .hint("make tokens of version 3");
        }
    }
    let denial = denial(report, &at.key("denial"), written.denial.as_ref());
    let parameter = parameter(report, &at.key("parameter"), written.parameter.as_deref());
    let mut tokens = Tokens::new(written.forward, |platform| {
        let Some(own) = written.platforms.get(&platform) else {
            return PlatformTokens {
                keys: general.clone(),
                denial: denial.clone().unwrap_or_default(),
                parameter: parameter.clone(),
                ignore_case: written.ignore_case.unwrap_or_default(),
                directories: Default::default(),
            };
        };
        let at = at.key("platforms").key(platform.name());
        let has_keys = own.primary_key.is_some() || own.backup_key.is_some();
        let own_keys = keys(report, &at, own.primary_key.as_ref(), own.backup_key.as_ref());
        let own_denial = self::denial(report, &at.key("denial"), own.denial.as_ref());
        PlatformTokens {
            keys: if has_keys { own_keys } else { general.clone() },
            denial: own_denial.or_else(|| denial.clone()).unwrap_or_default(),
            parameter: self::parameter(report, &at.key("parameter"), own.parameter.as_deref()).or(parameter.clone()),
            ignore_case: own.ignore_case.or(written.ignore_case).unwrap_or_default(),
            directories: Default::default(),
        }
    });
    directories(report, &at, &written.directories, origins, &mut tokens);
    Some(tokens)
}

fn keys(report: &Report, at: &At, primary: Option<&written::Secret>, backup: Option<&written::Secret>) -> Keys {
    if primary.is_none() && backup.is_some() && !report.any_wrong(at) {
        report.error(&at.key("backup_key"), "a `backup_key` needs a `primary_key` beside it");
    }
    // in the place of one that is wrong: what needs a key is not said to have none
    let stand_in = || Some(Key::new(b""));
    let key = |name: &str, written: Option<&written::Secret>| {
        let at = at.key(name);
        let Some(written) = written else { return stand_in().filter(|_| report.was_wrong(&at)) };
        let Some(secret) = secret::read(report, &at, written) else { return stand_in() };
        if let Err(invalid) = token::key_text(secret.expose()) {
            report.error(&at, invalid.message).hint("letters and digits, at most 250");
        }
        Some(Key::new(secret.expose()))
    };
    Keys::new(key("primary_key", primary), key("backup_key", backup))
}

fn denial(report: &Report, at: &At, written: Option<&written::Denial>) -> Option<token::Denial> {
    let written = written?;
    let Some(status) = written.status else {
        report.missing(at, "status").hint("such as `{ status: 302, location: \"https://www.example.com/login\" }`");
        return None;
    };
    match token::Denial::new(status, written.location.as_deref(), written.authenticate.as_deref()) {
        Ok(denial) => {
            if let Some((remark, hint)) = denial.remark() {
                report.warning(&at.key("status"), remark).hint(hint);
            }
            Some(denial)
        }
        Err((part, invalid)) => {
            let at = match part {
                DenialPart::Status => at.key("status"),
                DenialPart::Location => at.key("location"),
                DenialPart::Authenticate => at.key("authenticate"),
            };
            let added = report.error(&at, invalid.message);
            if let Some(hint) = invalid.hint {
                added.hint(hint);
            }
            None
        }
    }
}

fn parameter(report: &Report, at: &At, written: Option<&str>) -> Option<Box<str>> {
    match token::parameter_name(written?) {
        Ok(name) => Some(name),
        Err(invalid) => {
            let added = report.error(at, invalid.message);
            if let Some(hint) = invalid.hint {
                added.hint(hint);
            }
            None
        }
    }
}

fn directories(report: &Report, at: &At, written: &[written::TokenDirectory], origins: &Origins, tokens: &mut Tokens) {
    let list = at.key("directories");
    if written.len() > MAX_DIRECTORIES {
        report.error(&list, format!("{} directories are more than {MAX_DIRECTORIES}", written.len()));
        return;
    }
    for (i, one) in written.iter().enumerate() {
        let at = list.index(i);
        let Some(path) = &one.path else {
            report.missing(&at, "path").hint("such as `/photos/paid`, where `photos` is the directory of an origin");
            continue;
        };
        let path_at = at.key("path");
        let Some(directory) = first_segment(report, &path_at, path) else { continue };
        if origins.named(directory, Some(one.platform)).is_empty() {
            if !origins.all.is_empty() {
                let platform = one.platform.name();
                let known: Vec<&str> = of_platform(origins, one.platform).take(20).collect();
                report
                    .error(&path_at, format!("there is no origin `{directory}` on `{platform}`"))
                    .hint(suggestion(directory, &known));
            }
            continue;
        }
        let platform = tokens.of_mut(one.platform);
        if platform.keys.is_empty() {
            report
                .error(&at, format!("this directory needs tokens, and `{}` has no key for them", one.platform.name()))
                .hint("`primary_key: { file: PATH }`");
        }
        if !platform.directories.insert(path) {
            report.warning(&path_at, format!("`{path}` is in a directory that is listed already"));
        }
    }
}

fn of_platform(origins: &Origins, platform: Platform) -> impl Iterator<Item = &str> {
    let here = origins.all.iter().filter(move |origin| origin.platform == platform);
    here.filter_map(|origin| origin.directory.as_deref())
}

/// The origin's directory at the beginning of a path.
fn first_segment<'p>(report: &Report, at: &At, path: &'p str) -> Option<&'p str> {
    let reason = if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.contains(['?', '#', '*']) {
        Some("it has a query, a fragment or a `*`")
    } else if path.contains("//") || path.split('/').any(|part| part == "." || part == "..") {
        Some("it has an empty part, `.` or `..`")
    } else if path.len() > MAX_PATH {
        Some("it is too long")
    } else if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        Some("spaces, control characters and other than ASCII are written as `%20` and so on")
    } else {
        None
    };
    if let Some(reason) = reason {
        let added = report.error(at, format!("`{path}` is not a directory: {reason}"));
        if !path.starts_with('/') && !path.contains("://") {
            added.hint(format!("`/{path}`"));
        }
        return None;
    }
    let first = path.split('/').nth(1).filter(|first| !first.is_empty());
    if first.is_none() {
        report.error(at, "`/` names no directory of an origin").hint("such as `/photos`: list each");
    }
    first
}

/// A rule that asks for tokens where nobody could have one.
pub(super) fn without_key(report: &Report, at: &At, platform: Platform) {
    report
        .error(at, format!("this rule asks for tokens, and `{}` has no key for them", platform.name()))
        .hint("`token_auth: { primary_key: { file: PATH } }`");
}
