//! A small HTTP client on raw sockets: it sends what it is told and reports exactly what came back.

pub mod frames;
pub mod h2;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, SockRef, Socket, Type};

use crate::certificates;
use crate::http1::{self, Framing, Head};
use crate::wait::PATIENCE;
use crate::wire::{Lost, Wire};

/// Bytes of a request that a socket takes at once, without anybody reading.
const AT_ONCE: usize = 32 * 1024;

/// A response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status line and fields.
    pub head: Head,
    /// Statuses of the interim answers before it.
    pub interim: Vec<u16>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// Why the body is not whole; none when it is.
    pub cut: Option<Lost>,
}

impl Response {
    /// The status code; 0 when the status line has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap_or(0)
    }
    /// The values of a field joined, or none.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.head.value(name)
    }
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// What the edge says the cache did.
    #[must_use]
    pub fn cache(&self) -> CacheUse {
        CacheUse::of(self.field("cache-status").as_deref())
    }
}

/// What a `Cache-Status` field says (RFC 9211), its first member only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// Served from the cache, fresh.
    Hit,
    /// Served from the cache although expired.
    Stale,
    /// Fetched and stored.
    Stored,
    /// Fetched and not stored: `uri-miss`, `vary-miss` or `miss`.
    Miss,
    /// Asked for at the origin because the stored one had expired.
    Expired,
    /// The cache was not asked.
    Bypass,
    /// Forwarded for any other reason.
    Other,
    /// There is no such field.
    Unsaid,
}

impl CacheUse {
    /// Reads a field value.
    #[must_use]
    pub fn of(field: Option<&str>) -> Self {
        let Some(field) = field else {
            return Self::Unsaid;
        };
        let member = field.split(',').next().unwrap_or_default();
        let parameters: Vec<&str> = member.split(';').skip(1).map(str::trim).collect();
        let forwarded = parameters.iter().find_map(|p| p.strip_prefix("fwd="));
        match forwarded {
            _ if parameters.contains(&"hit") && parameters.contains(&"detail=stale") => Self::Stale,
            _ if parameters.contains(&"hit") => Self::Hit,
            Some("stale") => Self::Expired,
            Some("bypass") => Self::Bypass,
            Some(_) if parameters.contains(&"stored") => Self::Stored,
            Some("uri-miss" | "vary-miss" | "miss") => Self::Miss,
            _ => Self::Other,
        }
    }
}

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct Target {
    /// The listener.
    pub address: SocketAddr,
    /// Server name for TLS; none: plain. Empty: TLS without SNI is not possible, so a name is always sent.
    pub server_name: Option<String>,
    /// Bytes of the socket's receive buffer, for a reader that stalls.
    pub receive_buffer: Option<usize>,
}

impl Target {
    /// In the clear.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, server_name: None, receive_buffer: None }
    }
    /// Over TLS with this server name.
    #[must_use]
    pub fn tls(address: SocketAddr, server_name: &str) -> Self {
        Self { address, server_name: Some(server_name.to_owned()), receive_buffer: None }
    }
    /// With a small receive buffer.
    #[must_use]
    pub fn with_receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Connects, offering HTTP/1.1 only.
    ///
    /// # Errors
    /// When nobody listens or the TLS session cannot be made.
    pub fn connect(&self) -> Result<Connection, Lost> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect_timeout(&self.address.into(), PATIENCE)?;
        let tcp = TcpStream::from(socket);
        tcp.set_nodelay(true)?;
        let mut wire = match &self.server_name {
            None => Wire::plain(tcp),
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|e| Lost::Other(e.to_string()))?;
                let session = ClientConnection::new(certificates::client(&["http/1.1"]), name);
                Wire::client(session.map_err(|e| Lost::Other(e.to_string()))?, tcp)
            }
        };
        wire.within(PATIENCE);
        Ok(Connection { wire })
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// When no response head came.
    pub fn ask(&self, request: &Request) -> Result<Response, Lost> {
        self.connect()?.ask(request)
    }

    /// A GET on a connection of its own.
    ///
    /// # Panics
    /// When no response head came.
    #[must_use]
    pub fn get(&self, host: &str, target: &str) -> Response {
        let asked = self.ask(&Request::get(host, target));
        asked.unwrap_or_else(|lost| panic!("GET {target} of {host}: no response: {lost:?}"))
    }
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Target as sent.
    pub target: String,
    /// Fields in order, `Host` included.
    pub fields: Vec<(String, String)>,
    /// Body, sent with its length when there is one.
    pub body: Option<Vec<u8>>,
    /// The body is sent in chunks, without its length.
    pub chunked: bool,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        let fields = vec![("Host".to_owned(), host.to_owned())];
        Self { method: method.to_owned(), target: target.to_owned(), fields, body: None, chunked: false }
    }
    /// The same with a field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        match &self.body {
            Some(_) if self.chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Some(body) => {
                let _ = write!(head, "Content-Length: {}\r\n", body.len());
            }
            None => {}
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        let body = self.body.as_deref().unwrap_or_default();
        if self.chunked {
            bytes.extend(http1::chunks(body));
        } else {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

/// An open connection.
pub struct Connection {
    wire: Wire,
}

impl Connection {
    /// Everything from now on must be over within this time.
    pub fn within(&mut self, time: Duration) {
        self.wire.within(time);
    }
    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.wire.send(bytes)
    }
    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// When no response head came.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Lost> {
        self.wire.within(PATIENCE);
        self.exchange(&request.bytes(), &request.method)
    }
    /// Sends bytes and reads the response meanwhile: a server may answer, and even close, before it has read them all.
    ///
    /// # Errors
    /// When no response head came.
    pub fn exchange(&mut self, bytes: &[u8], method: &str) -> Result<Response, Lost> {
        match self.wire.writer().filter(|_| bytes.len() > AT_ONCE) {
            None => {
                self.send(bytes)?;
                self.read(method)
            }
            Some(mut writer) => std::thread::scope(|scope| {
                scope.spawn(move || {
                    let _ = writer.set_write_timeout(Some(PATIENCE));
                    // What could not be sent shows in what comes back.
                    let _ = writer.write_all(bytes);
                });
                let read = self.read(method);
                if read.is_err() {
                    // Nothing more will come: nobody waits for the rest to be sent.
                    let _ = self.wire.tcp().shutdown(Shutdown::Both);
                }
                read
            }),
        }
    }
    /// Reads the response to a request with this method.
    ///
    /// # Errors
    /// When no response head came.
    pub fn read(&mut self, method: &str) -> Result<Response, Lost> {
        let mut interim = Vec::new();
        loop {
            let head = Head::read(&mut self.wire)?;
            let status: u16 =
                head.word(1).parse().map_err(|_| Lost::Malformed(format!("status line {:?}", head.start)))?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let body = http1::read_body(&mut self.wire, framing(method, status, &head));
            return Ok(Response { head, interim, body: body.bytes, cut: body.cut });
        }
    }
    /// Reads a response head and leaves the body where it is: a reader that stalls.
    ///
    /// # Errors
    /// When no response head came.
    pub fn read_head(&mut self) -> Result<Head, Lost> {
        Head::read(&mut self.wire)
    }
    /// Waits until so many bytes of a body came and gives them a look; what is read later still begins with them.
    ///
    /// # Errors
    /// When they did not come before the deadline or the connection ended.
    pub fn look_at(&mut self, bytes: usize) -> Result<&[u8], Lost> {
        while self.wire.buffered().len() < bytes {
            if self.wire.fill()? == 0 {
                return Err(Lost::Closed);
            }
        }
        Ok(&self.wire.buffered()[..bytes])
    }
    /// Reads the rest of a response whose head was read before.
    #[must_use]
    pub fn read_rest(&mut self, head: Head) -> Response {
        let status = head.word(1).parse().unwrap_or(0);
        let body = http1::read_body(&mut self.wire, framing("GET", status, &head));
        Response { head, interim: Vec::new(), body: body.bytes, cut: body.cut }
    }
    /// Waits for the other side to end the connection; gives what came before that and how it ended.
    pub fn end(&mut self, within: Duration) -> (Vec<u8>, Lost) {
        self.wire.within(within);
        loop {
            match self.wire.fill() {
                Ok(0) => break (self.wire.take(self.wire.buffered().len()), Lost::Closed),
                Ok(_) => {}
                Err(lost) => break (self.wire.take(self.wire.buffered().len()), lost),
            }
        }
    }
    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }
    /// The certificate names the TLS server showed, as the DER of its leaf; none in the clear or before the first answer.
    #[must_use]
    pub fn leaf(&self) -> Option<Vec<u8>> {
        self.wire.session()?.peer_certificates()?.first().map(|leaf| leaf.as_ref().to_vec())
    }
    /// Bytes the kernel may still hold for a reader that stalls.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        SockRef::from(self.wire.tcp()).recv_buffer_size().unwrap_or(0)
    }
    /// The address of this side.
    ///
    /// # Panics
    /// When the socket is gone.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.wire.tcp().local_addr().unwrap()
    }
}

fn framing(method: &str, status: u16, head: &Head) -> Framing {
    if method == "HEAD" || status == 204 || status == 304 {
        Framing::None
    } else if head.chunked() {
        Framing::Chunked
    } else if let Some(length) = head.length() {
        Framing::Length(length)
    } else {
        Framing::UntilClose
    }
}
