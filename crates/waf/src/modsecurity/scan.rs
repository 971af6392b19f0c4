//! A look at rule files before the library reads them: they hold rules, and nothing that is the edge's to set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::settings;
use crate::Fault;

/// Bytes of one rule file.
const MAX_FILE: u64 = 4 << 20;
/// Rule files.
const MAX_FILES: usize = 500;

/// Directives that make up a rule set. Everything else sets the engine.
const OF_RULE_SETS: &[&str] = &[
    "SecRule",
    "SecAction",
    "SecMarker",
    "SecDefaultAction",
    "SecComponentSignature",
    "SecCollectionTimeout",
    "SecRuleRemoveById",
    "SecRuleRemoveByMsg",
    "SecRuleRemoveByTag",
    "SecRuleUpdateActionById",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateTargetByTag",
    "SecUnicodeMapFile",
];
/// What makes a rule run something of the machine's.
const RUNS_PROGRAMS: &[&str] = &["exec:", "@inspectFile"];
/// What only some clients have.
const OF_CLIENTS: &[&str] =
    &["REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT", "IP:", "GEO:", "@ipMatch", "@geoLookup", "@rbl"];
/// Ids of the Core Rule Set: it asks who the client is only in rules that are off unless they are set up, and for loopback.
const fn is_core(id: u32) -> bool {
    matches!(id, 900_000..=999_999 | 9_000_000..=9_999_999)
}
/// Where the Core Rule Set gives defaults to what nobody set.
const DEFAULTS: std::ops::RangeInclusive<u32> = 901_000..=901_999;

/// What the files hold.
pub(super) struct Scanned {
    pub(super) files: Vec<File>,
    /// Ascending.
    pub(super) ids: Vec<u32>,
    pub(super) asks_for_client: bool,
    seen: HashSet<u32>,
}

/// A rule file.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Whether it holds the rules that give defaults.
    pub(super) gives_defaults: bool,
}

impl File {
    pub(super) fn fault(&self, line: usize, message: impl Into<String>) -> Fault {
        fault(&self.path, line, message)
    }
}

fn fault(path: &Path, line: usize, message: impl Into<String>) -> Fault {
    Fault { file: Some(path.to_owned()), line, message: message.into(), hint: None }
}

/// Looks at every file.
///
/// # Errors
/// Everything that does not belong there.
pub(super) fn scan(paths: &[PathBuf]) -> Result<Scanned, Vec<Fault>> {
    let mut scanned = Scanned { files: Vec::new(), ids: Vec::new(), asks_for_client: false, seen: HashSet::new() };
    let mut faults = Vec::new();
    if let (Some(path), true) = (paths.first(), paths.len() > MAX_FILES) {
        return Err(vec![fault(path, 0, format!("{} rule files are more than {MAX_FILES}", paths.len()))]);
    }
    for path in paths {
        let mut file = File { path: path.clone(), gives_defaults: false };
        match read(path) {
            Ok(text) => look(&text, &mut file, &mut scanned, &mut faults),
            Err(reason) => faults.push(file.fault(0, format!("cannot read this file: {reason}"))),
        }
        scanned.files.push(file);
    }
    scanned.ids.sort_unstable();
    if faults.is_empty() { Ok(scanned) } else { Err(faults) }
}

/// A rule file's text, or why it cannot be one.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    if about.len() > MAX_FILE {
        return Err(format!("it is larger than {} MiB", MAX_FILE >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if bytes.contains(&0) {
        return Err("it contains a NUL byte".to_owned());
    }
    // rules are bytes to the library
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn look(text: &str, file: &mut File, scanned: &mut Scanned, faults: &mut Vec<Fault>) {
    for (line, directive) in directives(text) {
        let name = directive.split_whitespace().next().unwrap_or_default();
        if !OF_RULE_SETS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let mut found = file.fault(line, format!("`{name}` is not part of a rule set"));
            found.hint = Some(if name.to_ascii_lowercase().starts_with("include") {
                "name the file in `waf.rules`".to_owned()
            } else {
                "take it out: the settings of the engine are built in, and `waf` has those that can be chosen"
                    .to_owned()
            });
            faults.push(found);
            continue;
        }
        if let Some(what) = RUNS_PROGRAMS.iter().find(|what| directive.contains(**what)) {
            faults.push(file.fault(line, format!("`{what}` runs a program: rules may not")));
        }
        if !["secrule", "secaction"].contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let id = id(&directive);
        if let Some(id) = id {
            if let Some(of) = settings::is_own(id) {
                faults.push(file.fault(line, format!("the rule id {id} is taken: {of} are Leeward's own")));
            }
            if !scanned.seen.insert(id) {
                faults.push(file.fault(line, format!("the rule id {id} is there already")));
            }
            file.gives_defaults |= DEFAULTS.contains(&id);
            scanned.ids.push(id);
        }
        // a chained rule has no id: it is of the file's kind
        let core = id.or(scanned.ids.last().copied()).is_some_and(is_core);
        scanned.asks_for_client |= !core && OF_CLIENTS.iter().any(|what| directive.contains(what));
    }
}

/// Directives with the lines they begin in; a backslash joins a line with the next one.
pub(super) fn directives(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut joined = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match all.last_mut() {
            Some((_, directive)) if joined => {
                directive.push(' ');
                directive.push_str(line);
            }
            _ if line.is_empty() || line.starts_with('#') => {
                joined = false;
                continue;
            }
            _ => all.push((number, line.to_owned())),
        }
        joined = goes_on;
    }
    all
}

/// The id among the actions, which stand last.
fn id(directive: &str) -> Option<u32> {
    let mut from = 0;
    let mut found = None;
    while let Some(at) = directive.get(from..)?.find("id:") {
        let at = from + at;
        from = at + 3;
        let before = directive.get(..at)?.bytes().next_back();
        if !before.is_none_or(|byte| matches!(byte, b'"' | b',' | b' ' | b'\t')) {
            continue;
        }
        let rest = directive.get(from..)?.trim_start_matches('\'');
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        found = digits.parse().ok().or(found);
    }
    found
}
