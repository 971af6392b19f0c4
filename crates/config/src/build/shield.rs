//! `origins.*.shield`: which tier this edge asks before an origin's servers.

use std::net::IpAddr;
use std::sync::Arc;

use super::backup::is_near;
use super::origins::keyed;
use super::sites::Hosts;
use super::{servers, tls};
use crate::ready::{
    Balance, IpVersion, Origin, OriginServer, OriginTls, Platform, Pop, Region, Server, Servers, Shield,
};
use crate::report::{At, Report};
use crate::written;

/// Nodes of one POP, and gateways of one origin.
const MAX_NODES: usize = 64;

/// What is known about the edge and the origin that the tier stands before.
struct Before<'b> {
    report: &'b Report,
    hosts: &'b Hosts,
    server: &'b Server,
    of: &'b Origin,
    tls: OriginTls,
}

/// The tier of an origin, which is otherwise complete; none where this edge's region goes around it. `validated` says whether there is a
/// `validation_path`, right or wrong.
pub(super) fn shield(
    report: &Report,
    at: &At,
    written: &written::Shield,
    of: &Origin,
    validated: bool,
    hosts: &Hosts,
    server: &Server,
) -> Option<Shield> {
    let before = Before { report, hosts, server, of, tls: tls::origin(report, &at.key("tls"), &written.tls) };
    let dynamic = matches!(of.platform, Platform::Adn | Platform::Can);
    let platform = of.platform.name();
    let pops = pops(&written.pops);
    if !pops.is_empty() && dynamic {
        report
            .error_at_key(
                &at.key("pops"),
                format!("a shield is for `http_large` and `http_small`: this origin is on `{platform}`"),
            )
            .hint("`gateways` is the tier of `adn` and `can`");
    }
    if let Some(gateways) = &written.gateways {
        if !dynamic {
            report
                .error_at_key(
                    &at.key("gateways"),
                    format!("gateways are for `adn` and `can`: this origin is on `{platform}`"),
                )
                .hint("`pops` is the tier of `http_large` and `http_small`");
        }
        if !validated && dynamic {
            report
                .error_at_key(&at.key("gateways"), "gateways are chosen by how fast they fetch `validation_path`, which is missing")
                .hint("an object of about 5 KB that every server has: `validation_path: http://www.example.net/probe.png`");
        }
        let nodes = before.nodes(&at.key("gateways"), gateways, &mut Vec::new());
        return Some(Shield::Gateways(before.group(nodes, "gateways")));
    }
    before.pops(&at.key("pops"), &pops)
}

/// The POPs as written, in the order of the regions; the region is absent for `all`.
fn pops(written: &written::Pops) -> Vec<(Option<Region>, &written::Pop)> {
    let written::Pops { all, us_east, us_west, europe, asia } = written;
    [
        (None, all),
        (Some(Region::UsEast), us_east),
        (Some(Region::UsWest), us_west),
        (Some(Region::Europe), europe),
        (Some(Region::Asia), asia),
    ]
    .into_iter()
    .filter_map(|(region, pop)| Some((region, pop.as_ref()?)))
    .collect()
}

const fn name(region: Option<Region>) -> &'static str {
    match region {
        Some(region) => region.name(),
        None => "all",
    }
}

impl Before<'_> {
    fn pops(&self, at: &At, written: &[(Option<Region>, &written::Pop)]) -> Option<Shield> {
        if written.len() > 1 && written.iter().any(|(region, _)| region.is_none()) {
            self.report
                .error_at_key(&at.key("all"), "`all` stands for every region, and others are named, too")
                .hint("`all` alone, or each region by its name: one that is left out is served by the nearest POP");
        }
        let mut taken = Vec::new();
        let (mut ready, mut around) = (Vec::new(), Vec::new());
        for (region, pop) in written {
            let at = at.key(name(*region));
            match pop {
                written::Pop::Bypass(word) => {
                    self.bypass(&at, *region, word);
                    around.push(*region);
                }
                written::Pop::Nodes(nodes) => {
                    let nodes = self.nodes(&at, nodes, &mut taken);
                    let group = self.group(nodes, &format!("shield {}", name(*region)));
                    ready.push(Pop { region: *region, nodes: group });
                }
            }
        }
        if ready.is_empty() && !written.is_empty() {
            let added = self.report.error(at, "every region goes around this shield");
            added.hint("an origin without a shield has no `pops`");
        }
        let own = self.server.region;
        if own.is_some() && around.contains(&own) {
            return None;
        }
        if own.is_some() && ready.iter().any(|pop| pop.region == own) {
            ready.retain(|pop| pop.region == own);
        }
        (!ready.is_empty()).then_some(Shield::Pops(ready))
    }

    fn bypass(&self, at: &At, region: Option<Region>, word: &str) {
        if let Some(region) = region
            && word != "bypass"
            && word != region.bypass()
        {
            self.report.error(at, format!("`{word}` is the code of another region")).hint(format!(
                "`bypass`, or `{}` for `{}`",
                region.bypass(),
                region.name()
            ));
        }
    }

    /// Nodes as servers. `taken` are those of other POPs.
    fn nodes(&self, at: &At, list: &[String], taken: &mut Vec<OriginServer>) -> Vec<OriginServer> {
        let report = self.report;
        if list.is_empty() && !report.any_wrong(at) {
            report.error(at, "this list is empty").hint("such as `[\"http://10.1.0.1:8080\"]`");
        }
        if list.len() > MAX_NODES {
            report.error(at, format!("{} servers are more than {MAX_NODES}", list.len()));
        }
        let mut nodes = Vec::new();
        for (i, text) in list.iter().enumerate() {
            let at = at.index(i);
            match servers::single(text) {
                Ok(node) if taken.contains(&node) => {
                    report.error(&at, format!("the server `{text}` is there twice"));
                }
                Ok(node) => {
                    self.check(&at, text, &node);
                    taken.push(node.clone());
                    nodes.push(node);
                }
                Err((message, hint)) => {
                    report.error(&at, message).hint(hint);
                }
            }
        }
        nodes
    }

    fn check(&self, at: &At, text: &str, node: &OriginServer) {
        let report = self.report;
        self.hosts.refuse_loop(report, at, node);
        let own = |list: &Option<Servers>| list.as_ref().is_some_and(|list| list.servers.contains(node));
        if listens(self.server, node) {
            report
                .error(at, format!("`{text}` is a listener of this server: requests would go round in a loop"))
                .hint("a server of the tier asks the origin itself: its own configuration has no `shield` for it");
        } else if own(&self.of.http) || own(&self.of.https) {
            report
                .error(at, format!("`{text}` is a server of this origin"))
                .hint("a tier is made of Leeward servers between this one and the origin");
        } else if self.of.https.is_some() && !node.tls && !is_near(&node.host) {
            report
                .warning(at, "what clients send over HTTPS goes to this server in the clear")
                .hint(format!("`https://{}`, if it speaks TLS", node.host));
        }
    }

    /// The nodes as an origin. Its timeouts are decided for each request: a node has the time for all its attempts.
    fn group(&self, nodes: Vec<OriginServer>, what: &str) -> Arc<Origin> {
        let list = Some(Servers { servers: nodes, balance: Balance::PrimaryFailover });
        Arc::new(keyed(Origin {
            name: format!("{} {what}", self.of.name),
            platform: self.of.platform,
            http: list.clone(),
            https: list,
            ip_version: IpVersion::V4Preferred,
            allow_private: self.of.allow_private,
            timeouts: self.of.timeouts.clone(),
            unavailable: self.of.unavailable,
            tls: self.tls.clone(),
            ..Origin::default()
        }))
    }
}

/// Whether the address is certainly this server's own. A listener for all addresses is reached by any address of the machine, of which
/// only the loopback ones are known.
fn listens(server: &Server, node: &OriginServer) -> bool {
    let local = if node.host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { node.host.parse().ok() };
    server.listen.iter().any(|listener| {
        let (ip, port) = (listener.address.ip(), listener.address.port());
        local.is_some_and(|local| port == node.port && (ip == local || (ip.is_unspecified() && local.is_loopback())))
    })
}
