//! The PROXY protocol, versions 1 and 2: who the client of a load balancer is.
//!
//! Source: The PROXY protocol, versions 1 & 2 (HAProxy, 2020/03/05), sections 2.1 and 2.2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pingora::protocols::l4::stream::Stream;
use tokio::io::AsyncReadExt;

/// Start of a version 2 header.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Start of a version 1 header.
const WORD: &[u8; 6] = b"PROXY ";
/// Longest version 1 header, its line end included (section 2.1).
const MAX_V1: usize = 107;
/// Version 2: the signature, version and command, family, and length.
const V2_FIXED: usize = 16;
/// Longest version 2 header accepted. The format allows 64 KiB; addresses need 36 bytes, the rest is extensions.
const MAX_V2: usize = 4096;

/// The two ends of the client's connection to the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a header.
    Incomplete,
    /// A header of `length` bytes; without ends it speaks for itself (a health check of the load balancer).
    Header { length: usize, ends: Option<Ends> },
    /// Not a header.
    Malformed,
}

/// Reads exactly the header: what follows it is put back.
///
/// # Errors
/// `InvalidData` when it is none, `UnexpectedEof` when the peer closed before its end, or the socket's error.
pub(super) async fn read(stream: &mut Stream) -> io::Result<Option<Ends>> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&bytes) {
            Parsed::Incomplete => {} // ends: every kind of header has a greatest length
            Parsed::Header { length, ends } => {
                stream.rewind(bytes.get(length..).unwrap_or_default());
                return Ok(ends);
            }
            Parsed::Malformed => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Parses the bytes read so far.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    if begins(bytes, SIGNATURE) {
        v2(bytes)
    } else if begins(bytes, WORD) {
        v1(bytes)
    } else {
        Parsed::Malformed
    }
}

/// Whether `bytes` is a beginning of something that starts with `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted)
}

fn v1(bytes: &[u8]) -> Parsed {
    let Some(line_end) = bytes.windows(2).take(MAX_V1 - 1).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_V1 { Parsed::Incomplete } else { Parsed::Malformed };
    };
    let line = bytes.get(WORD.len()..line_end).map(std::str::from_utf8);
    let Some(Ok(line)) = line else { return Parsed::Malformed };
    let mut words = line.split(' ');
    let ends = match words.next() {
        // Whatever else the line says is to be ignored.
        Some("UNKNOWN") => Some(None),
        Some(family @ ("TCP4" | "TCP6")) => v1_ends(family == "TCP6", words).map(Some),
        _ => None,
    };
    match ends {
        Some(ends) => Parsed::Header { length: line_end + 2, ends },
        None => Parsed::Malformed,
    }
}

/// The four words after the family, and nothing after them.
fn v1_ends<'a>(v6: bool, mut words: impl Iterator<Item = &'a str>) -> Option<Ends> {
    let address = |word: &str| -> Option<IpAddr> {
        if v6 {
            word.parse::<Ipv6Addr>().ok().map(IpAddr::from)
        } else {
            word.parse::<Ipv4Addr>().ok().map(IpAddr::from)
        }
    };
    let (client, server) = (address(words.next()?)?, address(words.next()?)?);
    let (client_port, server_port) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    Some(Ends { client: SocketAddr::new(client, client_port), server: SocketAddr::new(server, server_port) })
}

/// A decimal port without a sign or leading zeros, which `u16::from_str` would allow.
fn port(word: &str) -> Option<u16> {
    let plain = word == "0" || (word.bytes().all(|byte| byte.is_ascii_digit()) && !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

fn v2(bytes: &[u8]) -> Parsed {
    let Some(&[version_command, family, high, low]) =
        bytes.get(SIGNATURE.len()..V2_FIXED).and_then(|fixed| <&[u8; 4]>::try_from(fixed).ok())
    else {
        return Parsed::Incomplete;
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2 {
        return Parsed::Malformed;
    }
    let local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Parsed::Malformed,
    };
    let Some(body) = bytes.get(V2_FIXED..length) else {
        return Parsed::Incomplete;
    };
    let ends = match (local, family) {
        // LOCAL (the balancer speaks for itself) or a family it cannot tell: the socket's own addresses count. So they do for
        // datagrams and Unix sockets, whose ends nothing here could use (section 2.2).
        (true, _) | (false, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Some(None),
        (false, 0x11) => v4_ends(body).map(Some),
        (false, 0x21) => v6_ends(body).map(Some),
        _ => None,
    };
    match ends {
        Some(ends) => Parsed::Header { length, ends },
        None => Parsed::Malformed,
    }
}

fn v4_ends(body: &[u8]) -> Option<Ends> {
    let (client, rest) = body.split_first_chunk::<4>()?;
    let (server, rest) = rest.split_first_chunk::<4>()?;
    ends(Ipv4Addr::from(*client).into(), Ipv4Addr::from(*server).into(), rest)
}

fn v6_ends(body: &[u8]) -> Option<Ends> {
    let (client, rest) = body.split_first_chunk::<16>()?;
    let (server, rest) = rest.split_first_chunk::<16>()?;
    ends(Ipv6Addr::from(*client).into(), Ipv6Addr::from(*server).into(), rest)
}

fn ends(client: IpAddr, server: IpAddr, ports: &[u8]) -> Option<Ends> {
    let &[client_high, client_low, server_high, server_low] = ports.first_chunk::<4>()?;
    Some(Ends {
        client: SocketAddr::new(client, u16::from_be_bytes([client_high, client_low])),
        server: SocketAddr::new(server, u16::from_be_bytes([server_high, server_low])),
    })
}

#[cfg(test)]
mod tests;
