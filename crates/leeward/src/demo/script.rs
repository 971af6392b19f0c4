//! The demo's configuration and what it tells people to try. A test runs exactly the commands printed here.

use std::net::SocketAddr;
use std::path::Path;

/// Four sites: one that fails over to a mirror site, the mirror, one that fails over by redirect, and one whose origin has a
/// backup.
pub(crate) fn configuration(edge: SocketAddr, origin: SocketAddr, mirror: SocketAddr) -> String {
    format!(
        r#"# The configuration of `leeward demo`.
server:
  listen: [{{ address: "{edge}" }}]
  limits: {{ connections: 100, connections_per_ip: 100 }} # what any machine's limit of open files allows
admin: {{ address: 127.0.0.1:0 }}
log: {{ access: off }}
cache:
  memory: 64MiB
  store_on_hit: 2
origins:
  - directory: www
    http: {{ servers: ["http://{origin}"] }}
    timeouts: {{ connect: 1s, first_byte: 5s, between_bytes: 5s }}
  - directory: shop
    http: {{ servers: ["http://{origin}"] }}
    backup: {{ server: "http://{mirror}", exclude: ["4*"] }}
  - directory: mirror
    http: {{ servers: ["http://{mirror}"] }}
sites:
  - host: www.example.com
    origin: www
    rules:
      - matches: [{{ name: http-method, value: "GET HEAD" }}]
        behaviors:
          - name: site-failover
            type: serve-alternate
            params: {{ httpResponseStatus: "500:504", alternateHostname: mirror.example.com, alternatePath: "-", preserveQueryString: true }}
  - host: mirror.example.com
    origin: mirror
    rules:
      - matches: [{{ name: url-wildcard, value: "/*" }}]
        behaviors:
          - {{ name: downstream-caching, value: no-store }}
  - host: redirect.example.com
    origin: www
    rules:
      - matches: [{{ name: http-method, value: "GET HEAD" }}]
        behaviors:
          - name: site-failover
            type: serve-302
            params: {{ httpResponseStatus: "500:504", alternateHostname: mirror.example.com, alternatePath: "-", preserveQueryString: true }}
  - host: shop.example.com
    origin: shop
"#
    )
}

/// One thing to try: what it shows, the command, and what the answer holds.
struct Step {
    shows: &'static str,
    command: String,
    expect: &'static [&'static str],
}

fn steps(edge: SocketAddr, admin: SocketAddr, control: SocketAddr) -> Vec<Step> {
    let get = |host: &str, path: &str| format!("curl -si -H 'Host: {host}' 'http://{edge}{path}'");
    let hello = || get("www.example.com", "/hello.txt");
    vec![
        Step {
            shows: "The first request: fetched from the origin, not stored yet.",
            command: hello(),
            expect: &[
                "HTTP/1.1 200",
                "Cache-Status: leeward; fwd=uri-miss; detail=deferred",
                "origin: this is /hello.txt",
            ],
        },
        Step {
            shows: "The second: fetched and stored.",
            command: hello(),
            expect: &["HTTP/1.1 200", "Cache-Status: leeward; fwd=uri-miss; stored"],
        },
        Step {
            shows: "The third: a hit.",
            command: hello(),
            expect: &["HTTP/1.1 200", "Cache-Status: leeward; hit; ttl="],
        },
        Step {
            shows: "Now the origin goes away.",
            command: format!("curl -si -X POST http://{control}/stop"),
            expect: &["HTTP/1.1 200", "the origin is stopped"],
        },
        Step {
            shows: "What is stored is still served.",
            command: hello(),
            expect: &["HTTP/1.1 200", "Cache-Status: leeward; hit; ttl=", "origin: this is /hello.txt"],
        },
        Step {
            shows: "What is not stored comes from the mirror, and the client sees no error.",
            command: get("www.example.com", "/news.txt"),
            expect: &["HTTP/1.1 200", "Cache-Control: no-store", "mirror: this is /news.txt"],
        },
        Step {
            shows: "Another site sends its visitors to the mirror instead.",
            command: get("redirect.example.com", "/news.txt?edition=2"),
            expect: &["HTTP/1.1 302", "Location: http://mirror.example.com/news.txt?edition=2"],
        },
        Step {
            shows: "The shop's origin has a backup origin, which answers in its place.",
            command: get("shop.example.com", "/offers.txt"),
            expect: &["HTTP/1.1 200", "mirror: this is /offers.txt"],
        },
        Step {
            shows: "The origin is left alone for a while; then one request tries it.",
            command: format!("curl -s http://{admin}/v1/origins"),
            expect: &["\"state\": \"excluded\"", "\"reason\": \"connect_refused\""],
        },
        Step {
            shows: "The origin comes back, and the next request goes to it.",
            command: format!("curl -si -X POST http://{control}/start"),
            expect: &["HTTP/1.1 200", "the origin is started"],
        },
        Step {
            shows: "",
            command: get("www.example.com", "/news.txt"),
            expect: &["HTTP/1.1 200", "origin: this is /news.txt"],
        },
        Step {
            shows: "What is stored is served for a week here, unless it is purged.",
            command: format!("curl -s -d '{{\"url\": \"http://www.example.com/hello.txt\"}}' http://{admin}/v1/purge"),
            expect: &["\"kind\": \"url\"", "\"soft\": false"],
        },
        Step {
            shows: "",
            command: hello(),
            expect: &["HTTP/1.1 200", "Cache-Status: leeward; fwd=uri-miss; stored", "origin: this is /hello.txt"],
        },
        Step {
            shows: "What happened, in numbers.",
            command: format!("curl -s http://{admin}/metrics"),
            expect: &[
                "leeward_failovers_total{reason=\"connect_refused\",site=\"www.example.com\",to=\"alternate\"} 1",
            ],
        },
    ]
}

/// What to try, with `$ ` before each command and `= ` before what its answer holds.
pub(crate) fn instructions(edge: SocketAddr, admin: SocketAddr, control: SocketAddr, file: &Path) -> String {
    let mut out = format!(
        "Leeward serves www.example.com on http://{edge}, with an origin and a mirror behind it.\n\
         Its configuration is {}. In another terminal:\n",
        file.display()
    );
    for Step { shows, command, expect } in steps(edge, admin, control) {
        if !shows.is_empty() {
            out.push_str(&format!("\n{shows}\n"));
        }
        out.push_str(&format!("$ {command}\n"));
        for line in expect {
            out.push_str(&format!("= {line}\n"));
        }
    }
    out.push_str("\nCtrl-C ends it.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_begins_without_a_word_about_its_own_configuration() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leeward.yaml");
        std::fs::write(&file, configuration(address(8080), address(9001), address(9002))).unwrap();
        let said: Vec<String> = leeward_config::load(&file).diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(said, [""; 0]);
    }
}
