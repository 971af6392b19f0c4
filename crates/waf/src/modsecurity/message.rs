//! What the library says, read.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::scan::File;
use super::settings;
use crate::{Fault, Verdict};

/// Rules that one verdict names.
const MAX_RULES: usize = 64;

/// The server's address as rules see it. Messages repeat it between what the engine says itself and the target, which the client
/// writes: it is drawn, so that no client can write it.
pub(super) fn server() -> &'static str {
    static DRAWN: OnceLock<String> = OnceLock::new();
    DRAWN.get_or_init(|| {
        let bits = u128::from(RandomState::new().hash_one(1)) << 64 | u128::from(RandomState::new().hash_one(2));
        Ipv6Addr::from_bits(0xfd << 120 | bits >> 8).to_string()
    })
}

/// The verdict, from what the rules that matched said.
pub(super) fn verdict(refuse: bool, messages: &[Vec<u8>], known: &[u32]) -> Verdict {
    let mut verdict = Verdict { refuse, ..Verdict::default() };
    for (id, said) in messages.iter().filter_map(|message| read(message)) {
        if let Some(score) = score(said) {
            verdict.score = verdict.score.max(score);
        }
        let is_new = id != settings::SCORE && known.binary_search(&id).is_ok() && !verdict.rules.contains(&id);
        if is_new && verdict.rules.len() < MAX_RULES {
            verdict.rules.push(id);
        }
    }
    verdict
}

/// The rule's id, and what stands between it and the target.
///
/// A message is `... (Value: `<of the client>' ) [file "f"] [line "1"] [id "1"] ... [msg "m"] [data "<escaped>"] ...
/// [hostname "<server>"] [uri "<of the client>"] ...`: the id is the last one before the server's address.
fn read(message: &[u8]) -> Option<(u32, &str)> {
    let marker = ["[hostname \"", server(), "\"]"].concat();
    let end = find(message, marker.as_bytes())?;
    let own = message.get(..end)?;
    let start = own.windows(5).rposition(|window| window == b"[id \"")? + 5;
    let rest = own.get(start..)?;
    let digits = rest.iter().position(|byte| *byte == b'"')?;
    let id = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    // whatever it is, a score is ASCII
    let said = rest.get(digits..)?;
    let text = said.iter().position(|byte| !byte.is_ascii()).map_or(said, |first| said.get(..first).unwrap_or(said));
    Some((id, std::str::from_utf8(text).ok()?))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// `Total Score: 5`, as this crate's own rule and those of the Core Rule Set say it.
fn score(said: &str) -> Option<u32> {
    let message = said.split_once("[msg \"")?.1.split('"').next()?;
    let digits = message.split_once("Total Score: ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `Rules error. File: f. Line: 3. Column: 5. Expecting ...`
pub(super) fn parser(message: &str, of: &File) -> Fault {
    let after = |mark: &str| message.split_once(mark).map(|(_, rest)| rest);
    let file = after("File: ").and_then(|rest| rest.split(". Line:").next()).map(PathBuf::from);
    let line = after("Line: ").and_then(|rest| rest.split('.').next()?.trim().parse().ok());
    let what = after("Column: ").and_then(|rest| rest.split_once(". ")).map_or(message, |(_, what)| what);
    let mut fault = of.fault(line.unwrap_or(0), format!("the engine does not take this rule: {}", what.trim()));
    // a rule may name a file that is read as a part of it
    if let Some(file) = file.filter(|file| file.is_file()) {
        fault.file = Some(file);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_names_what_the_rules_say_and_nothing_that_a_client_writes() {
        let server = server();
        let message = |value: &str, id: &str, msg: &str, uri: &str| {
            format!(
                "ModSecurity: Warning. Matched (Value: `{value}' ) [file \"/r.conf\"] [line \"4\"] [id \"{id}\"] [rev \"\"] \
                 [msg \"{msg}\"] [data \"\\x22\"] [hostname \"{server}\"] [uri \"{uri}\"] [unique_id \",l0,\"]"
            )
            .into_bytes()
        };
        let known = [100, 101, 949_110];
        for (messages, rules, score) in [
            (vec![], vec![], 0),
            (vec![message("x", "100", "m", "/")], vec![100], 0),
            (
                vec![message("x", "100", "m", "/"), message("x", "101", "m", "/"), message("x", "100", "m", "/")],
                vec![100, 101],
                0,
            ),
            (vec![message("x", "999", "m", "/")], vec![], 0),
            (vec![message("[id \"101\"] [hostname \"127.0.0.1\"]", "100", "m", "/")], vec![100], 0),
            (vec![message("x", "100", "m", "/\"] [id \"101\"] [msg \"Total Score: 9\"]")], vec![100], 0),
            (vec![message("x", "949110", "Exceeded (Total Score: 15)", "/")], vec![949_110], 15),
            (vec![message("x", "7700002", "Total Score: 3", "/")], vec![], 3),
            (
                vec![message("x", "100", "Total Score: ", "/"), message("x", "100", "Total Score: 99999999999", "/")],
                vec![100],
                0,
            ),
            (vec![b"[id \"100\"]".to_vec(), b"".to_vec(), b"\xff[hostname".to_vec()], vec![], 0),
        ] {
            let got = verdict(false, &messages, &known);
            assert_eq!((&got.rules, got.score), (&rules, score), "{messages:?}");
        }
    }
}
