//! A scripted DNS server on loopback: it answers exactly what its script says, and counts what it was asked.

mod script;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use script::{Entry, Kind, Says};

use crate::wait;

/// How soon the server sees that it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// How often another port is tried when somebody has the same one for UDP.
const TRIES: usize = 20;
/// CNAMEs followed within one answer.
const MAX_CHAIN: usize = 8;

/// A running DNS server on one port of 127.0.0.1, UDP and TCP. Dropping it stops it.
pub struct Dns {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, Entry>,
    /// Every question since the name was last written: datagrams, so that one that is sent again counts again.
    asked: Vec<(String, Kind)>,
}

impl Dns {
    /// Starts a server that knows these names. `*` is every other one; without it they do not exist.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(names: BTreeMap<String, Entry>) -> Self {
        let (socket, listener) = bind();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Mutex::new(State { names, asked: Vec::new() });
        let shared = Arc::new(Shared { state, stopping: AtomicBool::new(false) });
        let (udp, tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads =
            vec![std::thread::spawn(move || serve(&socket, &udp)), std::thread::spawn(move || accept(&listener, &tcp))];
        Self { shared, address, threads }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a name anew; its questions are counted from here.
    ///
    /// # Panics
    /// When the server's thread did.
    pub fn set(&self, name: &str, entry: Entry) {
        let mut state = self.shared.state.lock().unwrap();
        state.asked.retain(|(asked, _)| asked != name);
        state.names.insert(name.to_owned(), entry);
    }

    /// The name does not exist any more.
    ///
    /// # Panics
    /// When the server's thread did.
    pub fn remove(&self, name: &str) {
        let mut state = self.shared.state.lock().unwrap();
        state.asked.retain(|(asked, _)| asked != name);
        state.names.remove(name);
    }

    /// How often a name was asked for since it was last written.
    ///
    /// # Panics
    /// When the server's thread did.
    #[must_use]
    pub fn asked(&self, name: &str, kind: Kind) -> usize {
        let state = self.shared.state.lock().unwrap();
        state.asked.iter().filter(|(asked, of)| asked == name && *of == kind).count()
    }

    /// Waits until a name was asked for so often since it was last written.
    ///
    /// # Panics
    /// When it was not within the deadline.
    pub fn wait_for(&self, name: &str, kind: Kind, times: usize, within: Duration) {
        wait::until(&format!("{times} questions for {kind:?} of {name}"), within, || {
            (self.asked(name, kind) >= times).then_some(())
        });
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The accepting thread waits in accept(): one connection wakes it.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(5));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One port that is free for both protocols.
fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..TRIES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
    panic!("no port is free for UDP and TCP, {TRIES} were tried");
}

/// Answers over TCP: whole, one question a connection.
fn accept(listener: &TcpListener, shared: &Shared) {
    while let Ok((mut stream, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Some(question) = over_tcp(&mut stream) else { continue };
        let Some((answer, late)) = shared.state.lock().unwrap().answer(&question) else { continue };
        wait::pause(late);
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        let _ = stream.write_all(&[&length[..], &answer].concat());
    }
}

fn over_tcp(stream: &mut TcpStream) -> Option<wire::Question> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).ok()?;
    wire::Question::parse(&query)
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let Some(question) = wire::Question::parse(&buffer[..length]) else { continue };
        let answer = shared.state.lock().unwrap().answer(&question);
        let Some((answer, late)) = answer else { continue };
        let answer = wire::for_udp(answer, &question);
        if late.is_zero() {
            let _ = socket.send_to(&answer, from);
        } else {
            let socket = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                wait::pause(late);
                let _ = socket.send_to(&answer, from);
            });
        }
    }
}

impl State {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.names.get(name).or_else(|| self.names.get("*"))
    }

    /// The bytes of the answer and how late they are sent; nothing when there is none.
    fn answer(&mut self, question: &wire::Question) -> Option<(Vec<u8>, Duration)> {
        self.asked.push((question.name.clone(), question.kind));
        let mut answer = wire::Answer::to(question);
        let Some(entry) = self.entry(&question.name) else {
            return Some((answer.code(wire::NXDOMAIN), Duration::ZERO));
        };
        let late = entry.late.0;
        let (mut name, mut entry) = (question.name.clone(), entry);
        for _ in 0..MAX_CHAIN {
            let Some(target) = &entry.cname else { break };
            answer.cname(&name, entry.ttl.0, target);
            match self.entry(target) {
                Some(next) => (name, entry) = (target.clone(), next),
                None => return Some((answer.code(wire::NXDOMAIN), late)),
            }
        }
        let code = match entry.says(question.kind) {
            Says::Addresses(addresses) => {
                for address in addresses {
                    answer.address(&name, entry.ttl.0, *address);
                }
                wire::NOERROR
            }
            Says::Nxdomain => wire::NXDOMAIN,
            Says::Servfail => wire::SERVFAIL,
            Says::Refused => wire::REFUSED,
            Says::Nothing => return None,
        };
        Some((answer.code(code), late))
    }
}
