//! Whether rules are the same as before, so that they need not be loaded again.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::scan;
use crate::Plan;

/// Operators that read a file of phrases or networks when the rules are loaded.
const READ_FILES: &[&str] = &["@pmf", "@pmfromfile", "@ipmatchf", "@ipmatchfromfile"];
/// Operators that read something else of the machine's, or at another time.
const READ_OTHERS: &[&str] = &["@fuzzyhash", "@validateschema", "@validatedtd", "@geolookup", "://"];

/// A number for all that a rule set is made of: settings, rule files, and the files that their rules name. `None` where that cannot be
/// known; such rules are always loaded.
#[must_use]
pub fn fingerprint(plan: &Plan) -> Option<u128> {
    let Plan { files, levels, exclusions, redos_guard } = plan;
    let mut hasher = SipHasher13::new();
    let mut add = |part: &[u8]| {
        hasher.write_usize(part.len());
        hasher.write(part);
    };
    add(format!("{levels:?}{exclusions:?}{redos_guard}").as_bytes());
    for path in files {
        let text = scan::read(path).ok()?;
        add(path.as_os_str().as_encoded_bytes());
        add(text.as_bytes());
        for (_, directive) in scan::directives(&text) {
            for named in named(&directive)? {
                let mut found = [PathBuf::from(named), beside(path, named)].into_iter().filter(|path| path.is_file());
                let mut file = found.next()?;
                loop {
                    add(file.as_os_str().as_encoded_bytes());
                    add(&std::fs::read(&file).ok()?);
                    let Some(next) = found.next() else { break };
                    file = next;
                }
            }
        }
    }
    Some(hasher.finish128().as_u128())
}

fn beside(rules: &Path, named: &str) -> PathBuf {
    rules.parent().unwrap_or(Path::new("")).join(named)
}

/// The files that a directive names; `None`: it asks for something that is not looked at here.
fn named(directive: &str) -> Option<Vec<&str>> {
    let lower = directive.to_ascii_lowercase();
    if READ_OTHERS.iter().any(|what| lower.contains(what)) && !lower.starts_with("secaction") {
        return None;
    }
    if lower.starts_with("secunicodemapfile") {
        return Some(directive.split_whitespace().skip(1).take(1).map(|name| name.trim_matches('"')).collect());
    }
    let operator = lower.match_indices('@').find_map(|(at, _)| {
        let name = lower.get(at..)?.split_whitespace().next()?;
        READ_FILES.contains(&name).then_some(at + name.len())
    });
    let names = operator.and_then(|at| directive.get(at..)?.split('"').next());
    Some(names.unwrap_or_default().split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exclusion, Level};

    #[test]
    fn whatever_a_rule_set_is_made_of_changes_its_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
        write("a.conf", "SecRule ARGS \"@pmFromFile a.data b.data\" \"id:1,phase:2,deny\"\n");
        write("b.conf", "# nothing\n");
        write("a.data", "one\n");
        write("b.data", "two\n");
        let plan = Plan {
            files: vec![file("a.conf"), file("b.conf")],
            levels: vec![Level { paranoia: 1, threshold: 5, argument: 4096 }],
            exclusions: vec![],
            redos_guard: true,
        };
        let first = fingerprint(&plan).unwrap();
        assert_eq!(fingerprint(&plan), Some(first));
        let mut seen = vec![first];
        let mut changed = |what: &str, plan: &Plan| {
            let now = fingerprint(plan).unwrap_or_else(|| panic!("{what}"));
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        changed("the guard", &Plan { redos_guard: false, ..plan.clone() });
        let stricter = Level { paranoia: 2, threshold: 5, argument: 4096 };
        changed("a level", &Plan { levels: vec![stricter], ..plan.clone() });
        let exclusion = Exclusion { rule: 1, target: None };
        changed("an exclusion", &Plan { exclusions: vec![exclusion], ..plan.clone() });
        changed("the order", &Plan { files: vec![file("b.conf"), file("a.conf")], ..plan.clone() });
        changed("a file less", &Plan { files: vec![file("a.conf")], ..plan.clone() });
        for name in ["a.conf", "b.conf", "a.data", "b.data"] {
            let text = std::fs::read_to_string(file(name)).unwrap();
            write(name, &format!("{text}# more\n"));
            changed(name, &plan);
        }
    }

    #[test]
    fn rules_that_ask_for_what_is_not_known_have_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.conf");
        let plan = Plan { files: vec![file.clone()], ..Plan::default() };
        assert_eq!(fingerprint(&plan), None, "a file that is not there");
        for (text, want) in [
            ("SecRule ARGS \"@streq a@b\" \"id:1,phase:2,deny\"", true),
            ("SecRule ARGS \"@pmFromFile none.data\" \"id:1,phase:2,deny\"", false),
            ("SecRule ARGS \"@pmf https://rules.example.com/a\" \"id:1,phase:2,deny\"", false),
            ("SecRule XML \"@validateSchema /a.xsd\" \"id:1,phase:2,deny\"", false),
            ("SecUnicodeMapFile none.mapping 20127", false),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(fingerprint(&plan).is_some(), want, "{text}");
        }
    }
}
