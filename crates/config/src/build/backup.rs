//! `origins.*.backup`.

use std::net::IpAddr;
use std::sync::Arc;

use leeward_rules::grammar::{StatusPattern, StatusSet};
use leeward_rules::nearest;

use super::origins::{host_header, keyed};
use super::sites::Hosts;
use super::{servers, tls};
use crate::ready::{Backup, Balance, Origin, OriginServer, Servers, Triggers};
use crate::report::{At, Report};
use crate::written;

/// The word for every failure to get a response head.
const UNANSWERED: &str = "timeout";
const STATUSES: &str = "statuses are 4xx and 5xx: `503`, `50x`, `5xx`, `502:504`";

/// The backup of an origin, which is otherwise complete.
pub(super) fn backup(
    report: &Report,
    at: &At,
    written: &written::Backup,
    of: &Origin,
    hosts: &Hosts,
) -> Option<Backup> {
    let on = triggers(report, at, written);
    let host_header = host_header(report, at, written.host_header.as_ref());
    let tls = tls::origin(report, &at.key("tls"), &written.tls);
    let server = server(report, at, written, of, hosts)?;
    let list = Some(Servers { servers: vec![server], balance: Balance::default() });
    let origin = keyed(Origin {
        name: of.name.clone(),
        platform: of.platform,
        http: list.clone(),
        https: list,
        host_header,
        ip_version: of.ip_version,
        allow_private: of.allow_private,
        timeouts: of.timeouts.clone(),
        unavailable: of.unavailable,
        tls,
        websocket: of.websocket,
        follow_redirects: of.follow_redirects,
        ..Origin::default()
    });
    Some(Backup { origin: Arc::new(origin), on })
}

fn server(report: &Report, at: &At, written: &written::Backup, of: &Origin, hosts: &Hosts) -> Option<OriginServer> {
    let Some(text) = &written.server else {
        report.missing(at, "server").hint("`server: \"https://backup.example.net\"`");
        return None;
    };
    let at = at.key("server");
    let server = servers::single(text)
        .map_err(|(message, hint)| {
            report.error(&at, message).hint(hint);
        })
        .ok()?;
    hosts.refuse_loop(report, &at, &server);
    let own = |list: &Option<Servers>| list.as_ref().is_some_and(|list| list.servers.contains(&server));
    if own(&of.http) || own(&of.https) {
        report
            .error(
                &at,
                format!("the backup `{text}` is a server of this origin: it has failed when the backup is asked"),
            )
            .hint("name another server; an origin goes on to its own servers without a backup");
    } else if of.https.is_some() && !server.tls && !is_near(&server.host) {
        report
            .warning(&at, "what clients send over HTTPS goes to this backup in the clear")
            .hint(format!("`https://{}`, if it speaks TLS", server.host));
    }
    Some(server)
}

/// Whether it is an address of this machine or of a private network.
pub(super) fn is_near(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => host == "localhost",
    }
}

fn triggers(report: &Report, at: &At, written: &written::Backup) -> Triggers {
    let (on_at, exclude_at) = (at.key("on"), at.key("exclude"));
    let mut on = Triggers::default();
    // A status that is named by itself is meant; one that a pattern brings along may be an oversight.
    let mut named = StatusSet::default();
    let mut wrong = report.any_wrong(&on_at) || report.any_wrong(&exclude_at);
    for (i, item) in written.on.iter().enumerate() {
        if item == UNANSWERED {
            on.unanswered = true;
            continue;
        }
        match statuses(item) {
            Some(set) => {
                on.statuses = on.statuses.or(set);
                if item.bytes().all(|byte| byte.is_ascii_digit()) {
                    named = named.or(set);
                }
            }
            None => {
                wrong = true;
                let hint =
                    nearest(item, [UNANSWERED]).map_or(STATUSES.to_owned(), |_| "did you mean `timeout`?".into());
                report.error(&on_at.index(i), format!("`{item}` is neither a status nor `{UNANSWERED}`")).hint(hint);
            }
        }
    }
    let mut excluded = StatusSet::default();
    for (i, item) in written.exclude.iter().enumerate() {
        match statuses(item) {
            Some(set) => excluded = excluded.or(set),
            None if item == UNANSWERED => {
                wrong = true;
                report
                    .error(&exclude_at.index(i), format!("`{UNANSWERED}` cannot be excluded"))
                    .hint("leave it out of `on`");
            }
            None => {
                wrong = true;
                report.error(&exclude_at.index(i), format!("`{item}` is not an error status")).hint(STATUSES);
            }
        }
    }
    on.statuses = on.statuses.without(excluded);
    if !wrong {
        doubts(report, at, written, on, named);
    }
    on
}

/// The statuses of one item, at least one.
fn statuses(item: &str) -> Option<StatusSet> {
    StatusPattern::set(item).ok().filter(|set| *set != StatusSet::default())
}

/// What is understood, and probably not what was meant.
fn doubts(report: &Report, at: &At, written: &written::Backup, on: Triggers, named: StatusSet) {
    if written.on.is_empty() {
        report.error(&at.key("on"), "`on` is empty: the backup would never be asked").hint("`on: [\"5xx\", timeout]`");
        return;
    }
    if on == Triggers::default() {
        report.error(&at.key("exclude"), "everything in `on` is excluded: the backup would never be asked");
        return;
    }
    if !on.unanswered {
        report
            .warning(
                &at.key("on"),
                format!("`on` has no `{UNANSWERED}`: a server that cannot be reached is no reason to ask the backup"),
            )
            .hint(format!("add `{UNANSWERED}`, which is every failure to get a response head"));
    }
    let client_errors = StatusSet::client_errors().without(named);
    let left = client_errors.without(client_errors.without(on.statuses));
    if left != StatusSet::default() {
        let place = if written.exclude.is_empty() { at.clone() } else { at.key("exclude") };
        report
            .warning(&place, format!("client errors are not excluded: the backup is also asked after {left}"))
            .hint("`exclude: [\"40x\"]`; those that are meant are named one by one in `on`");
    }
}
