//! libmodsecurity with the Core Rule Set, as Debian's packages `libmodsecurity3` and `modsecurity-crs` install them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]

mod attacks;
mod commands;
mod cost;
mod files;
mod hostile;
mod swaps;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use leeward_waf::modsecurity::ModSecurity;
use leeward_waf::{Engine, Fault, Level, Plan, Request, RuleSet, Verdict};

/// The Core Rule Set's files, in order.
fn core_rules() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/modsecurity/crs/crs-setup.conf")];
    let folder = std::fs::read_dir("/usr/share/modsecurity-crs/rules").expect("install the package modsecurity-crs");
    let mut rules: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    rules.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    rules.sort();
    files.extend(rules);
    files
}

fn plan() -> Plan {
    Plan {
        files: core_rules(),
        levels: vec![Level { paranoia: 1, threshold: 5, argument: 4096 }],
        exclusions: Vec::new(),
        redos_guard: true,
    }
}

fn load(plan: &Plan) -> Result<Arc<dyn RuleSet>, Vec<Fault>> {
    ModSecurity.load(plan)
}

/// The Core Rule Set at paranoia level 1 and threshold 5, loaded once.
fn rules() -> Arc<dyn RuleSet> {
    static LOADED: OnceLock<Arc<dyn RuleSet>> = OnceLock::new();
    Arc::clone(LOADED.get_or_init(|| load(&plan()).unwrap_or_else(|faults| panic!("{faults:#?}"))))
}

fn get(target: &str) -> Request {
    let fields = [
        ("Host", "www.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
    ];
    Request {
        method: b"GET".to_vec(),
        target: target.as_bytes().to_vec(),
        version: "1.1",
        fields: fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        body: Vec::new(),
        cut: false,
        client: [192, 0, 2, 1].into(),
        level: 0,
        exclusions: Vec::new(),
    }
}

fn post(content_type: &str, body: &[u8]) -> Request {
    let mut request = get("/form");
    request.method = b"POST".to_vec();
    request.fields.push((b"Content-Type".to_vec(), content_type.as_bytes().to_vec()));
    request.fields.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    request.body = vec![Bytes::copy_from_slice(body)];
    request
}

const FORM: &str = "application/x-www-form-urlencoded";

fn judge(request: &Request) -> Verdict {
    rules().inspect(request).unwrap()
}
