//! A handshake for a WebSocket that does not leave before the framework is ready for its answer.
//!
//! Pingora writes the head of a request and then runs two halves side by side; the end of the request body goes through a
//! queue from one to the other. A 101 that is read before that end is taken from the queue makes the end of the request the
//! end of the WebSocket: the connection closes at once, now and then, under load. So the last packet of the head is held
//! back in the kernel (`TCP_CORK`), and let go by what travels through the queue as the request's body: a value without
//! bytes, which is dropped when it was taken out.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pingora::upstreams::peer::PeerOptions;
use tokio::net::TcpSocket;

/// The socket of one new connection; given up when the request may leave.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<Option<OwnedFd>>);

impl Hold {
    /// Learns the socket of the connection that is made with these options.
    pub(super) fn learn(options: &mut PeerOptions) -> Arc<Self> {
        let hold = Arc::<Self>::default();
        let learns = Arc::clone(&hold);
        options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket: &TcpSocket| {
            learns.set(socket.as_fd().try_clone_to_owned().ok());
            Ok(())
        }));
        hold
    }

    /// From now on nothing leaves that fills no packet. The kernel ends this by itself after 200 ms (tcp(7)).
    pub(super) fn begin(&self) {
        self.cork(true);
    }

    /// A body without bytes whose end is the end of the hold.
    pub(super) fn body(self: Arc<Self>) -> Bytes {
        Bytes::from_owner(LetGo(self))
    }

    fn set(&self, socket: Option<OwnedFd>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }

    fn cork(&self, cork: bool) {
        if let Some(socket) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && let Err(error) = set_cork(socket, cork)
        {
            log::debug!("a handshake could not be held back: {error}");
        }
    }
}

#[cfg(target_os = "linux")]
fn set_cork(socket: &OwnedFd, cork: bool) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_cork(cork)
}

/// Where the edge is developed and not run, a WebSocket may end at once now and then.
#[cfg(not(target_os = "linux"))]
fn set_cork(_: &OwnedFd, _: bool) -> std::io::Result<()> {
    Ok(())
}

/// Ends the hold when it is dropped.
struct LetGo(Arc<Hold>);

impl AsRef<[u8]> for LetGo {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.cork(false);
        // the connection must not stay open for this second handle on it
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_leaves_when_the_body_is_dropped() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut options = PeerOptions::new();
        let hold = Hold::learn(&mut options);
        let socket = TcpSocket::new_v4().unwrap();
        options.upstream_tcp_sock_tweak_hook.unwrap()(&socket).unwrap();
        let mut edge = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut origin, _) = listener.accept().unwrap();
        origin.set_read_timeout(Some(Duration::from_millis(50))).unwrap();

        hold.begin();
        let body = hold.body();
        assert!(body.is_empty());
        edge.write_all(b"head").await.unwrap();
        let mut got = [0; 4];
        assert!(origin.read(&mut got).is_err(), "before: {got:?}");
        drop(body);
        origin.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!((origin.read(&mut got).unwrap(), &got), (4, b"head"), "after");
        drop(edge);
        assert_eq!(origin.read(&mut got).unwrap(), 0, "nobody else holds the connection");
    }
}
