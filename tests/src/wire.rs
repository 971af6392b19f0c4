//! One end of a connection, plain or TLS, that never blocks past its deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use socket2::SockRef;

/// How a conversation ended before it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The other side closed in an orderly way.
    Closed,
    /// The other side reset the connection.
    Reset,
    /// The deadline passed.
    TimedOut,
    /// What came cannot be read as HTTP.
    Malformed(String),
    /// Anything else the system reported.
    Other(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Self::Reset,
            ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// The bytes below HTTP.
enum Io {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// A connection with what was read from it and not yet used.
pub struct Wire {
    io: Io,
    buffer: Vec<u8>,
    deadline: Option<Instant>,
}

impl Wire {
    /// A connection in the clear.
    #[must_use]
    pub fn plain(tcp: TcpStream) -> Self {
        Self::over(Io::Plain(tcp))
    }
    /// A TLS connection, this side the client. The handshake happens with the first byte.
    #[must_use]
    pub fn client(session: ClientConnection, tcp: TcpStream) -> Self {
        Self::over(Io::Client(Box::new(StreamOwned::new(session, tcp))))
    }
    /// A TLS connection, this side the server.
    #[must_use]
    pub fn server(session: ServerConnection, tcp: TcpStream) -> Self {
        Self::over(Io::Server(Box::new(StreamOwned::new(session, tcp))))
    }
    fn over(io: Io) -> Self {
        Self { io, buffer: Vec::new(), deadline: None }
    }
    /// The socket below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Client(tls) => tls.get_ref(),
            Io::Server(tls) => tls.get_ref(),
        }
    }
    /// A second handle that only writes; none with TLS, where reading and writing share a state.
    #[must_use]
    pub fn writer(&self) -> Option<TcpStream> {
        match &self.io {
            Io::Plain(tcp) => tcp.try_clone().ok(),
            Io::Client(_) | Io::Server(_) => None,
        }
    }
    /// The TLS session of a client, for its ALPN and certificates.
    #[must_use]
    pub fn session(&self) -> Option<&ClientConnection> {
        match &self.io {
            Io::Client(tls) => Some(&tls.conn),
            Io::Plain(_) | Io::Server(_) => None,
        }
    }
    /// From now on, everything must be over within this time.
    pub fn within(&mut self, time: Duration) {
        self.deadline = Some(Instant::now() + time);
    }
    /// Nothing limits reading any more: a server waiting for the next request.
    pub fn forever(&mut self) {
        self.deadline = None;
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone or the deadline passed.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let left = self.left()?;
        self.tcp().set_write_timeout(left)?;
        match &mut self.io {
            Io::Plain(tcp) => tcp.write_all(bytes)?,
            Io::Client(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
            Io::Server(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
        }
        Ok(())
    }

    /// Bytes read and not used yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads once more into the buffer; 0 at the end of the stream.
    ///
    /// # Errors
    /// When the connection is gone or the deadline passed.
    pub fn fill(&mut self) -> Result<usize, Lost> {
        let left = self.left()?;
        self.tcp().set_read_timeout(left)?;
        let mut block = [0_u8; 16 * 1024];
        let count = match &mut self.io {
            Io::Plain(tcp) => tcp.read(&mut block),
            Io::Client(tls) => tls.read(&mut block),
            Io::Server(tls) => tls.read(&mut block),
        }?;
        self.buffer.extend_from_slice(&block[..count]);
        Ok(count)
    }

    /// Takes `count` bytes from the front of the buffer.
    #[must_use]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub fn reset(self) {
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Ends the connection in order: TLS says goodbye first.
    pub fn close(mut self) {
        if let Io::Server(tls) = &mut self.io {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    fn left(&self) -> Result<Option<Duration>, Lost> {
        match self.deadline {
            None => Ok(None),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Ok(Some(left)),
                _ => Err(Lost::TimedOut),
            },
        }
    }
}
