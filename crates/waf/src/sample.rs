//! A tiny engine for tests: a rule is a line `ID TEXT`, and refuses requests with the text in target or body.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{Engine, Failed, Fault, Plan, Request, RuleSet, Verdict};

pub(crate) struct Sample;

#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Vec<(u32, Vec<u8>)>,
    ids: Vec<u32>,
    pub(crate) asked: AtomicUsize,
}

impl Engine for Sample {
    fn load(&self, plan: &Plan) -> Result<Arc<dyn RuleSet>, Vec<Fault>> {
        let mut set = Lines::default();
        for file in &plan.files {
            let fault = |line, message: &str| {
                vec![Fault { file: Some(file.clone()), line, message: message.to_owned(), hint: None }]
            };
            let text = std::fs::read_to_string(file).map_err(|error| fault(0, &error.to_string()))?;
            for (number, line) in text.lines().enumerate() {
                let rule = line.split_once(' ').and_then(|(id, text)| Some((id.parse().ok()?, text.into())));
                set.lines.push(rule.ok_or_else(|| fault(number + 1, "not a rule"))?);
            }
        }
        set.ids = set.lines.iter().map(|(id, _)| *id).collect();
        Ok(Arc::new(set))
    }
}

impl RuleSet for Lines {
    fn inspect(&self, request: &Request) -> Result<Verdict, Failed> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut text = request.target.clone();
        request.body.iter().for_each(|part| text.extend_from_slice(part));
        let has = |what: &[u8]| text.windows(what.len()).any(|window| window == what);
        if has(b"fail") {
            return Err(Failed("told to"));
        }
        assert!(!has(b"panic"), "told to");
        if has(b"slow") {
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(Duration::from_millis(300));
        }
        let rules: Vec<u32> = self.lines.iter().filter(|(_, text)| has(text)).map(|(id, _)| *id).collect();
        Ok(Verdict { refuse: !rules.is_empty(), score: 5 * u32::try_from(rules.len()).unwrap(), rules })
    }

    fn asks_for_client(&self) -> bool {
        false
    }

    fn rules(&self) -> &[u32] {
        &self.ids
    }
}
