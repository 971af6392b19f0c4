//! Names of origin servers to addresses, without blocking a worker.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::RwLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;

/// Names whose last good answer is remembered; a policy names few.
const REMEMBERED_NAMES: usize = 10_000;
/// Floor of an answer's time to live: a zero must not mean a query per request.
const MIN_TTL: Duration = Duration::from_secs(5);
/// Cap of an answer's time to live.
const MAX_TTL: Duration = Duration::from_secs(300);
/// How long "no such name" is believed.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError(String);

impl std::fmt::Display for ResolveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Resolves names with the machine's resolvers, keeps answers for their time to live, and falls back to the last good
/// answer while the resolvers fail.
pub struct Resolver {
    dns: Option<TokioResolver>,
    last_good: RwLock<HashMap<String, Vec<IpAddr>>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver as `/etc/resolv.conf` and `/etc/hosts` say. Without a usable `resolv.conf` only literal addresses work.
    #[must_use]
    pub fn from_system() -> Self {
        let dns = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.positive_min_ttl = Some(MIN_TTL);
            options.positive_max_ttl = Some(MAX_TTL);
            options.negative_max_ttl = Some(NEGATIVE_TTL);
            options.timeout = Duration::from_secs(1);
            options.attempts = 2;
            builder.build()
        });
        let dns = dns.inspect_err(|error| log::warn!("no name can be resolved, only addresses work: {error}")).ok();
        Self { dns, last_good: RwLock::default() }
    }

    /// The addresses of a host, at least one. A literal address is returned as it is.
    ///
    /// # Errors
    /// When the name does not exist, or nothing was learned about it within `wait` or ever before.
    pub async fn addresses(&self, host: &str, wait: Duration) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let Some(dns) = &self.dns else {
            return Err(ResolveError(format!("{host}: no resolver is configured on this machine")));
        };
        let failure = match tokio::time::timeout(wait, dns.lookup_ip(host)).await {
            Ok(Ok(answer)) => {
                let addresses: Vec<IpAddr> = answer.iter().collect();
                if !addresses.is_empty() {
                    self.remember(host, &addresses);
                    return Ok(addresses);
                }
                "no address".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {wait:?}"),
        };
        self.recall(host).ok_or_else(|| ResolveError(format!("{host}: {failure}")))
    }

    fn remember(&self, host: &str, addresses: &[IpAddr]) {
        let known = self.last_good.read().is_ok_and(|good| good.get(host).is_some_and(|old| old == addresses));
        if known {
            return;
        }
        if let Ok(mut good) = self.last_good.write() {
            if good.len() >= REMEMBERED_NAMES {
                good.clear();
            }
            good.insert(host.to_owned(), addresses.to_vec());
        }
    }

    fn recall(&self, host: &str) -> Option<Vec<IpAddr>> {
        self.last_good.read().ok()?.get(host).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_address_needs_no_resolver() {
        let resolver = Resolver { dns: None, last_good: RwLock::default() };
        for (host, want) in [("127.0.0.1", true), ("::1", true), ("origin.example.net", false)] {
            let got = resolver.addresses(host, Duration::from_secs(1)).await;
            assert_eq!(got.is_ok(), want, "{host}: {got:?}");
        }
    }

    #[tokio::test]
    async fn the_last_good_answer_is_used_while_the_resolvers_fail() {
        let resolver = Resolver { dns: None, last_good: RwLock::default() };
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        resolver.remember("origin.example.net", &[address]);
        assert_eq!(resolver.recall("origin.example.net"), Some(vec![address]));
    }
}
