//! A web server of a hundred lines that can be stopped and started from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A client that says nothing for so long is forgotten.
const PATIENCE: Duration = Duration::from_secs(5);
/// An origin that does not listen again after so long finds its port taken.
const STARTED: Duration = Duration::from_secs(2);
/// A request head of the demo is small.
const MAX_HEAD: u64 = 16 << 10;

/// The server and the listener that controls it.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    control: SocketAddr,
}

/// What the control listener asks of the server.
enum Order {
    Stop,
    Start,
}

impl Origin {
    /// Starts both on free ports of loopback. Every answer says `name`.
    pub(crate) fn start(name: &'static str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let control_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let control = control_listener.local_addr()?;
        let (orders, inbox) = channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(name, listener, &inbox))?;
        std::thread::Builder::new()
            .name(format!("{name}-control"))
            .spawn(move || obey(&control_listener, &orders, address))?;
        Ok(Self { address, control })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn control(&self) -> SocketAddr {
        self.control
    }
}

/// Accepts until told to stop, then waits until told to start again on the same port.
fn serve(name: &'static str, listener: TcpListener, inbox: &Receiver<Order>) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    loop {
        if let Some(open) = &listener
            && let Ok((stream, _)) = open.accept()
        {
            if let Ok(Order::Stop) = inbox.try_recv() {
                listener = None;
                continue;
            }
            std::thread::spawn(move || answer(name, &stream));
            continue;
        }
        match inbox.recv() {
            Ok(Order::Start) => listener = TcpListener::bind(address).ok(),
            Ok(Order::Stop) => {}
            Err(_) => return,
        }
    }
}

/// One request, one answer, and the connection is closed: a stopped origin must not live on in kept connections.
fn answer(name: &str, stream: &TcpStream) {
    let Some((_, path)) = request(stream) else { return };
    let body = format!("{name}: this is {path}\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// `POST /stop` and `POST /start`.
fn obey(listener: &TcpListener, orders: &Sender<Order>, origin: SocketAddr) {
    for stream in listener.incoming().flatten() {
        let Some((method, path)) = request(&stream) else { continue };
        let (status, words) = match (method.as_str(), path.as_str()) {
            ("POST", "/stop") => {
                let _ = orders.send(Order::Stop);
                // wakes the server out of `accept`
                let _ = TcpStream::connect(origin);
                (200, "the origin is stopped\n")
            }
            ("POST", "/start") => {
                let _ = orders.send(Order::Start);
                if answers(origin) { (200, "the origin is started\n") } else { (503, "the origin's port is taken\n") }
            }
            _ => (404, "POST /stop or POST /start\n"),
        };
        // stopped means that the next connection is refused: answer only then
        while status == 200 && path == "/stop" && TcpStream::connect(origin).is_ok() {
            std::thread::yield_now();
        }
        let mut stream = &stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {status} Done\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
            words.len()
        );
    }
}

/// Whether an origin that was told to start takes connections, as soon as it does.
fn answers(origin: SocketAddr) -> bool {
    let deadline = Instant::now() + STARTED;
    loop {
        let connected = TcpStream::connect(origin).is_ok();
        if connected || Instant::now() > deadline {
            return connected;
        }
        std::thread::yield_now();
    }
}

/// Method and path of a request; its head is read to the end.
fn request(stream: &TcpStream) -> Option<(String, String)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(stream.take(MAX_HEAD)).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?))
}
