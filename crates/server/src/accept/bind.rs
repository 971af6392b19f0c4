//! Listening sockets: bound before anything else starts, so that a taken port is one clear error and not a dead task.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::workers::Workers;
use crate::life::{Now, Stage};

/// Bytes of a connection's read buffer.
const READ_BUFFER: usize = 16 * 1024;
/// Bytes of a connection's write buffer: a small answer leaves in one write with its head. The framework flushes a head with
/// a length only when this is full or the body ends, so a larger one would hold back what an origin sends slowly.
const WRITE_BUFFER: usize = 2 * 1024;
/// Connections that wait for `accept()`; the system lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    /// Absent: an older process hands it over.
    socket: Option<TcpListener>,
}

impl Bound {
    /// The address, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A socket that an older process hands over when the server starts; bound then if it does not.
    #[must_use]
    pub fn handed_over(address: SocketAddr) -> Self {
        Self { address, socket: None }
    }
}

/// Binds every address. Clients may connect from here on; they are served once the server runs.
///
/// An IPv6 socket takes IPv4 connections too unless the list has an IPv4 address with the same port.
///
/// # Errors
/// The first address that cannot be bound.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<Bound>, BindError> {
    addresses
        .iter()
        .map(|&address| {
            let shared = addresses.iter().any(|other| other.is_ipv4() && other.port() == address.port());
            bind_one(address, shared).map_err(|source| BindError { address, source })
        })
        .collect()
}

fn bind_one(address: SocketAddr, only_v6: bool) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for the old process's connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from(socket);
    Ok(Bound { address: socket.local_addr()?, socket: Some(socket) })
}

/// A service on sockets that are already bound.
pub struct Listening<A> {
    name: String,
    sockets: Vec<Bound>,
    drain: Option<Stage>,
    workers: Option<Workers>,
    /// Until it starts.
    service: Option<pingora::services::listening::Service<A>>,
}

/// Makes the service that accepts on `sockets` and gives every connection to `app`. It has one thread.
pub fn service<A>(name: &str, app: A, sockets: Vec<Bound>) -> Listening<A>
where
    A: ServerApp + Send + Sync + 'static,
{
    let mut service = pingora::services::listening::Service::new(name.to_owned(), app);
    for bound in &sockets {
        let endpoint = ListenerConfig::tcp(bound.address.to_string());
        service.add_listener(endpoint.l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER)));
    }
    Listening { name: name.to_owned(), sockets, drain: None, workers: None, service: Some(service) }
}

impl<A> Listening<A> {
    /// Serves connections on these threads.
    #[must_use]
    pub fn on(mut self, workers: Workers) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Goes on accepting while the process drains: who watches it must see that it does. Only a hand-over ends it.
    #[must_use]
    pub fn through_the_drain(mut self, stage: Stage) -> Self {
        self.drain = Some(stage);
        self
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Listening<A> {
    async fn start_service(&mut self, fds: Option<ListenFds>, shutdown: ShutdownWatch, listeners_per_fd: usize) {
        // The framework takes a socket from this table when it finds the address there, else it binds one itself: a
        // socket that an older process handed over comes first, ours is closed then.
        for bound in self.sockets.drain(..) {
            let (Some(fds), Some(socket)) = (&fds, bound.socket) else { continue };
            let address = bound.address.to_string();
            let mut table = fds.lock();
            if table.get(&address).is_none() {
                table.add(address, socket.into_raw_fd());
            }
        }
        let Some(mut service) = self.service.take() else { return };
        if let Some(workers) = self.workers.take() {
            let accepting = async move { Service::start_service(&mut service, fds, shutdown, listeners_per_fd).await };
            workers.spawn(accepting).await;
            // connections are still being served: they end with the framework's own tasks, of which this is one
            return std::future::pending().await;
        }
        let Some(stage) = self.drain.take() else {
            return Service::start_service(&mut service, fds, shutdown, listeners_per_fd).await;
        };
        let (tell, handed_over) = watch::channel(false);
        let accepting = Service::start_service(&mut service, fds, handed_over, listeners_per_fd);
        let mut accepting = std::pin::pin!(accepting);
        tokio::select! {
            () = &mut accepting => return,
            now = stage.stopped() => { let _ = tell.send(now == Now::HandingOver); }
        }
        accepting.await;
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.as_ref().and_then(Service::listen_addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_taken_port_is_one_clear_error() {
        let first = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let taken = first[0].address();
        let error = bind(&[taken]).unwrap_err();
        assert_eq!((error.address, error.source.kind()), (taken, io::ErrorKind::AddrInUse));
        assert!(error.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    }

    #[test]
    fn clients_can_connect_before_anything_is_served() {
        let bound = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        assert!(TcpStream::connect(bound[0].address()).is_ok());
    }

    #[test]
    fn both_families_can_have_the_same_port() {
        let port = bind(&["0.0.0.0:0".parse().unwrap()]).unwrap()[0].address().port();
        let addresses = [SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))];
        match bind(&addresses) {
            Ok(bound) => assert_eq!(bound.iter().map(Bound::address).collect::<Vec<_>>(), addresses),
            // a machine without IPv6 cannot show it
            Err(error) => assert_eq!(error.source.raw_os_error(), Some(97), "{error}"),
        }
    }
}
