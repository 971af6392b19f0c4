//! An HTTP/2 client over TLS: one connection, several requests at once.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::certificates;
use crate::client::CacheUse;
use crate::wait::PATIENCE;

/// A response of an HTTP/2 server.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Fields; names are lower case by the protocol.
    pub fields: http::HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// The error that ended the stream early; none when the body is whole.
    pub cut: Option<String>,
}

impl Response {
    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(|value| value.to_str().ok())
    }
    /// What the edge says the cache did.
    #[must_use]
    pub fn cache(&self) -> CacheUse {
        CacheUse::of(self.field("cache-status"))
    }
}

/// A request: method, URL with scheme and host, fields, body.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: String,
    /// `https://www.example.com/a`
    pub url: String,
    /// Further fields.
    pub fields: Vec<(String, String)>,
    /// The body, sent without a Content-Length.
    pub body: Bytes,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self { method: "GET".into(), url: url.into(), fields: Vec::new(), body: Bytes::new() }
    }
}

/// A response of which only the head was read: no window is given back, so the server cannot send more than one.
pub struct Begun {
    parts: http::response::Parts,
    stream: RecvStream,
    upload: SendStream<Bytes>,
}

/// An open HTTP/2 connection.
pub struct Connection {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
    /// The leaf certificate that the server showed, as DER.
    pub leaf: Vec<u8>,
}

impl Connection {
    /// Connects with TLS and ALPN `h2`.
    ///
    /// # Panics
    /// When the server does not choose `h2` or anything else fails within the deadline.
    #[must_use]
    pub fn open(address: SocketAddr, server_name: &str) -> Self {
        Self::try_open(address, server_name).expect("an HTTP/2 connection within the deadline")
    }

    /// The same for a server that may end the connection before it is open.
    ///
    /// # Errors
    /// When it does, or the deadline has passed.
    ///
    /// # Panics
    /// When the server does not choose `h2`.
    pub fn try_open(address: SocketAddr, server_name: &str) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        let opening = async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let tls = TlsConnector::from(certificates::client(&["h2", "http/1.1"])).connect(name, tcp).await?;
            let session = tls.get_ref().1;
            assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]), "the server did not choose h2");
            let leaf = session.peer_certificates().unwrap()[0].as_ref().to_vec();
            let (requests, connection) = h2::client::handshake(tls).await.map_err(std::io::Error::other)?;
            std::io::Result::Ok((requests, tokio::spawn(connection), leaf))
        };
        // A deadline is made within the runtime.
        let opened = runtime.block_on(async { tokio::time::timeout(PATIENCE, opening).await });
        let (requests, driver, leaf) = opened.map_err(std::io::Error::other)??;
        Ok(Self { runtime, requests, driver, leaf })
    }

    /// Sends one request and waits for its whole response.
    ///
    /// # Errors
    /// When no response head came.
    ///
    /// # Panics
    /// When the request is not valid or the deadline passed.
    pub fn ask(&self, request: &Request) -> Result<Response, String> {
        self.ask_all(std::slice::from_ref(request)).remove(0)
    }

    /// Sends all requests at once, in this order, and waits for all responses.
    ///
    /// # Panics
    /// When a request is not valid or the deadline passed.
    pub fn ask_all(&self, requests: &[Request]) -> Vec<Result<Response, String>> {
        self.runtime.block_on(async {
            let mut waiting = Vec::new();
            for request in requests {
                waiting.push(tokio::spawn(exchange(self.requests.clone(), request.clone())));
            }
            let mut responses = Vec::new();
            for task in waiting {
                let answered = tokio::time::timeout(PATIENCE, task).await;
                responses.push(answered.expect("a response within the deadline").unwrap());
            }
            responses
        })
    }

    /// Sends a request and reads the head of its response.
    ///
    /// # Panics
    /// When no head came within the deadline.
    #[must_use]
    pub fn begin(&self, request: &Request) -> Begun {
        let begun = begin(self.requests.clone(), request.clone());
        let begun = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, begun).await });
        begun.expect("a response head within the deadline").expect("a response head")
    }

    /// Reads the rest of a response.
    ///
    /// # Panics
    /// When the deadline passed.
    #[must_use]
    pub fn read_rest(&self, begun: Begun) -> Response {
        let rest = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, rest(begun)).await });
        rest.expect("a whole response within the deadline")
    }

    /// Gives a response up: RST_STREAM with CANCEL.
    pub fn cancel(&self, mut begun: Begun) {
        begun.upload.send_reset(h2::Reason::CANCEL);
        drop(begun);
        // The frame goes out with the connection's next turn.
        self.runtime.block_on(tokio::task::yield_now());
    }

    /// Waits until the server has ended the connection; the error it gave, if any.
    ///
    /// # Panics
    /// When it is still open after the deadline.
    #[must_use]
    pub fn end(self) -> Option<String> {
        let Self { runtime, requests, driver, .. } = self;
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, driver).await });
        drop(requests);
        ended.expect("the server ends the connection").unwrap().err().map(|error| error.to_string())
    }
}

async fn exchange(requests: SendRequest<Bytes>, request: Request) -> Result<Response, String> {
    Ok(rest(begin(requests, request).await?).await)
}

async fn begin(requests: SendRequest<Bytes>, request: Request) -> Result<Begun, String> {
    let mut head = http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.fields {
        head = head.header(name, value);
    }
    let mut ready = requests.ready().await.map_err(|e| e.to_string())?;
    let no_body = request.body.is_empty();
    let (response, mut upload) = ready.send_request(head.body(()).unwrap(), no_body).map_err(|e| e.to_string())?;
    if !no_body {
        upload.send_data(request.body, true).map_err(|e| e.to_string())?;
    }
    let (parts, stream) = response.await.map_err(|e| e.to_string())?.into_parts();
    Ok(Begun { parts, stream, upload })
}

async fn rest(begun: Begun) -> Response {
    let Begun { parts, mut stream, upload: _upload } = begun;
    let mut body = Vec::new();
    let mut cut = None;
    while let Some(piece) = stream.data().await {
        match piece {
            Ok(piece) => {
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            Err(error) => {
                cut = Some(error.to_string());
                break;
            }
        }
    }
    Response { status: parts.status.as_u16(), fields: parts.headers, body: body.into(), cut }
}
