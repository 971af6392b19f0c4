//! Whose content is asked for: a site by its host (edge CNAME), or a directory by a CDN URL.

use std::sync::{Arc, OnceLock};

use http::header::HOST;
use leeward_config::ready::{Origin, Site};
use leeward_origin::direct;
use leeward_rules::{Effective, Path, decide};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;

use super::address::{cdn_path, host_of};
use crate::answer::Answer;
use crate::context::{Context, Label, Route};

/// Finds the site or directory, brings the path into normal form, and finds out which rules apply.
///
/// # Errors
/// 404 for an unknown host or directory, 400 for a path that has no normal form.
pub(crate) fn route(request: &RequestHeader, ctx: &mut Context) -> Result<(), Answer> {
    let authority = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let host = host_of(&authority);
    let raw_path = if request.uri.path().is_empty() || request.uri.path() == "*" { "/" } else { request.uri.path() };
    let path = Path::normalise(raw_path).map_err(|error| {
        ctx.error = Some(error.to_string());
        Answer::error(400, Reason::Malformed).closing()
    })?;
    let mut route = if let Some(platform) = ctx.snapshot.cdn_hosts.get(&host).copied() {
        let found = cdn_path(path.as_str(), &ctx.snapshot.account).and_then(|(directory, on_origin)| {
            let origin = ctx.snapshot.directories.find(platform, directory)?;
            Some((Arc::clone(origin), on_origin.to_owned()))
        });
        let (origin, origin_path) = found.ok_or(Answer::error(404, Reason::UnknownSite))?;
        directory_route(origin, origin_path, host, authority, path)
    } else if let Some(site) = ctx.snapshot.sites.find(&host).cloned() {
        site_route(site, host, authority, path)
    } else if let Some(alternate) = &ctx.alternate {
        let origin = direct(&host, &alternate.timeouts);
        let origin_path = path.as_str().to_owned();
        Route { direct: true, ..directory_route(origin, origin_path, host, authority, path) }
    } else {
        return Err(Answer::error(404, Reason::UnknownSite));
    };
    apply_rules(request, ctx, &mut route);
    ctx.route = Some(route);
    Ok(())
}

fn directory_route(origin: Arc<Origin>, origin_path: String, host: String, authority: String, path: Path) -> Route {
    Route {
        site: None,
        label: Label::Origin(Arc::clone(&origin)),
        origin: Some(origin),
        direct: false,
        host,
        authority,
        path,
        origin_path,
        effective: Effective::default(),
        redirect: None,
        normal: OnceLock::new(),
    }
}

fn site_route(site: Arc<Site>, host: String, authority: String, path: Path) -> Route {
    Route {
        origin: site.origin.clone(),
        label: Label::Site(Arc::clone(&site)),
        direct: false,
        origin_path: [&site.path, path.as_str()].concat(),
        site: Some(site),
        host,
        authority,
        path,
        effective: Effective::default(),
        redirect: None,
        normal: OnceLock::new(),
    }
}

/// Matches the rules once, on the client's request before any rewrite (policy-language.md 2.7).
fn apply_rules(request: &RequestHeader, ctx: &Context, route: &mut Route) {
    let Some(site) = route.site.clone() else { return };
    let effective = site.policy.evaluate(&ctx.facts(route, request));
    let decide::Request { redirect, rewrite } = decide::request(&site.policy, &effective, &ctx.facts(route, request));
    if let Some(path) = rewrite {
        route.origin_path = [&site.path, path.as_str()].concat();
    }
    (route.effective, route.redirect) = (effective, redirect);
}

/// Builds the redirect anew, when there is one: the URL that it leads to has no token that the client's had.
pub(crate) fn redirect_without_token(request: &RequestHeader, ctx: &mut Context) {
    let Some(route) = ctx.route.as_ref().filter(|route| route.redirect.is_some()) else { return };
    let decided =
        route.rules().map(|(policy, effective)| decide::request(policy, effective, &ctx.facts(route, request)));
    if let Some(route) = &mut ctx.route {
        route.redirect = decided.and_then(|decided| decided.redirect);
    }
}

/// The redirect that a `url-redirect` rule asks for. Given after the security phase: a refused client learns no address.
pub(crate) fn redirect(ctx: &mut Context) -> Option<Answer> {
    // another tier has sent its client there already, or not
    let redirect = ctx.route.as_mut()?.redirect.take().filter(|_| !ctx.client.midgress)?;
    Some(Answer::redirect(redirect.status, Reason::UrlRedirect, redirect.location))
}
