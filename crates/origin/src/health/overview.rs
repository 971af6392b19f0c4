//! Every origin with its servers, their addresses and how they are: for people, metrics and active checks.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use leeward_config::ready::{Origin, OriginServer};

use super::{Checked, Condition, Health, LastError};
use crate::{Known, Question};

/// One server of an origin.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// As configured.
    pub server: OriginServer,
    /// Its addresses.
    pub addresses: Addresses,
}

/// The addresses of a server's name.
#[derive(Debug, Clone)]
pub enum Addresses {
    /// At least one.
    Known(Vec<AddressState>),
    /// None, and why.
    Failed(String),
    /// The first answer is not there yet.
    NotYet,
}

impl ServerState {
    /// Whether any of its addresses is asked. One that is on trial is not yet.
    #[must_use]
    pub fn available(&self) -> bool {
        match &self.addresses {
            Addresses::Known(all) => all.iter().any(|one| one.condition == Condition::Available),
            Addresses::Failed(_) => false,
            Addresses::NotYet => true,
        }
    }
}

/// One address of a server.
#[derive(Debug, Clone)]
pub struct AddressState {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is asked.
    pub condition: Condition,
    /// When the next trial is due, or the lease of the one under way ends; absent while it is available.
    pub next_trial: Option<Instant>,
    /// Failures that moved it, since the last connection.
    pub failures: u32,
    /// The last failure, also one from before the last connection.
    pub last_error: Option<LastError>,
    /// What active checks found; absent where there are none.
    pub checked: Option<Checked>,
}

/// The servers of one origin, each once, whichever of its lists they are in; those of its backup are the backup origin's.
pub fn overview(health: &Health, origin: &Origin, known: impl Fn(&str, Question) -> Known) -> Vec<ServerState> {
    let about = |server: &OriginServer| {
        let addresses = match known(&server.host, origin.into()) {
            Known::Addresses(all) => {
                let state = |ip: &IpAddr| health.state(origin, SocketAddr::new(*ip, server.port));
                Addresses::Known(all.iter().map(state).collect())
            }
            Known::Failed(error) => Addresses::Failed(error.to_string()),
            Known::Never => Addresses::NotYet,
        };
        ServerState { server: server.clone(), addresses }
    };
    servers(origin).map(about).collect()
}

/// Every server of an origin, once.
pub(super) fn servers(origin: &Origin) -> impl Iterator<Item = &OriginServer> {
    let lists = [origin.http.as_ref(), origin.https.as_ref()];
    let all: Vec<_> = lists.into_iter().flatten().flat_map(|list| &list.servers).collect();
    let first = move |number: usize| {
        let server = all.get(number).copied()?;
        let again = all.iter().take(number).any(|earlier| *earlier == server);
        Some((!again).then_some(server))
    };
    (0..).map_while(first).flatten()
}

impl Health {
    /// How one address is.
    #[must_use]
    pub fn state(&self, origin: &Origin, address: SocketAddr) -> AddressState {
        let Some(entry) = self.find(origin, address) else {
            let condition = Condition::Available;
            return AddressState { address, condition, next_trial: None, failures: 0, last_error: None, checked: None };
        };
        entry.moves(|machine| AddressState {
            address,
            condition: machine.condition(),
            next_trial: machine.next_trial(super::yields(origin)),
            failures: machine.failures(),
            last_error: machine.last(),
            checked: machine.checked().filter(|_| origin.health_check.is_some()),
        })
    }
}
