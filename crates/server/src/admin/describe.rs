//! What runs, in JSON, without any secret.

use std::sync::Arc;

use leeward_config::Snapshot;
use leeward_config::ready::{Origin, Servers};
use serde_json::{Value, json};

use super::{Origins, Purges, Sources};
use crate::life::{Reloader, Report};

/// The sources of an edge: token, configuration and reload are the reloader's.
///
/// `metrics` gives the text for Prometheus, `cache` what the cache holds, `origins` how they are.
pub fn sources(
    reloader: Arc<Reloader>,
    metrics: impl Fn() -> Vec<u8> + Send + Sync + 'static,
    cache: impl Fn() -> Value + Send + Sync + 'static,
    origins: Origins,
    purges: Arc<Purges>,
) -> Sources {
    let (for_token, for_config) = (Arc::clone(&reloader), Arc::clone(&reloader));
    Sources {
        token: Box::new(move || {
            let snapshot = for_token.current().load();
            snapshot.admin.token.as_ref().map(|token| token.expose().to_vec())
        }),
        metrics: Box::new(metrics),
        reload: Box::new(move || {
            let report = reloader.reload();
            (report.ok, said(&report))
        }),
        config: Box::new(move || {
            let mut about = describe(&for_config.current().load());
            if let Some(object) = about.as_object_mut() {
                object.insert("file".to_owned(), json!(for_config.path().display().to_string()));
                object.insert("last_reload".to_owned(), said(&for_config.last()));
            }
            about
        }),
        cache: Box::new(cache),
        purge: Box::new(move |body| {
            let purges = Arc::clone(&purges);
            Box::pin(async move { purges.reply(&body).await })
        }),
        origins: Box::new(move || origins.describe()),
    }
}

fn said(report: &Report) -> Value {
    serde_json::to_value(report).unwrap_or_default()
}

/// Only what is listed here is shown: a new key with a secret cannot slip through.
fn describe(snapshot: &Snapshot) -> Value {
    let mut sites: Vec<_> = snapshot.sites.iter().collect();
    sites.sort_by(|one, other| one.host.cmp(&other.host));
    let sites: Vec<_> = sites
        .into_iter()
        .map(|site| {
            json!({
                "host": site.host,
                "origin": site.origin.as_ref().map(|origin| origin.name.as_str()),
                "path": site.path,
            })
        })
        .collect();
    let listen: Vec<_> = snapshot
        .server
        .listen
        .iter()
        .map(|listener| {
            json!({
                "address": listener.address,
                "tls": listener.tls.is_some(),
                "http2": listener.tls.as_ref().is_some_and(|tls| tls.http2),
                "proxy_protocol": listener.proxy_protocol.is_some(),
            })
        })
        .collect();
    json!({
        "generation": snapshot.generation,
        "account": snapshot.account,
        "listen": listen,
        "sites": sites,
        "origins": snapshot.origins.iter().map(|origin| about_origin(origin)).collect::<Vec<_>>(),
    })
}

fn about_origin(origin: &Origin) -> Value {
    let servers = |servers: &Option<Servers>| {
        let servers = &servers.as_ref()?.servers;
        Some(servers.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    json!({
        "name": origin.name,
        "directory": origin.directory,
        "platform": origin.platform.name(),
        "http": servers(&origin.http),
        "https": servers(&origin.https),
        "host_header": origin.host_header,
    })
}
