//! `client-ip`.

use ipnet::IpNet;

use crate::facts::Facts;
use crate::grammar::{Invalid, IpSet};

#[derive(Debug)]
pub(crate) struct ClientIp(IpSet);

impl ClientIp {
    pub(super) fn parse(value: &str) -> Result<Self, Vec<Invalid>> {
        IpSet::parse(value).map(Self)
    }

    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.0.networks()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.contains(facts.client_ip)
    }
}
