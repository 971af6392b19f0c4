//! The WAF, seen from outside: attacks and ordinary requests by the hundred, bodies that are held back, rules that change, hostile
//! bodies beside hits. Needs libmodsecurity 3 and the Core Rule Set (Debian: libmodsecurity3, modsecurity-crs).

mod corpus;
mod hostile;
mod odd;
mod rules;

use leeward_tests::client::{Request, Response};
use leeward_tests::edge::{Edge, Setup};
use leeward_tests::origin::{Answer, Origin, Script};

const CORE: &str = "[/etc/modsecurity/crs/crs-setup.conf, \"/usr/share/modsecurity-crs/rules/*.conf\"]";

/// Sites block, detect and off, each `.example.com`, before one origin; `more` is added to `waf`.
fn config(more: &str) -> String {
    format!(
        r#"
server: {{ listen: [{{ address: "${{listen}}" }}] }}
admin: {{ address: "${{admin}}" }}
cache: {{ store_on_hit: 1 }}
origins: [{{ directory: main, http: {{ servers: ["http://${{origin}}"] }} }}]
waf: {{ rules: {CORE}, {more} }}
sites:
  - {{ host: block.example.com, origin: main, waf: {{ mode: block }} }}
  - {{ host: detect.example.com, origin: main, waf: {{ mode: detect }} }}
  - {{ host: off.example.com, origin: main }}
"#
    )
}

fn setup(origin: &Origin, more: &str) -> Setup {
    Setup::new(&config(more)).name("origin", &origin.address())
}

fn origin() -> Origin {
    Origin::start(Script::default().on("*", [Answer::ok("fine").with("Cache-Control", "max-age=60")]))
}

const BLOCK: &str = "block.example.com";
const DETECT: &str = "detect.example.com";

/// As a browser sends it.
fn browser(method: &str, host: &str, target: &str) -> Request {
    Request::new(method, host, target)
        .with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .with("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .with("Accept-Language", "en-US,en;q=0.5")
        .with("Accept-Encoding", "gzip, deflate, br")
}

fn post(host: &str, target: &str, content_type: &str, body: &[u8]) -> Request {
    let mut request = browser("POST", host, target).with("Content-Type", content_type);
    request.body = Some(body.to_vec());
    request
}

fn ask(edge: &Edge, request: &Request) -> Response {
    edge.http().ask(request).unwrap_or_else(|lost| panic!("{} {}: {lost:?}", request.method, request.target))
}

const FORM: &str = "application/x-www-form-urlencoded";
