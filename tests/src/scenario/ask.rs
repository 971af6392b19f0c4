//! A client of a scenario: what it sends, and what it got.

use std::net::SocketAddr;
use std::time::Instant;

use std::time::Duration;

use super::expect::Got;
use super::file::Ask;
use crate::client::{Connection, Request, Response, Target, h2};
use crate::edge::Edge;
use crate::origin::pattern;
use crate::wait::PATIENCE;
use crate::wire::Lost;

/// How long a connection must stay open to count as kept.
const KEPT: Duration = Duration::from_millis(100);

/// Where the edge is, for any number of clients at once.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: Target,
    https: SocketAddr,
}

impl Client {
    pub(super) fn of(edge: &Edge) -> Self {
        Self { http: edge.http(), https: edge.https_address() }
    }

    /// Connects as a step says, without asking.
    pub(super) fn connect(&self, ask: &Ask) -> Result<Connection, Lost> {
        match server_name(ask) {
            None => self.http.connect(),
            Some(name) => Target::tls(self.https, &name).connect(),
        }
    }

    /// Asks once, on a kept connection where there is one; what may be kept is left in `kept`.
    pub(super) fn ask(&self, ask: &Ask, kept: &mut Option<Connection>) -> Result<Got, Lost> {
        assert!(!ask.ask.contains("${"), "nothing is known for a name in {:?}", ask.ask);
        if ask.http2 {
            return self.ask_http2(ask);
        }
        let mut connection = kept.take().map_or_else(|| self.connect(ask), Ok)?;
        connection.within(ask.patience.map_or(PATIENCE, |span| span.0));
        let started = Instant::now();
        let response = match &ask.raw {
            None => {
                let request = request(ask);
                connection.exchange(&request.bytes(), &request.method)?
            }
            Some(bytes) => connection.exchange(bytes.as_bytes(), "GET")?,
        };
        let took = started.elapsed();
        let end = ask.expect.0.closed.map(|closed| connection.end(if closed { PATIENCE } else { KEPT }).1);
        // A server that announces the end of a connection is believed; one that does not is held to it.
        let ends = response.field("connection").is_some_and(|field| field.eq_ignore_ascii_case("close"));
        *kept = (!ends && response.cut.is_none()).then_some(connection);
        Ok(got(response, end, took))
    }

    fn ask_http2(&self, ask: &Ask) -> Result<Got, Lost> {
        let (method, url) = ask.ask.split_once(' ').expect("`ask` is METHOD URL");
        let started = Instant::now();
        let connection = h2::Connection::open(self.https, &server_name(ask).unwrap_or_default());
        let request = h2::Request {
            method: method.to_owned(),
            url: url.to_owned(),
            fields: ask.with.0.clone(),
            body: body(ask).unwrap_or_default().into(),
        };
        let response = connection.ask(&request).map_err(Lost::Other)?;
        let fields = response
            .fields
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Ok(Got {
            status: response.status,
            fields: fields.collect(),
            body: response.body.to_vec(),
            cut: response.cut,
            end: None,
            took: started.elapsed(),
        })
    }
}

/// An answer as expectations see it.
pub(super) fn got(response: Response, end: Option<Lost>, took: Duration) -> Got {
    Got {
        status: response.status(),
        fields: response.head.fields,
        body: response.body,
        cut: response.cut.map(|cut| format!("{cut:?}")),
        end,
        took,
    }
}

/// The request that a step writes.
fn request(ask: &Ask) -> Request {
    let (method, url) = ask.ask.split_once(' ').expect("`ask` is METHOD URL");
    let (_, host, target) = split(url);
    let own_host = ask.with.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let mut request = Request::new(method, host, target);
    if own_host {
        request.fields.clear();
    }
    request.fields.extend(ask.with.0.iter().cloned());
    request.body = body(ask);
    request.chunked = ask.chunked;
    request
}

fn body(ask: &Ask) -> Option<Vec<u8>> {
    ask.send.map(|size| pattern(size.0)).or_else(|| ask.body.clone().map(String::into_bytes))
}

/// The server name of a step that goes over TLS.
fn server_name(ask: &Ask) -> Option<String> {
    let (_, url) = ask.ask.split_once(' ')?;
    let (secure, host, _) = split(url);
    secure.then(|| host.split(':').next().unwrap_or_default().to_owned())
}

/// Whether a URL is secure, its authority, its path with query.
fn split(url: &str) -> (bool, &str, &str) {
    let (scheme, rest) = url.split_once("://").expect("`ask` has a whole URL");
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    (scheme == "https", host, if target.is_empty() { "/" } else { target })
}
