//! `leeward origins`, as people and scripts meet it: a running edge, real servers on loopback.

#![allow(clippy::disallowed_methods, reason = "no worker waits here")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

fn leeward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leeward")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder with one configuration: what is given, and a site of the origin `photos`.
fn folder(configuration: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{configuration}\nsites:\n  - {{ host: www.example.com, origin: photos }}\n");
    std::fs::write(folder.path().join("leeward.yaml"), text).unwrap();
    folder
}

/// An edge that runs until it is dropped.
struct Edge {
    process: Child,
    listener: SocketAddr,
    admin: SocketAddr,
}

impl Edge {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_leeward"))
            .arg("run")
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut after = |words: &str| {
            let said = lines.by_ref().map(Result::unwrap).find_map(|line| line.split_once(words)?.1.parse().ok());
            said.unwrap_or_else(|| panic!("the edge never said `{words}`"))
        };
        let (listener, admin) = (after("listening on "), after("admin on "));
        // what it says later must not fill the pipe
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, listener, admin }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.listener).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// `leeward origins` in JSON.
    fn state(&self, folder: &Path) -> serde_json::Value {
        let output = leeward(folder, &["origins", "--address", &self.admin.to_string(), "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
    }

    /// Waits until the state has this value there, for longer than a loaded machine takes.
    fn until(&self, folder: &Path, pointer: &str, value: &str) {
        for _ in 0..100 {
            if self.state(folder).pointer(pointer).and_then(serde_json::Value::as_str) == Some(value) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{pointer} was not {value} within 10 s: {:#}", self.state(folder));
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server on a port of its own that answers every request with this status and keeps what it heard.
fn serve(status: u16) -> (SocketAddr, Receiver<String>) {
    let status = Arc::new(AtomicU16::new(status));
    serve_on(move |stream, say| answer(stream, status.load(Ordering::Relaxed), say))
}

/// A server on a port of its own, one connection after the other.
fn serve_on(connection: impl Fn(TcpStream, &Sender<String>) + Send + 'static) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (say, heard)) = (listener.local_addr().unwrap(), std::sync::mpsc::channel());
    std::thread::spawn(move || listener.incoming().for_each(|stream| connection(stream.unwrap(), &say)));
    (address, heard)
}

fn answer(mut stream: impl Read + Write, status: u16, say: &Sender<String>) {
    let mut request = [0; 2048];
    let read = stream.read(&mut request).unwrap_or(0);
    let _ = say.send(String::from_utf8_lossy(&request[..read]).into_owned());
    let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let _ = stream.flush();
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn the_state_of_the_servers_is_the_running_edges() {
    let ((up, _heard), down) = (serve(200), nobody());
    let folder = folder(&format!(
        "server: {{ listen: [{{ address: '127.0.0.1:0' }}] }}
admin: {{ address: '127.0.0.1:0', token: {{ file: token }} }}
origins:
  - directory: photos
    http: {{ servers: ['http://{down}', 'http://{up}'], balance: primary_failover }}"
    ));
    std::fs::write(folder.path().join("token"), "sesame").unwrap();
    let edge = Edge::start(folder.path());
    let admin = edge.admin.to_string();
    let ask = |more: &[&str]| leeward(folder.path(), &[&["origins", "--address", &admin], more].concat());

    let before = text(&ask(&[]));
    let rows: Vec<Vec<&str>> = before.lines().map(|line| line.split_whitespace().collect()).collect();
    let (url, at) = (|address| format!("http://{address}"), |address: SocketAddr| address.to_string());
    let well = |address| ["photos".to_owned(), url(address), at(address), "available".to_owned()];
    assert_eq!(rows[1..], [well(down).to_vec(), well(up).to_vec()], "{before}");

    let answer = edge.get("/a");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let said = edge.state(folder.path());
    for (server, state) in [(0, "excluded"), (1, "available")] {
        let found = said.pointer(&format!("/origins/0/servers/{server}/addresses/0/state"));
        assert_eq!(found.and_then(serde_json::Value::as_str), Some(state), "server {server} in {said:#}");
    }
    let after = text(&ask(&[]));
    let row: Vec<_> = after.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row[3..6], ["excluded", "1", "connect_refused"], "{after}");
    assert_eq!(row[7], "in", "{after}");
}

#[test]
fn without_an_edge_that_answers_the_exit_code_is_1_and_without_an_address_2() {
    let photos = "origins: [{ directory: photos, http: { servers: ['http://192.0.2.1'] } }]";
    let alone = folder(&format!("admin: {{ address: '{}' }}\n{photos}", nobody()));
    let broken = folder("origins: [{ directory: photos }]");
    // something that is no edge answers
    let (other, _heard) = serve(404);
    let strange = folder(&format!("admin: {{ address: '{other}' }}\n{photos}"));
    for (folder, code, said) in [(&alone, 1, "nobody answers"), (&broken, 2, "not valid"), (&strange, 1, "status 404")]
    {
        let output = leeward(folder.path(), &["origins"]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(said), "{said} is not in {}", text(&output));
    }
}

#[test]
fn the_allow_list_is_merged_and_sorted() {
    let photos = "origins: [{ directory: photos, http: { servers: ['http://192.0.2.1'] } }]";
    let blocks = "addresses:
  edge: [198.51.100.0/25, 198.51.100.128/25, '2001:db8:1::/48', 192.0.2.7/32]
  gateways: [192.0.2.7/32, '2001:db8::/48', 203.0.113.0/24]
  reserved: [198.51.100.16/28, 10.0.0.0/8]\n";
    let some = folder(&format!("{blocks}{photos}"));
    let none = folder(photos);
    let want = ["10.0.0.0/8", "192.0.2.7/32", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/47"];

    let listed = leeward(some.path(), &["origins", "--allow-list"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().collect::<Vec<_>>(), want, "{}", text(&listed));
    assert_eq!(listed.status.code(), Some(0));
    let listed = leeward(some.path(), &["origins", "--allow-list", "--format", "json"]);
    let said: Vec<String> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(said, want);

    let listed = leeward(none.path(), &["origins", "--allow-list"]);
    assert_eq!((listed.status.code(), &*listed.stdout), (Some(1), &b""[..]), "{}", text(&listed));
}

#[test]
fn validation_asks_every_server_and_is_good_when_all_answer_200() {
    let ((good, heard), (missing, _heard), down) = (serve(200), serve(404), nobody());
    let photos = |servers: &[SocketAddr], more: &str| {
        let servers: Vec<_> = servers.iter().map(|server| format!("'http://{server}'")).collect();
        folder(&format!(
            "origins:\n  - directory: photos\n    http: {{ servers: [{}] }}\n    timeouts: {{ connect: 1s, first_byte: 2s }}{more}",
            servers.join(", ")
        ))
    };
    let path = "\n    validation_path: http://www.example.net/permanent/probe.png?v=1";
    let own = "\n    host_header: www.example.net";
    let cases = [
        (photos(&[good], &format!("{path}{own}")), 0, vec!["ok"]),
        (photos(&[good, missing, down], path), 1, vec!["ok", "failed", "failed"]),
        (photos(&[good], own), 2, vec![]),
    ];
    for (folder, code, words) in &cases {
        let output = leeward(folder.path(), &["origins", "--validate"]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(*code), "{said}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let first: Vec<_> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(first, *words, "{said}");
    }
    let asked: Vec<_> = heard.try_iter().collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for request in asked {
        let (line, host) = ("GET /permanent/probe.png?v=1 HTTP/1.1\r\n", "\r\nHost: www.example.net\r\n");
        assert!(request.starts_with(line) && request.contains(host), "{request}");
    }
    let output = leeward(cases[1].0.path(), &["origins", "--validate", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let statuses: Vec<_> = said.as_array().unwrap().iter().map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(200), Some(404), None], "{said:#}");
    assert_eq!(said[2]["error"], "The origin refused the connection.", "{said:#}");
}

#[test]
fn servers_are_checked_while_the_edge_runs_and_requests_keep_away_from_the_unfit() {
    let status = Arc::new(AtomicU16::new(500));
    let set = Arc::clone(&status);
    let (first, heard) = serve_on(move |stream, say| answer(stream, status.load(Ordering::Relaxed), say));
    let (second, _heard) = serve(200);
    let written = |check: &str| {
        format!(
            "server: {{ listen: [{{ address: '127.0.0.1:0' }}] }}
admin: {{ address: '127.0.0.1:0' }}
cache: {{ default_max_age: 0s }}
origins:
  - directory: photos
    http: {{ servers: ['http://{first}', 'http://{second}'], balance: primary_failover }}{check}
sites:
  - {{ host: www.example.com, origin: photos }}
"
        )
    };
    let check = "\n    health_check: { path: /health, interval: 100ms, timeout: 100ms, failures: 2 }";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leeward.yaml");
    std::fs::write(&file, written(check)).unwrap();
    let edge = Edge::start(folder.path());
    let at = |key: &str| format!("/origins/0/servers/0/addresses/0/{key}");

    edge.until(folder.path(), &at("state"), "excluded");
    edge.until(folder.path(), &at("last_error/reason"), "status");
    edge.until(folder.path(), &at("checked/failed"), "status");
    for request in heard.try_iter() {
        assert!(request.starts_with("GET /health HTTP/1.1\r\n"), "{request}");
    }
    let answer = edge.get("/a");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let asked: Vec<_> = heard.try_iter().filter(|request| request.starts_with("GET /a ")).collect();
    assert!(asked.is_empty(), "{asked:?}");

    set.store(200, Ordering::Relaxed);
    edge.until(folder.path(), &at("state"), "available");
    assert!(edge.get("/b").starts_with("HTTP/1.1 200"));
    assert!(heard.try_iter().any(|request| request.starts_with("GET /b ")), "the primary is back");

    // a reload ends the checks, and nothing else keeps the server from being asked
    set.store(500, Ordering::Relaxed);
    edge.until(folder.path(), &at("state"), "excluded");
    std::fs::write(&file, written("\n    unavailable: { first: 1s }")).unwrap();
    let pid = edge.process.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    std::thread::sleep(Duration::from_secs(2));
    let _ = heard.try_iter().count();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(heard.try_iter().count(), 0, "still checked");
    assert_eq!(edge.state(folder.path()).pointer(&at("checked")), Some(&serde_json::Value::Null));
}

#[test]
fn validation_speaks_tls_as_the_origin_is_configured() {
    let made = rcgen::generate_simple_self_signed(["origin.example.net".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    let (address, _heard) = serve_on(move |stream, say| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        answer(rustls::StreamOwned::new(connection, stream), 200, say);
    });
    let cases = [
        ("{ ca: ca.pem, sni: origin.example.net }", 0, ": 200 in "),
        ("{ ca: ca.pem, sni: other.example.net }", 1, "TLS with the origin failed."),
        ("{ sni: origin.example.net }", 1, "TLS with the origin failed."),
        ("{ sni: origin.example.net, verify: false }", 0, ": 200 in "),
    ];
    for (tls, code, said) in cases {
        let folder = folder(&format!(
            "origins:
  - directory: photos
    https: {{ servers: ['https://{address}'] }}
    tls: {tls}
    validation_path: https://origin.example.net/probe.png"
        ));
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let output = leeward(folder.path(), &["origins", "--validate"]);
        assert_eq!(output.status.code(), Some(code), "{tls}: {}", text(&output));
        assert!(text(&output).contains(said), "{tls}: {said} is not in {}", text(&output));
    }
}
