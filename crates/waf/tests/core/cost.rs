//! What an inspection costs, and what it costs to remember one. Figures are printed (`--nocapture`); the limits are far above them.

use std::time::{Duration, Instant};

use leeward_waf::Memory;

use super::*;

fn each(number: u32, mut what: impl FnMut()) -> Duration {
    what();
    let began = Instant::now();
    (0..number).for_each(|_| what());
    began.elapsed() / number
}

#[test]
fn a_verdict_that_is_remembered_is_a_hundred_times_cheaper_than_an_inspection() {
    let request = get("/products/list?page=2&sort=price&q=blue+running+shoes&color=navy");
    let form: String = (0..20).map(|n| format!("field{n}=some+ordinary+text+value+number+{n}&")).collect();
    let form = post(FORM, form.as_bytes());
    let inspected = each(200, || drop(judge(&request)));
    let with_form = each(100, || drop(judge(&form)));
    let memory = Memory::default();
    let verdict = Arc::new(judge(&request));
    let key = || {
        let mut key = memory.key(1);
        key.add(&request.method);
        key.add(&request.target);
        request.fields.iter().for_each(|(name, value)| {
            key.add(name);
            key.add(value);
        });
        key
    };
    memory.keep(&key(), &verdict, Instant::now());
    let remembered = each(20_000, || assert!(memory.recall(&key(), Instant::now()).is_some()));
    println!("GET with a query: {inspected:?}, form of 20 fields: {with_form:?}, remembered GET: {remembered:?}");
    assert!(remembered * 20 < inspected, "{remembered:?} {inspected:?}");
}
