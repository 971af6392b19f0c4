//! Rendezvous hashing (highest random weight): each node has a weight for each key, and the heaviest takes it.

use std::cmp::Reverse;
use std::hash::Hasher;

use leeward_config::ready::OriginServer;
use siphasher::sip::SipHasher13;

/// The nodes for a key, the first at most `most` of them. Every edge comes to the same, of whatever version: the hash is
/// SipHash-1-3 with a zero key over the node as configured, a zero byte, and the key.
pub(super) fn order(key: &[u8], nodes: &[OriginServer], most: usize) -> Vec<OriginServer> {
    let mut weighed: Vec<(Reverse<u64>, String, &OriginServer)> = nodes
        .iter()
        .map(|node| {
            let name = node.to_string();
            let mut hasher = SipHasher13::new();
            hasher.write(name.as_bytes());
            hasher.write(&[0]);
            hasher.write(key);
            (Reverse(hasher.finish()), name, node)
        })
        .collect();
    // the name decides between equal weights, so that the order of the list never does
    weighed.sort_unstable_by(|(one, a, _), (other, b, _)| one.cmp(other).then_with(|| a.cmp(b)));
    weighed.into_iter().take(most).map(|(_, _, node)| node.clone()).collect()
}
