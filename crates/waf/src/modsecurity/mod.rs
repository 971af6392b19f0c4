//! libmodsecurity 3 as an engine. The library is looked for when a configuration first needs it; nothing of it is needed to
//! build this crate or to run an edge without a WAF.

mod closed;
mod commands;
mod ffi;
mod fingerprint;
mod message;
mod parts;
mod prolog;
mod scan;
mod settings;

use std::ffi::CString;
use std::sync::Arc;

pub use fingerprint::fingerprint;
pub use settings::{ARGUMENT, EXPENSIVE, MAX_EXCLUSIONS, MAX_LEVELS};

use crate::{Engine, Failed, Fault, Plan, Request, RuleSet, Verdict};

/// The library's file.
const FILE: &str = "libmodsecurity.so.3";
/// The oldest version whose behaviour was tested.
const OLDEST: [u32; 3] = [3, 0, 9];

/// The engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModSecurity;

/// Loaded rules.
struct Rules {
    rules: ffi::Rules,
    ids: Vec<u32>,
    asks_for_client: bool,
}

impl Engine for ModSecurity {
    fn load(&self, plan: &Plan) -> Result<Arc<dyn RuleSet>, Vec<Fault>> {
        let of_engine = |message: String| vec![Fault { file: None, line: 0, message, hint: None }];
        let api = ffi::api().map_err(|error| {
            let message = format!("`{FILE}` cannot be loaded: {error}");
            let hint = Some("install libmodsecurity 3, for example Debian's package `libmodsecurity3`".to_owned());
            vec![Fault { file: None, line: 0, message, hint }]
        })?;
        if !new_enough(&api.version) {
            let [major, minor, patch] = OLDEST;
            return Err(of_engine(format!("`{FILE}` is {}, older than {major}.{minor}.{patch}", api.version)));
        }
        let scanned = scan::scan(&plan.files)?;
        let mut rules = ffi::Rules::new(api).map_err(of_engine)?;
        let ours = |error: String| of_engine(format!("the engine does not take its settings: {error}"));
        rules.add(&settings::before(plan)).map_err(ours)?;
        rules.add(&settings::exclusions(&plan.exclusions)).map_err(ours)?;
        let defaults = scanned.files.iter().position(|file| file.gives_defaults);
        for (number, file) in scanned.files.iter().enumerate() {
            if defaults == Some(number) {
                rules.add(&settings::levels(&plan.levels)).map_err(ours)?;
            }
            let path = file.path.to_str().ok_or_else(|| vec![file.fault(0, "its name is not UTF-8")])?;
            rules.add_file(path).map_err(|error| vec![message::parser(&error, file)])?;
        }
        if defaults.is_none() {
            rules.add(&settings::levels(&plan.levels)).map_err(ours)?;
        }
        rules.add(&settings::after(plan)).map_err(ours)?;
        let mut ids = scanned.ids;
        ids.extend(settings::KNOWN.iter().copied());
        ids.sort_unstable();
        ids.dedup();
        Ok(Arc::new(Rules { rules, ids, asks_for_client: scanned.asks_for_client }))
    }
}

impl RuleSet for Rules {
    fn inspect(&self, request: &Request) -> Result<Verdict, Failed> {
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Failed("a NUL byte in the head"));
        let content_type = request.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
        let content_type = content_type.map(|(_, value)| value.as_slice()).unwrap_or_default();
        let whole;
        let body: &[u8] = match request.body.as_slice() {
            [one] => one,
            parts => {
                whole = parts.concat();
                &whole
            }
        };
        let prolog = prolog::of(body);
        let id = settings::unique_id(request, prolog, parts::repeat_a_field(content_type, body));
        let id = text(id.as_bytes())?;
        let (target, method) = (text(&request.target)?, text(&request.method)?);
        let (client, version) = (text(request.client.to_string().as_bytes())?, text(request.version.as_bytes())?);
        let server = text(message::server().as_bytes())?;
        let mut transaction = ffi::Transaction::new(&self.rules, &id).map_err(Failed)?;
        let took = |done: bool| if done { Ok(()) } else { Err(Failed("the engine did not take the request")) };
        took(transaction.connection(&client, 0, &server, 80))?;
        took(transaction.request_line(&target, &method, &version))?;
        for (name, value) in &request.fields {
            took(transaction.header(name, value))?;
        }
        took(transaction.head_done())?;
        let mut refuse = transaction.refused();
        if !refuse {
            let shown = if request.cut {
                closed::close(content_type, body)
            } else {
                closed::Closed { keep: body.len(), end: Vec::new() }
            };
            let shown = [body.get(..shown.keep).unwrap_or(body), &shown.end];
            shown.iter().filter(|part| !part.is_empty()).for_each(|part| transaction.body(part));
            took(transaction.body_done())?;
            refuse = transaction.refused();
        }
        Ok(message::verdict(refuse, &transaction.messages().texts, &self.ids))
    }

    fn asks_for_client(&self) -> bool {
        self.asks_for_client
    }

    fn rules(&self) -> &[u32] {
        &self.ids
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rules of {}", self.ids.len(), self.rules.api().version)
    }
}

/// `ModSecurity v3.0.9 (Linux)`; what is not understood is taken.
fn new_enough(version: &str) -> bool {
    let numbers = version.split_whitespace().find_map(|word| word.strip_prefix('v'));
    let numbers =
        numbers.map(|numbers| numbers.split('.').map_while(|number| number.parse().ok()).collect::<Vec<u32>>());
    numbers.is_none_or(|numbers| numbers.len() != 3 || numbers.as_slice() >= OLDEST.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_too_old_is_known_by_its_name() {
        for (version, want) in [
            ("ModSecurity v3.0.9 (Linux)", true),
            ("ModSecurity v3.0.14 (Linux)", true),
            ("ModSecurity v3.1.0 (Linux)", true),
            ("ModSecurity v3.0.8 (Linux)", false),
            ("ModSecurity v2.9.7 (Linux)", false),
            ("ModSecurity", true),
        ] {
            assert_eq!(new_enough(version), want, "{version}");
        }
    }
}
