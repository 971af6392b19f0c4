//! Writes small databases in MMDB format, version 2 (<https://maxmind.github.io/MaxMind-DB/>). Shared, as a file, with the tests
//! of the crate that reads them: nothing but `serde_json` is used.

use std::net::IpAddr;

use serde_json::Value;

/// What a branch of the search tree leads to.
#[derive(Clone, Copy, PartialEq)]
enum Branch {
    Nothing,
    Node(usize),
    /// Offset in the data section.
    Data(usize),
}

/// A database for both families with a record for each network, written as `192.0.2.0/24`. Of two networks the longer wins.
///
/// # Panics
/// When a network is none.
#[must_use]
pub fn database(kind: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    let mut parsed: Vec<(Vec<bool>, &Value)> = networks.iter().map(|(net, value)| (bits(net), value)).collect();
    parsed.sort_by_key(|(bits, _)| bits.len());
    for (bits, value) in parsed {
        let offset = data.len();
        encode(value, &mut data);
        insert(&mut nodes, &bits, Branch::Data(offset));
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for branch in nodes.iter().flatten() {
        let number = match branch {
            Branch::Nothing => count,
            Branch::Node(node) => *node,
            Branch::Data(offset) => count + 16 + offset,
        };
        out.extend_from_slice(&u32::try_from(number).expect("a small database").to_be_bytes()[1..]);
    }
    out.extend_from_slice(&[0; 16]);
    out.append(&mut data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    // the numbers of the metadata have types of their own; a database that was built at 0 is as good as any
    control(7, 9, &mut out);
    for (name, kind, value) in [
        ("binary_format_major_version", 5, 2),
        ("binary_format_minor_version", 5, 0),
        ("build_epoch", 9, 1_700_000_000),
        ("ip_version", 5, 6),
        ("node_count", 6, count),
        ("record_size", 5, 24),
    ] {
        encode(&name.into(), &mut out);
        number(kind, value, &mut out);
    }
    for (name, value) in [
        ("database_type", Value::from(kind)),
        ("description", serde_json::json!({ "en": "for tests" })),
        ("languages", serde_json::json!([])),
    ] {
        encode(&name.into(), &mut out);
        encode(&value, &mut out);
    }
    out
}

/// The bits of a network, IPv4 at the bottom of IPv6.
fn bits(network: &str) -> Vec<bool> {
    let (address, length) = network.split_once('/').expect("a network");
    let length: usize = length.parse().expect("a prefix length");
    let (octets, skipped) = match address.parse().expect("an address") {
        IpAddr::V4(v4) => (v4.to_ipv6_compatible().octets(), 96),
        IpAddr::V6(v6) => (v6.octets(), 0),
    };
    let all = octets.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    all.take(skipped + length).collect()
}

fn insert(nodes: &mut Vec<[Branch; 2]>, bits: &[bool], leaf: Branch) {
    let (last, path) = bits.split_last().expect("no network is everything");
    let mut node = 0;
    for bit in path {
        let branch = nodes[node][usize::from(*bit)];
        node = match branch {
            Branch::Node(next) => next,
            // what was known of the wider network stays known of its other half
            other => {
                nodes.push([other; 2]);
                let next = nodes.len() - 1;
                nodes[node][usize::from(*bit)] = Branch::Node(next);
                next
            }
        };
    }
    nodes[node][usize::from(*last)] = leaf;
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (size, more) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    let size = u8::try_from(size).expect("below 30");
    if kind < 8 {
        out.push(kind << 5 | size);
    } else {
        out.extend_from_slice(&[size, kind - 7]);
    }
    out.extend(more.map(|more| u8::try_from(more).expect("nothing longer than 284")));
}

fn number(kind: u8, value: usize, out: &mut Vec<u8>) {
    let bytes: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    control(kind, bytes.len(), out);
    out.extend(bytes);
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(2, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Object(map) => {
            control(7, map.len(), out);
            for (key, value) in map {
                encode(&key.as_str().into(), out);
                encode(value, out);
            }
        }
        Value::Array(list) => {
            control(11, list.len(), out);
            list.iter().for_each(|value| encode(value, out));
        }
        Value::Number(count) => {
            let count = count.as_u64().and_then(|count| usize::try_from(count).ok()).expect("a whole number");
            number(5, count, out);
        }
        other => panic!("{other} has no form here"),
    }
}
