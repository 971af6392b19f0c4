//! A purge through the admin listener.

use serde::Deserialize;
use serde_yaml::Value;

use super::ask::got;
use super::expect::{Expect, Want, Wanted};
use crate::client::{Request, Target};
use crate::edge::Edge;

/// What is posted to `/v1/purge`, and what must come back: 200 unless told otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    /// The body, as it is written in JSON.
    pub purge: Value,
    #[serde(default = "acknowledged")]
    expect: Expect,
}

fn acknowledged() -> Expect {
    Expect(Wanted { status: Some(Want::Is("200".to_owned())), ..Wanted::default() })
}

impl Purge {
    /// Purges; everything that is wrong with the answer.
    pub(super) fn misses(&self, edge: &Edge) -> Vec<String> {
        let mut request = Request::new("POST", "localhost", "/v1/purge").with("Connection", "close");
        if let Some(token) = edge.token() {
            request = request.with("Authorization", &format!("Bearer {token}"));
        }
        request.body = Some(serde_json::to_vec(&self.purge).expect("what is purged is JSON"));
        let started = std::time::Instant::now();
        let answer = Target::plain(edge.admin_address()).ask(&request);
        let answer = answer.map(|answer| got(answer, None, started.elapsed()));
        self.expect.0.misses(answer.as_ref())
    }
}
