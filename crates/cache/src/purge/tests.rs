use std::fs;
use std::path::{Path, PathBuf};

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

const NAMES: Names<'static> = Names {
    key_host: "http_large/photos",
    key_path: "/photography/img/a.jpg",
    client_host: "www.example.com",
    client_path: "/img/a.jpg",
    query: b"x=1",
};

fn answer(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn labels() -> Arc<Labels> {
    let fields = [("surrogate-key", "front  Product-7"), ("cache-tag", "sale, news,"), ("surrogate-key", "more")];
    Arc::new(Labels::new(&NAMES, &answer(&fields)))
}

fn url(side: Side, host: &str, path: &str, query: Option<&str>) -> Rule {
    Rule::Url { side, host: host.into(), path: path.into(), query: query.map(|query| query.as_bytes().to_vec()) }
}

fn prefix(side: Side, host: &str, path: &str) -> Rule {
    Rule::Prefix { side, host: host.into(), path: path.into() }
}

fn host(side: Side, host: &str) -> Rule {
    Rule::Host { side, host: host.into() }
}

fn tag(tag: &str) -> Rule {
    Rule::Tag(tag.into())
}

/// Which rules name the object of [`NAMES`].
fn table() -> Vec<(Rule, bool)> {
    use Side::{Client, Key};
    let long = format!("/img/a.jpg{}", "x".repeat(9000));
    vec![
        (url(Client, "www.example.com", "/img/a.jpg", None), true),
        (url(Client, "www.example.com", "/img/a.jpg", Some("x=1")), true),
        (url(Client, "www.example.com", "/img/a.jpg", Some("x=2")), false),
        (url(Client, "www.example.com", "/img/a.jpg", Some("")), false),
        (url(Client, "www.example.com", "/img/a.jp", None), false),
        (url(Client, "www.example.com", "/img/A.jpg", None), false),
        (url(Client, "example.com", "/img/a.jpg", None), false),
        (url(Client, "http_large/photos", "/photography/img/a.jpg", None), false),
        (url(Key, "http_large/photos", "/photography/img/a.jpg", None), true),
        (url(Key, "http_large/photos", "/photography/img/a.jpg", Some("x=1")), true),
        (url(Key, "http_large/photos", "/img/a.jpg", None), false),
        (url(Key, "www.example.com", "/img/a.jpg", None), false),
        (prefix(Client, "www.example.com", ""), true),
        (prefix(Client, "www.example.com", "/"), true),
        (prefix(Client, "www.example.com", "/im"), true),
        (prefix(Client, "www.example.com", "/img"), true),
        (prefix(Client, "www.example.com", "/img/"), true),
        (prefix(Client, "www.example.com", "/img/a.jpg"), true),
        (prefix(Client, "www.example.com", "/img/a.jpg2"), false),
        (prefix(Client, "www.example.com", "/images"), false),
        (prefix(Client, "www.example.com", "/images/"), false),
        (prefix(Client, "www.example.com", &long), false),
        (prefix(Client, "www.example.co", "m/img"), false),
        (prefix(Key, "http_large/photos", "/photography/"), true),
        (prefix(Key, "http_large/photos", "/photographs/"), false),
        (prefix(Key, "http_large/photo", "/photography/"), false),
        (host(Client, "www.example.com"), true),
        (host(Client, "www.example.org"), false),
        (host(Key, "http_large/photos"), true),
        (host(Key, "www.example.com"), false),
        (tag("front"), true),
        (tag("Product-7"), true),
        (tag("more"), true),
        (tag("sale"), true),
        (tag("news"), true),
        (tag("product-7"), false),
        (tag("front  Product-7"), false),
        (tag("sal"), false),
        (tag(""), false),
        (Rule::Everything, true),
    ]
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Stands => "stands",
        Verdict::Stale(_) => "stale",
        Verdict::Gone => "gone",
    }
}

#[tokio::test]
async fn a_rule_holds_for_what_it_names_and_what_was_asked_for_before_it() {
    for (rule, names_it) in table() {
        for soft in [false, true] {
            let ledger = Ledger::open(None).unwrap();
            let before = Stamp { sequence: ledger.sequence(), labels: labels() };
            assert_eq!(word(ledger.verdict(&before)), "stands", "{rule:?} not yet");
            let purge = Purge { soft, rules: vec![rule.clone()] };
            let sequence = ledger.record(&purge).await.unwrap();
            let after = Stamp { sequence: ledger.sequence(), labels: labels() };
            let wanted = match (names_it, soft) {
                (false, _) => "stands",
                (true, true) => "stale",
                (true, false) => "gone",
            };
            assert_eq!(word(ledger.verdict(&before)), wanted, "{purge:?}");
            assert_eq!(word(ledger.verdict(&after)), "stands", "{purge:?}, asked for afterwards");
            assert!(before.sequence <= sequence && sequence < after.sequence, "{before:?} {sequence} {after:?}");
        }
    }
}

#[tokio::test]
async fn many_rules_do_not_hide_each_other() {
    let ledger = Ledger::open(None).unwrap();
    let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
    let (named, others): (Vec<_>, Vec<_>) = table().into_iter().partition(|(_, names_it)| *names_it);
    for (rule, _) in others {
        ledger.record(&Purge { soft: false, rules: vec![rule] }).await.unwrap();
    }
    assert_eq!(word(ledger.verdict(&stamp)), "stands");
    for (rule, _) in named {
        let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
        ledger.record(&Purge { soft: true, rules: vec![rule.clone()] }).await.unwrap();
        assert_eq!(word(ledger.verdict(&stamp)), "stale", "{rule:?}");
    }
}

async fn purge(ledger: &Ledger, rule: Rule) -> Result<Sequence, RecordError> {
    ledger.record(&Purge { soft: false, rules: vec![rule] }).await
}

fn journal(directory: &Path) -> PathBuf {
    directory.join("purges/journal")
}

/// What the purges in a directory say of an object that was asked for at this moment.
fn judged(directory: &Path, sequence: Sequence) -> &'static str {
    let ledger = Ledger::open(Some(directory)).unwrap();
    word(ledger.verdict(&Stamp { sequence, labels: labels() }))
}

#[tokio::test]
async fn what_was_acknowledged_holds_after_a_restart() {
    for (rule, names_it) in table() {
        for (soft, wanted) in [(false, "gone"), (true, "stale")] {
            let directory = tempfile::tempdir().unwrap();
            let ledger = Ledger::open(Some(directory.path())).unwrap();
            let before = ledger.sequence();
            ledger.record(&Purge { soft, rules: vec![rule.clone()] }).await.unwrap();
            let after = ledger.sequence();
            // no farewell: as after kill -9
            drop(ledger);
            let wanted = if names_it { wanted } else { "stands" };
            assert_eq!(judged(directory.path(), before), wanted, "{rule:?}");
            // and once more: the journal was written anew
            assert_eq!(judged(directory.path(), before), wanted, "{rule:?}, the second start");
            assert_eq!(judged(directory.path(), after), "stands", "{rule:?}, asked for afterwards");
        }
    }
}

#[tokio::test]
async fn a_last_record_that_is_cut_or_damaged_is_dropped_and_the_others_hold() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    let asked = ledger.sequence();
    purge(&ledger, tag("other")).await.unwrap();
    purge(&ledger, tag("front")).await.unwrap();
    let middle = ledger.sequence();
    purge(&ledger, host(Side::Client, "www.example.com")).await.unwrap();
    drop(ledger);
    let whole = fs::read(journal(directory.path())).unwrap();
    for cut in 0..=40 {
        for flip in [false, true] {
            let mut bytes = whole.clone();
            if flip {
                let last = bytes.len() - 1;
                if cut == 40 {
                    continue;
                }
                bytes[last - cut] ^= 0x10;
            } else {
                bytes.truncate(whole.len() - cut);
            }
            fs::write(journal(directory.path()), &bytes).unwrap();
            let wanted = if cut == 0 && !flip { "gone" } else { "stands" };
            assert_eq!(judged(directory.path(), middle), wanted, "{cut} bytes, flip: {flip}");
            fs::write(journal(directory.path()), &bytes).unwrap();
            assert_eq!(judged(directory.path(), asked), "gone", "{cut} bytes, flip: {flip}: the record before it");
        }
    }
}

#[tokio::test]
async fn a_journal_that_is_broken_elsewhere_counts_as_a_purge_of_everything() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    purge(&ledger, tag("other")).await.unwrap();
    purge(&ledger, tag("another")).await.unwrap();
    let asked = ledger.sequence();
    drop(ledger);
    let whole = fs::read(journal(directory.path())).unwrap();
    assert_eq!(judged(directory.path(), asked), "stands", "as it is");
    for at in (0..whole.len() - 40).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(journal(directory.path()), &bytes).unwrap();
        assert_eq!(judged(directory.path(), asked), "gone", "byte {at}");
        assert_eq!(judged(directory.path(), asked), "gone", "byte {at}, the start after that");
    }
    for text in [&b""[..], b"x", &whole[1..], b"something else entirely, and longer than one record"] {
        fs::write(journal(directory.path()), text).unwrap();
        assert_eq!(judged(directory.path(), asked), "gone", "{text:?}");
    }
}

#[tokio::test]
async fn sequences_grow_over_restarts_even_when_the_clock_steps_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for start in 0..5 {
        let ledger = Ledger::open(Some(directory.path())).unwrap();
        let begins = ledger.sequence();
        // ahead of all that the process before may have given out, whatever the clock says by now
        let unseen = if start == 0 { 0 } else { 5 * 60 * 1_000_000 };
        assert!(begins > last + unseen, "start {start}: {begins} after {last}");
        last = purge(&ledger, tag("x")).await.unwrap();
        let after = ledger.sequence();
        assert!(after > last, "start {start}: {after} after {last}");
        last = after;
    }
}

#[tokio::test]
async fn a_stamp_that_no_sequence_explains_is_out_of_reach_of_purges_and_gone() {
    let ledger = Ledger::open(None).unwrap();
    let stamp = |sequence| Stamp { sequence, labels: labels() };
    let now = ledger.sequence();
    assert_eq!(ledger.verdict(&stamp(now)), Verdict::Stands);
    assert_eq!(ledger.verdict(&stamp(now + 3_600_000_000)), Verdict::Gone);
}

#[tokio::test]
async fn purges_at_once_are_all_on_disk_and_share_writes() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    let asked = ledger.sequence();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { purge(&ledger, tag(&n.to_string())).await.unwrap() })
        })
        .collect();
    let mut sequences = Vec::new();
    for task in tasks {
        sequences.push(task.await.unwrap());
    }
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), 200, "every purge has a sequence of its own");
    drop(ledger);
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    for n in 0..200 {
        let fields = answer(&[("surrogate-key", &n.to_string())]);
        let stamp = Stamp { sequence: asked, labels: Arc::new(Labels::new(&NAMES, &fields)) };
        assert_eq!(word(ledger.verdict(&stamp)), "gone", "{n}");
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_said_and_written_as_soon_as_it_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    let asked = ledger.sequence();
    // the journal's place is taken by a directory, and so is the new file's: nothing can be written, whoever asks
    let (path, new) = (journal(directory.path()), directory.path().join("purges/journal.new"));
    fs::create_dir(&new).unwrap();
    ledger.break_journal().await;
    let refused = purge(&ledger, tag("front")).await;
    assert!(matches!(refused, Err(RecordError::Journal(_))), "{refused:?}");
    let stamp = Stamp { sequence: asked, labels: labels() };
    assert_eq!(word(ledger.verdict(&stamp)), "gone", "in force all the same");
    assert_eq!(judged_copy(&path, asked), "stands", "not on disk");
    fs::remove_dir(&new).unwrap();
    purge(&ledger, tag("unrelated")).await.unwrap();
    assert_eq!(judged_copy(&path, asked), "gone", "the next purge brings it to disk");
}

/// As [`judged`], without touching the journal.
fn judged_copy(journal: &Path, sequence: Sequence) -> &'static str {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("purges")).unwrap();
    fs::copy(journal, directory.path().join("purges/journal")).unwrap();
    judged(directory.path(), sequence)
}

#[tokio::test]
async fn the_journal_does_not_grow_when_the_same_is_purged_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    let asked = ledger.sequence();
    for _ in 0..20 {
        let rules = vec![tag("front"); 500];
        ledger.record(&Purge { soft: false, rules }).await.unwrap();
    }
    let size = fs::metadata(journal(directory.path())).unwrap().len();
    assert!(size < 5000 * 40, "{size} bytes for one rule");
    assert_eq!((ledger.rules(), judged(directory.path(), asked)), (1, "gone"));
}

proptest! {
    #[test]
    fn labels_come_back_from_disk_as_they_were(
        texts in prop::array::uniform4("[a-z/%]{0,40}"),
        query in prop::collection::vec(any::<u8>(), 0..40),
        tags in prop::collection::vec("[!-~]{1,20}", 0..300),
    ) {
        let [key_host, key_path, client_host, client_path] = &texts;
        let names = Names { key_host, key_path, client_host, client_path, query: &query };
        let labels = Labels::new(&names, &answer(&[("surrogate-key", &tags.join(" "))]));
        let read = Labels::decode(labels.encode());
        prop_assert_eq!(read.as_ref(), Some(&labels));
        prop_assert_eq!((labels.key_host(), labels.key_path()), (key_host.as_bytes(), key_path.as_bytes()));
        prop_assert_eq!(labels.client_host(), client_host.as_bytes());
        if !client_path.is_empty() {
            prop_assert_eq!(labels.client_path(), client_path.as_bytes());
        }
        prop_assert_eq!(labels.query(), &query[..]);
        let different: std::collections::BTreeSet<&String> = tags.iter().collect();
        prop_assert_eq!(labels.every_tag(), different.len() > MAX_TAGS);
        prop_assert_eq!(labels.tags().count(), if different.len() > MAX_TAGS { 0 } else { different.len() });
    }

    #[test]
    fn hostile_bytes_are_no_labels_or_labels_that_can_be_read(
        start in prop::collection::vec(0u8..3, 22),
        rest in prop::collection::vec(any::<u8>(), 0..80),
        ends in prop::array::uniform5(0u32..90),
    ) {
        let mut bytes = [&start[..], &rest[..]].concat();
        for bytes in [rest, bytes.clone(), {
            bytes[0] = 1;
            for (at, end) in ends.iter().enumerate() {
                bytes[2 + at * 4..6 + at * 4].copy_from_slice(&end.to_le_bytes());
            }
            bytes
        }] {
            if let Some(labels) = Labels::decode(&bytes) {
                prop_assert_eq!(labels.encode(), &bytes[..]);
                let texts = [labels.key_host(), labels.key_path(), labels.client_host(), labels.client_path(), labels.query()];
                prop_assert!(texts.iter().all(|text| text.len() <= bytes.len()));
                prop_assert!(labels.tags().count() <= MAX_TAGS);
                let _ = rules::Rules::default().marks(&labels);
            }
        }
    }
}

#[tokio::test]
async fn ten_thousand_purges_are_acknowledged_in_seconds_and_make_no_verdict_dearer() {
    const PURGES: usize = 10_000;
    const AT_ONCE: usize = 50;
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
    let began = std::time::Instant::now();
    purge(&ledger, url(Side::Client, "www.example.com", "/other", None)).await.unwrap();
    let few = cost(&ledger, &stamp);
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for n in (task..PURGES).step_by(AT_ONCE) {
                    purge(&ledger, url(Side::Client, "www.example.com", &format!("/{n}"), None)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{PURGES} purges took {took:?}");
    let many = cost(&ledger, &stamp);
    println!("{PURGES} purges: {took:?}; a verdict: {few:?} with one of them, {many:?} with all");
    assert!(many < few * 8, "a verdict took {few:?} with one purge in force, {many:?} with {PURGES}");
}

/// The least time that a hundred verdicts took.
fn cost(ledger: &Ledger, stamp: &Stamp) -> Duration {
    let run = || {
        let began = std::time::Instant::now();
        (0..100).for_each(|_| assert_eq!(ledger.verdict(std::hint::black_box(stamp)), Verdict::Stands));
        began.elapsed()
    };
    (0..50).map(|_| run()).min().unwrap_or_default()
}

#[tokio::test]
async fn a_rule_is_forgotten_when_no_fill_can_be_older_and_a_sweep_went_over_everything_since() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    assert!(!ledger.sweep_due(), "nothing was purged");
    let asked = ledger.sequence();
    let stamp = || Stamp { sequence: asked, labels: labels() };
    purge(&ledger, tag("front")).await.unwrap();
    assert!(ledger.sweep_due(), "to free the space");
    ledger.end_sweep(ledger.begin_sweep()).await.unwrap();
    assert_eq!((ledger.rules(), word(ledger.verdict(&stamp()))), (1, "gone"), "a fill that began before may still run");
    assert!(!ledger.sweep_due(), "swept");

    let early = ledger.begin_sweep();
    ledger.pass(LONGEST_FILL + Duration::from_secs(1));
    assert!(ledger.sweep_due(), "the rule has had its time");
    ledger.end_sweep(early).await.unwrap();
    assert_eq!(ledger.rules(), 1, "that sweep began before the last fill ended");
    let late = ledger.begin_sweep();
    purge(&ledger, tag("meanwhile")).await.unwrap();
    ledger.end_sweep(late).await.unwrap();
    assert_eq!(ledger.rules(), 1, "only the rule that came meanwhile is left");
    assert!(ledger.sweep_due(), "and wants a sweep of its own");
    drop(ledger);
    let ledger = Ledger::open(Some(directory.path())).unwrap();
    assert_eq!(ledger.rules(), 1, "the journal was written anew");
    assert_eq!(word(ledger.verdict(&Stamp { sequence: asked, labels: labels() })), "stands");
}

#[tokio::test]
async fn what_was_purged_softly_is_stale_for_days_then_gone() {
    let ledger = Ledger::open(None).unwrap();
    let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
    let before = SystemTime::now();
    ledger.record(&Purge { soft: true, rules: vec![tag("front")] }).await.unwrap();
    let Verdict::Stale(since) = ledger.verdict(&stamp) else { panic!("{:?}", ledger.verdict(&stamp)) };
    assert!(before - Duration::from_secs(1) < since && since <= SystemTime::now(), "{before:?} {since:?}");
    ledger.pass(SOFT_KEPT - Duration::from_secs(60));
    ledger.end_sweep(ledger.begin_sweep()).await.unwrap();
    assert_eq!(word(ledger.verdict(&stamp)), "stale", "not yet");
    ledger.pass(Duration::from_secs(120));
    assert!(ledger.sweep_due());
    let version = ledger.version();
    let sweep = ledger.begin_sweep();
    assert_eq!(word(ledger.verdict(&stamp)), "gone", "before the sweep looks at it");
    assert!(ledger.version() > version, "what was judged before has to be judged again");
    ledger.end_sweep(sweep).await.unwrap();
    assert_eq!(ledger.rules(), 0);
}

#[tokio::test]
async fn a_soft_purge_does_not_weaken_a_hard_one_nor_the_other_way_round() {
    let labels = labels();
    for (first, then, between) in [(false, true, "stale"), (true, false, "gone")] {
        let ledger = Ledger::open(None).unwrap();
        let old = Stamp { sequence: ledger.sequence(), labels: Arc::clone(&labels) };
        ledger.record(&Purge { soft: first, rules: vec![tag("front")] }).await.unwrap();
        let middle = Stamp { sequence: ledger.sequence(), labels: Arc::clone(&labels) };
        ledger.record(&Purge { soft: then, rules: vec![host(Side::Client, "www.example.com")] }).await.unwrap();
        assert_eq!(word(ledger.verdict(&old)), "gone", "soft: {first}, then {then}");
        assert_eq!(word(ledger.verdict(&middle)), between, "soft: {first}, then {then}");
    }
}

#[tokio::test]
async fn an_object_with_more_tags_than_are_kept_is_purged_with_every_tag() {
    let tags: Vec<String> = (0..=MAX_TAGS).map(|n| n.to_string()).collect();
    for (kept, wanted) in [(&tags[..], "gone"), (&tags[1..], "stands")] {
        let ledger = Ledger::open(None).unwrap();
        let labels = Arc::new(Labels::new(&NAMES, &answer(&[("cache-tag", &kept.join(","))])));
        let stamp = Stamp { sequence: ledger.sequence(), labels };
        purge(&ledger, tag("unheard of")).await.unwrap();
        assert_eq!(word(ledger.verdict(&stamp)), wanted, "{} tags", kept.len());
    }
}

#[tokio::test]
async fn a_purge_of_everything_stands_for_all_before_it() {
    let ledger = Ledger::open(None).unwrap();
    for n in 0..100 {
        purge(&ledger, tag(&n.to_string())).await.unwrap();
    }
    let stamp = Stamp { sequence: ledger.sequence(), labels: labels() };
    ledger.record(&Purge { soft: true, rules: vec![Rule::Everything] }).await.unwrap();
    assert_eq!((ledger.rules(), word(ledger.verdict(&stamp))), (101, "stale"));
    purge(&ledger, Rule::Everything).await.unwrap();
    assert_eq!((ledger.rules(), word(ledger.verdict(&stamp))), (1, "gone"));
}

#[tokio::test]
async fn the_number_of_rules_has_a_limit_that_no_mixture_goes_beyond() {
    let ledger = Ledger::open(None).unwrap();
    let tags = |from: usize, count: usize| (from..from + count).map(|n| tag(&n.to_string()));
    let record = async |soft, rules: Vec<Rule>| ledger.record(&Purge { soft, rules }).await.is_ok();
    assert!(record(false, tags(0, MAX_RULES - 1).collect()).await);
    let more = || tags(MAX_RULES, 10);
    for (soft, rules, taken) in [
        (false, more().collect::<Vec<_>>(), false),
        (true, more().chain([Rule::Everything]).collect(), false),
        (true, vec![Rule::Everything], true),
        (false, more().take(1).collect(), false),
        (false, more().chain([Rule::Everything]).collect(), true),
        (false, more().collect(), true),
    ] {
        let what = format!("soft: {soft}, {} rules", rules.len());
        assert_eq!(record(soft, rules).await, taken, "{what}");
        assert!(ledger.rules() <= MAX_RULES, "{what}: {}", ledger.rules());
    }
}
