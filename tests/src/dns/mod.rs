//! A scripted DNS server on loopback: it answers exactly what its script says, and counts what it was asked.

mod script;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use script::{Entry, Kind, Says};

use crate::wait;

/// How soon the server sees that it is to stop.
const TICK: Duration = Duration::from_millis(50);
/// CNAMEs followed within one answer.
const MAX_CHAIN: usize = 8;

/// A running DNS server on a UDP port of 127.0.0.1. Dropping it stops it.
pub struct Dns {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
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
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Mutex::new(State { names, asked: Vec::new() });
        let shared = Arc::new(Shared { state, stopping: AtomicBool::new(false) });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&socket, &own));
        Self { shared, address, thread: Some(thread) }
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
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let Some(question) = wire::Question::parse(&buffer[..length]) else { continue };
        let answer = shared.state.lock().unwrap().answer(&question);
        let Some((answer, late)) = answer else { continue };
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
