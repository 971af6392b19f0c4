//! Servers as they are written: `http://10.0.0.1:80`.

use super::names;
use super::sites::Hosts;
use crate::ready::{OriginServer, Servers};
use crate::report::{At, Report};
use crate::written;

/// Servers of one list.
const MAX_SERVERS: usize = 64;

/// The `http` or `https` list of an origin.
pub(super) fn list(report: &Report, at: &At, written: &written::Servers, tls: bool, hosts: &Hosts) -> Servers {
    let list_at = at.key("servers");
    let list = written.servers.as_deref().unwrap_or_default();
    if written.servers.is_none() {
        report.missing(at, "servers");
    } else if list.is_empty() && !report.any_wrong(&list_at) {
        report.error(&list_at, "`servers` is empty");
    }
    if list.len() > MAX_SERVERS {
        report.error(&list_at, format!("{} servers are more than {MAX_SERVERS}", list.len()));
    }
    let mut servers: Vec<OriginServer> = Vec::new();
    for (i, text) in list.iter().enumerate() {
        let at = list_at.index(i);
        match of_list(text, tls) {
            Ok(server) if servers.contains(&server) => {
                report.error(&at, format!("the server `{text}` is there twice"));
            }
            Ok(server) => {
                hosts.refuse_loop(report, &at, &server);
                servers.push(server);
            }
            Err((message, hint)) => {
                report.error(&at, message).hint(hint);
            }
        }
    }
    Servers { servers, balance: written.balance }
}

/// A server of a list, which has the scheme of the list.
fn of_list(text: &str, tls: bool) -> Result<OriginServer, (String, String)> {
    let scheme = if tls { "https" } else { "http" };
    let wrong = || format!("`{text}` in the `{scheme}` list does not begin with `{scheme}://`");
    match scheme_of(text, scheme)? {
        (Some(given), rest) if given == tls => server(text, rest, tls),
        (Some(_), _) if tls => Err((wrong(), "`http` servers belong under `http:`".to_owned())),
        (Some(_), _) => Err((wrong(), "`https` servers belong under `https:`".to_owned())),
        (None, _) => Err((wrong(), form(tls))),
    }
}

/// A server of either scheme.
pub(super) fn single(text: &str) -> Result<OriginServer, (String, String)> {
    match scheme_of(text, "https")? {
        (Some(tls), rest) => server(text, rest, tls),
        (None, _) => Err((format!("`{text}` begins with neither `http://` nor `https://`"), form(true))),
    }
}

/// Whether the scheme is `https`, if it is one of the two, and what follows it.
fn scheme_of<'t>(text: &'t str, usual: &str) -> Result<(Option<bool>, &'t str), (String, String)> {
    let Some((given, rest)) = text.split_once("://") else {
        return Err((format!("`{text}` has no scheme"), format!("`{usual}://{text}`")));
    };
    let tls = match given.to_ascii_lowercase().as_str() {
        "http" => Some(false),
        "https" => Some(true),
        _ => None,
    };
    Ok((tls, rest))
}

fn server(text: &str, rest: &str, tls: bool) -> Result<OriginServer, (String, String)> {
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        return Err((
            format!("`{text}` is more than a host and a port"),
            "a path on the origin is the site's `path`".to_owned(),
        ));
    }
    match names::authority(authority) {
        Ok((host, port)) => {
            let host = host.trim_matches(['[', ']']).to_owned();
            if host.parse().is_ok_and(names::is_nobodys) {
                return Err((format!("`{text}` is not a server: no server has this address"), form(tls)));
            }
            Ok(OriginServer { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
        }
        Err(reason) => Err((format!("`{text}` is not a server: {reason}"), form(tls))),
    }
}

fn form(tls: bool) -> String {
    let (scheme, port) = if tls { ("https", 443) } else { ("http", 80) };
    format!("such as `{scheme}://10.0.0.1:{port}`")
}
