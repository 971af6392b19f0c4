//! The words of the logs and metrics are explained in the documentation, in the words of the code.

use leeward_telemetry::words::{AttemptResult, CacheState, FailoverTo, PurgeKind, Reason, WafVerdict};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

#[test]
fn every_word_is_in_the_documentation_with_its_meaning() {
    let rows = |words: &mut dyn Iterator<Item = (&'static str, &'static str)>| {
        words.map(|(word, about)| format!("| `{word}` | {} |", about.trim())).collect::<Vec<_>>()
    };
    let mut wanted = rows(&mut CacheState::ALL.iter().map(|word| (word.word(), word.about())));
    wanted.extend(rows(&mut Reason::ALL.iter().map(|word| (word.word(), word.about()))));
    wanted.extend(rows(&mut AttemptResult::ALL.iter().map(|word| (word.word(), word.about()))));
    wanted.extend(rows(&mut PurgeKind::ALL.iter().map(|word| (word.word(), word.about()))));
    wanted.extend(rows(&mut WafVerdict::ALL.iter().map(|word| (word.word(), word.about()))));
    wanted.extend(rows(&mut FailoverTo::ALL.iter().map(|word| (word.word(), word.about()))));
    let missing: Vec<_> = wanted.into_iter().filter(|row| !OPERATIONS.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "not in docs/operations.md:\n{}", missing.join("\n"));
}
