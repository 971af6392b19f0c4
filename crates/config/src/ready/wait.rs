//! What a reload cannot replace.

use super::{Listener, Snapshot};

impl Snapshot {
    /// The keys in which the new configuration differs and that this process cannot change while it runs, in the order of the
    /// file. Empty: the reload replaces everything. Certificates are not among them.
    #[must_use]
    pub fn changes_that_wait(&self, new: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        if self.server.threads != new.server.threads {
            keys.push("server.threads".to_owned());
        }
        if !self.server.listen.iter().map(Opened::of).eq(new.server.listen.iter().map(Opened::of)) {
            keys.push("server.listen".to_owned());
        }
        if self.admin.address != new.admin.address {
            keys.push("admin.address".to_owned());
        }
        if new.cache.memory < self.cache.memory {
            keys.push("cache.memory".to_owned());
        }
        keys
    }
}

/// What is fixed when a listener is opened.
#[derive(PartialEq)]
struct Opened<'l> {
    address: std::net::SocketAddr,
    http2: Option<bool>,
    proxy_protocol: Option<&'l [ipnet::IpNet]>,
}

impl<'l> Opened<'l> {
    fn of(listener: &'l Listener) -> Self {
        Self {
            address: listener.address,
            http2: listener.tls.as_ref().map(|tls| tls.http2),
            proxy_protocol: listener.proxy_protocol.as_deref(),
        }
    }
}
