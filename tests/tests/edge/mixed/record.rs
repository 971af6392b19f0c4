//! An origin that reads strictly, answers with what it was asked, and remembers it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Got {
    pub(super) fn start(&self) -> String {
        String::from_utf8_lossy(&self.head).lines().next().unwrap_or_default().to_owned()
    }
}

/// The origin. Its threads end with their connections.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Recorder {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::default());
        std::thread::spawn({
            let got = Arc::clone(&got);
            move || {
                while let Ok((tcp, _)) = listener.accept() {
                    let got = Arc::clone(&got);
                    std::thread::spawn(move || serve(tcp, &got));
                }
            }
        });
        Self { address, got }
    }

    /// What came since the last time.
    pub(super) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

fn serve(mut tcp: TcpStream, got: &Mutex<Vec<Got>>) {
    let mut buffer = Vec::new();
    while let Some(end) = until(&mut tcp, &mut buffer, |bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4)) {
        let head: Vec<u8> = buffer.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let field = |name: &str| {
            let mut lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
            lines.find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let body = if field("transfer-encoding").is_some() {
            chunks(&mut tcp, &mut buffer)
        } else {
            let length = field("content-length").map_or(0, |value| value.parse().unwrap_or(usize::MAX));
            until(&mut tcp, &mut buffer, |bytes| (bytes.len() >= length).then_some(length))
                .map(|end| buffer.drain(..end).collect())
        };
        let Some(body) = body else {
            // a body that broke off
            return;
        };
        let mut words = text.split([' ', '\r']);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let host = field("host").unwrap_or_default();
        let said = format!("{target} of {host}, {} bytes\n", body.len());
        let never = target.starts_with("/never") || method != "GET" && method != "HEAD";
        let (kept, silent) = (if never { "no-store" } else { "max-age=3600" }, method == "HEAD");
        got.lock().unwrap().push(Got { head, body });
        let answer = format!(
            "HTTP/1.1 200 OK\r\nETag: \"tag\"\r\nLast-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\nCache-Control: {kept}\r\n\
             Content-Length: {}\r\n\r\n{}",
            said.len(),
            if silent { "" } else { &said }
        );
        if tcp.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads on until the end that is looked for has come.
fn until(tcp: &mut TcpStream, buffer: &mut Vec<u8>, end: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let mut block = [0; 8192];
    loop {
        if let Some(end) = end(buffer) {
            return Some(end);
        }
        match tcp.read(&mut block) {
            Ok(count @ 1..) => buffer.extend_from_slice(&block[..count]),
            _ => return None,
        }
    }
}

fn chunks(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = until(tcp, buffer, |bytes| find(bytes, b"\r\n").map(|at| at + 2))?;
        let size: Vec<u8> = buffer.drain(..line).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&size[..line - 2]).ok()?, 16).ok()?;
        until(tcp, buffer, |bytes| (bytes.len() >= size + 2).then_some(size))?;
        body.extend(buffer.drain(..size));
        if buffer.drain(..2).collect::<Vec<u8>>() != b"\r\n" {
            return None;
        }
        if size == 0 {
            return Some(body);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
