use super::routes::MAX_BODY;
use super::*;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "correct horse";

fn sources(token: Option<&'static str>, reload_works: Arc<AtomicBool>) -> Sources {
    Sources {
        token: Box::new(move || token.map(|token| token.as_bytes().to_vec())),
        metrics: Box::new(|| b"leeward_up 1\n".to_vec()),
        reload: Box::new(move || {
            let ok = reload_works.load(Ordering::Relaxed);
            (ok, json!({ "ok": ok }))
        }),
        config: Box::new(|| json!({ "generation": 7 })),
        cache: Box::new(|| json!({ "objects": 3 })),
        purge: Box::new(|body| {
            let again = (body == b"much").then_some(7);
            let body = json!({ "bytes": body.len() });
            Box::pin(async move { Reply { status: again.map_or(200, |_| 503), body, again } })
        }),
        origins: Box::new(|| json!({ "origins": [] })),
    }
}

/// An admin application on a port of its own. Returns the answer to one request, head and body.
struct Served {
    address: std::net::SocketAddr,
    stage: Stage,
    reload_works: Arc<AtomicBool>,
}

async fn serve(token: Option<&'static str>) -> Served {
    let (stage, reload_works) = (Stage::default(), Arc::new(AtomicBool::new(true)));
    let admin = Arc::new(Admin::new(stage.clone(), sources(token, Arc::clone(&reload_works))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_tell, shutdown) = tokio::sync::watch::channel(false);
        while let Ok((stream, _)) = listener.accept().await {
            let (admin, shutdown) = (Arc::clone(&admin), shutdown.clone());
            let stream = pingora::protocols::l4::stream::Stream::from(stream);
            tokio::spawn(
                async move { pingora::apps::ServerApp::process_new(&admin, Box::new(stream), &shutdown).await },
            );
        }
    });
    Served { address, stage, reload_works }
}

impl Served {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = timeout(Duration::from_secs(10), read).await.expect("an answer and a close");
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, method: &str, path: &str, fields: &str) -> String {
        self.ask(&format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n{fields}\r\n")).await
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[tokio::test]
async fn every_path_says_what_it_is_for_and_refuses_other_methods() {
    let served = serve(None).await;
    served.stage.serving();
    let cases = [
        ("GET", "/healthz", "200", "ok"),
        ("GET", "/readyz", "200", "ready"),
        ("GET", "/metrics", "200", "leeward_up 1"),
        ("GET", "/metrics?x=y", "200", "leeward_up 1"),
        ("GET", "/v1/config", "200", "\"generation\": 7"),
        ("GET", "/v1/cache", "200", "\"objects\": 3"),
        ("POST", "/v1/reload", "200", "\"ok\": true"),
        ("GET", "/v1/reload", "405", "Allow: POST"),
        ("POST", "/metrics", "405", "Allow: GET, HEAD"),
        ("DELETE", "/healthz", "405", "Allow: GET, HEAD"),
        ("GET", "/v1/purge", "405", "Allow: POST"),
        ("POST", "/v1/purge", "200", "\"bytes\": 0"),
        ("GET", "/v1/origins", "200", "\"origins\": []"),
        ("GET", "/v1/explain", "404", "not supported yet"),
        ("GET", "/", "404", "no such path"),
        ("GET", "/healthz/", "404", "no such path"),
    ];
    for (method, path, wanted, said) in cases {
        let answer = served.get(method, path, "").await;
        assert_eq!(status(&answer), wanted, "{method} {path}: {answer}");
        assert!(answer.contains(said), "{method} {path}: {said} is not in {answer}");
        assert!(answer.contains("Cache-Control: no-store"), "{method} {path}: {answer}");
    }
    let answer = served.get("HEAD", "/metrics", "").await;
    assert!(answer.contains("Content-Length: 13") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_refused_reload_is_422_with_the_reasons() {
    let served = serve(None).await;
    served.reload_works.store(false, Ordering::Relaxed);
    let answer = served.get("POST", "/v1/reload", "Content-Length: 0\r\n").await;
    assert_eq!(status(&answer), "422", "{answer}");
    assert!(answer.contains("\"ok\": false"), "{answer}");
}

#[tokio::test]
async fn only_the_probes_answer_without_the_token() {
    let served = serve(Some(TOKEN)).await;
    served.stage.serving();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let cases = [
        ("/healthz", String::new(), "200"),
        ("/readyz", String::new(), "200"),
        ("/metrics", String::new(), "401"),
        ("/v1/config", String::new(), "401"),
        ("/v1/purge", String::new(), "401"),
        ("/nothing", String::new(), "401"),
        ("/metrics", bearer(TOKEN), "200"),
        ("/nothing", bearer(TOKEN), "404"),
        ("/metrics", format!("authorization: bearer {TOKEN}\r\n"), "200"),
        ("/metrics", bearer("correct horsf"), "401"),
        ("/metrics", bearer("correct hors"), "401"),
        ("/metrics", bearer("correct horse and more"), "401"),
        ("/metrics", bearer("Correct horse"), "401"),
        ("/metrics", bearer(""), "401"),
        ("/metrics", format!("Authorization: Basic {TOKEN}\r\n"), "401"),
        ("/metrics", format!("Authorization: {TOKEN}\r\n"), "401"),
        ("/metrics", bearer(TOKEN).repeat(2), "401"),
    ];
    for (path, fields, wanted) in cases {
        let answer = served.get("GET", path, &fields).await;
        assert_eq!(status(&answer), wanted, "{path} with {fields:?}: {answer}");
        assert_eq!(answer.contains("WWW-Authenticate: Bearer"), wanted == "401", "{answer}");
    }
}

#[tokio::test]
async fn a_web_page_cannot_post_where_there_is_no_token() {
    let (open, closed) = (serve(None).await, serve(Some(TOKEN)).await);
    let origin = "Origin: https://evil.test\r\nContent-Length: 0\r\n";
    assert_eq!(status(&open.get("POST", "/v1/reload", origin).await), "403");
    assert_eq!(status(&open.get("POST", "/v1/purge", origin).await), "403");
    let with_token = format!("{origin}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(status(&closed.get("POST", "/v1/reload", &with_token).await), "200");
}

#[tokio::test]
async fn readiness_follows_the_stage() {
    let served = serve(None).await;
    let answer = served.get("GET", "/readyz", "").await;
    assert_eq!(status(&answer), "503", "before anything listens: {answer}");
    served.stage.serving();
    assert_eq!(status(&served.get("GET", "/readyz", "").await), "200");
    assert!(served.stage.stop(false));
    assert_eq!(status(&served.get("GET", "/readyz", "").await), "503", "while draining");
    assert_eq!(status(&served.get("GET", "/healthz", "").await), "200", "while draining");
}

#[tokio::test]
async fn a_request_body_has_a_limit() {
    let served = serve(None).await;
    for (length, wanted) in [(4, "200"), (1024 * 1024, "200"), (1024 * 1024 + 1, "413")] {
        let body = "x".repeat(length);
        let answer = served.get("POST", "/v1/purge", &format!("Content-Length: {length}\r\n\r\n{body}")).await;
        assert_eq!(status(&answer), wanted, "{length} bytes to purge: {answer}");
    }
    for (length, wanted) in [(0, "200"), (MAX_BODY, "200"), (MAX_BODY + 1, "413")] {
        let body = "x".repeat(length);
        let answer = served.get("POST", "/v1/reload", &format!("Content-Length: {length}\r\n\r\n{body}")).await;
        assert_eq!(status(&answer), wanted, "{length} bytes: {answer}");
    }
    let answer = served.get("POST", "/v1/purge", "Content-Length: 4\r\n\r\nmuch").await;
    assert!(status(&answer) == "503" && answer.contains("\r\nRetry-After: 7\r\n"), "{answer}");
    let answer = served.ask("NONSENSE\r\n\r\n").await;
    assert_eq!(status(&answer), "400", "{answer}");
}
