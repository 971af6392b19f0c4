//! A configuration that names rules is only good with them: they are loaded before it is published, and what is wrong with them is
//! said like everything else that is wrong with it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use leeward_config::ready::Waf;
use leeward_config::{Diagnostic, Loaded, Severity};
use leeward_waf::modsecurity::{ModSecurity, fingerprint};
use leeward_waf::{Engine, Exclusion, Fault, Level, Plan, RuleSet};

use super::Rules;

/// Faults of rule files that are said.
const MAX_FAULTS: usize = 100;
/// Characters of a line of a rule file that are shown.
const EXCERPT: usize = leeward_config::EXCERPT;

/// Reads and checks a configuration as `leeward check` does, rules of the WAF included.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    with_rules(leeward_config::load(path))
}

/// The same for an edge that starts or reloads.
#[must_use]
pub fn load_to_run(path: &Path) -> Loaded {
    with_rules(leeward_config::load_to_run(path))
}

fn with_rules(mut loaded: Loaded) -> Loaded {
    let Some(waf) = loaded.snapshot.as_ref().and_then(|snapshot| snapshot.waf.as_ref()).map(Arc::clone) else {
        return loaded;
    };
    match rules(&plan(&waf)) {
        Ok(rules) => waf.loaded.fill(rules),
        Err(faults) => {
            loaded.diagnostics.extend(faults.iter().take(MAX_FAULTS).map(|fault| diagnostic(fault, &waf)));
            loaded.snapshot = None;
        }
    }
    loaded
}

/// The rule set that was loaded last, while a configuration has it.
struct Last {
    fingerprint: u128,
    set: Weak<dyn RuleSet>,
    generation: u64,
}

/// Loads rules, unless those that were loaded last are the same. Then what is remembered of verdicts holds as well: all that a verdict
/// depends on besides the request is in the fingerprint.
fn rules(plan: &Plan) -> Result<Rules, Vec<Fault>> {
    static LOADINGS: AtomicU64 = AtomicU64::new(0);
    static LAST: Mutex<Option<Last>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = fingerprint(plan);
    if let Some(known) = last.as_ref().filter(|known| before == Some(known.fingerprint))
        && let Some(set) = known.set.upgrade()
    {
        log::info!("the WAF keeps its {set:?}: neither they nor their settings have changed");
        return Ok(Rules { set, generation: known.generation });
    }
    let set = ModSecurity.load(plan)?;
    log::info!("the WAF has {set:?}");
    let generation = LOADINGS.fetch_add(1, Ordering::Relaxed);
    // files that change while they are read are read again the next time
    let fingerprint = before.filter(|before| fingerprint(plan) == Some(*before));
    *last = fingerprint.map(|fingerprint| Last { fingerprint, set: Arc::downgrade(&set), generation });
    Ok(Rules { set, generation })
}

fn plan(waf: &Waf) -> Plan {
    let exclusions = waf.exclusions.iter();
    Plan {
        files: waf.files.clone(),
        levels: waf.levels.iter().map(level).collect(),
        exclusions: exclusions.map(|one| Exclusion { rule: one.rule, target: one.target.clone() }).collect(),
        redos_guard: waf.redos_guard,
    }
}

fn level(level: &leeward_config::ready::Level) -> Level {
    Level { paranoia: level.paranoia, threshold: level.threshold, argument: level.argument }
}

/// At the line of the rule file, or where the configuration names the rules.
fn diagnostic(fault: &Fault, waf: &Waf) -> Diagnostic {
    let (file, line, column) = match &fault.file {
        Some(file) => (file, fault.line.max(1), 1),
        None => (&waf.written.file, waf.written.line, waf.written.column),
    };
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let excerpt = text.lines().nth(line - 1).filter(|_| fault.file.is_some()).unwrap_or_default();
    let printable = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    Diagnostic {
        file: file.display().to_string(),
        line,
        column,
        severity: Severity::Error,
        message: printable(&fault.message),
        excerpt: printable(&excerpt.chars().take(EXCERPT).collect::<String>()),
        caret: column,
        hint: fault.hint.clone(),
    }
}
