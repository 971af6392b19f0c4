//! What would be done with a request, and why: the phases' own functions, asked without a connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, Uri};
use leeward_config::Snapshot;
use leeward_rules::decide::Way;
use leeward_rules::token::Code;
use leeward_rules::{Code as PlaceCode, Place, Scheme, explain};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;
use serde::Serialize;

use crate::answer::Answer;
use crate::context::{Context, Route};
use crate::phase::{failover, fetch, lookup, request, security};

/// Statuses that are looked at for failover: what an origin or the edge could answer with.
const FAILURES: std::ops::RangeInclusive<u16> = 400..=599;

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// Method.
    pub method: Method,
    /// The URL as a client would type it.
    pub url: Uri,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// The client.
    pub client_ip: IpAddr,
    /// Where the client is, an ISO 3166-1 code.
    pub country: Option<PlaceCode>,
    /// When.
    pub at: SystemTime,
}

/// What would be done.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The URL asked about.
    pub url: String,
    /// The site as configured, or the directory of a CDN URL.
    pub site: Option<String>,
    /// The path in the form that rules match on.
    pub path: Option<String>,
    /// What became of the token that the URL needs.
    pub token: Option<&'static str>,
    /// The country that the client is in, where it is known.
    pub country: Option<String>,
    /// The edge's own answer, when it would not go further.
    pub answer: Option<Own>,
    /// Every rule, every match, and what is in force.
    pub rules: Option<explain::Explanation>,
    /// What the cache would do.
    pub cache: Option<Cache>,
    /// Where the request would go.
    pub origin: Option<Origin>,
    /// What would answer it, in the order in which it is asked.
    pub plan: Vec<Step>,
    /// What would happen instead of an answer with these statuses.
    pub failover: Vec<Failover>,
}

/// An answer that the edge gives by itself.
#[derive(Debug, Serialize)]
pub struct Own {
    /// Status.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Where a redirect leads.
    pub location: Option<String>,
}

/// The cache's part.
#[derive(Debug, Serialize)]
pub struct Cache {
    /// Whether the request may use it.
    pub used: bool,
    /// What the key is made of.
    pub key: Option<String>,
}

/// The origin's part.
#[derive(Debug, Serialize)]
pub struct Origin {
    /// Origin as configured.
    pub name: String,
    /// Servers for the client's scheme, in the order written.
    pub servers: Vec<String>,
    /// The request line's target.
    pub target: String,
    /// `Host` sent.
    pub host: String,
}

/// One way of the plan.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Its word in `failover_order`.
    pub way: &'static str,
    /// What answers.
    pub to: String,
    /// After what it is asked; absent for the first.
    pub after: Option<String>,
}

/// One way on from a failure.
#[derive(Debug, Serialize)]
pub struct Failover {
    /// Statuses, first and last of a range.
    pub status: (u16, u16),
    /// `redirect 301`, `redirect 302` or `alternate`.
    pub kind: String,
    /// The URL built.
    pub url: String,
}

/// Asks every phase about a request.
///
/// # Errors
/// When the URL or a header cannot be sent at all.
pub fn explain(snapshot: Arc<Snapshot>, question: &Question) -> Result<Explanation, String> {
    let scheme = match question.url.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        _ => return Err(format!("{}: a URL begins with http:// or https://", question.url)),
    };
    let as_sent = header_of(question).map_err(|error| error.to_string())?;
    let mut ctx = Context::new(snapshot);
    ctx.set_time(question.at);
    ctx.client.address = question.client_ip;
    ctx.client.scheme = scheme;
    if let Some(country) = question.country {
        ctx.client.place = Some(Place::of_country(country)).into();
    }
    let mut header = as_sent.clone();
    let answer = request::check_head(&header, false, &mut ctx)
        .and_then(|()| request::route(&header, &mut ctx))
        .and_then(|()| security::check(&mut header, &mut ctx, None))
        .and_then(|()| request::redirect(&mut ctx).map_or(Ok(()), Err))
        .err();
    let mut out = Explanation {
        url: without_token(question, &header, &ctx),
        site: ctx.route.as_ref().map(|route| route.label.as_str().to_owned()),
        path: ctx.route.as_ref().map(|route| route.path.as_str().to_owned()),
        country: ctx.place().and_then(|place| Some(place.country?.as_str().to_owned())),
        rules: ctx.route.as_ref().and_then(|route| explained(route, &ctx, &as_sent, &header)),
        cache: None,
        origin: None,
        plan: Vec::new(),
        failover: Vec::new(),
        token: ctx.token.map(Code::word),
        answer: answer.map(|Answer { status, reason, location, .. }| Own { status, reason, location }),
    };
    if out.answer.is_some() {
        return Ok(out);
    }
    if let Some(route) = &ctx.route {
        let used = lookup::eligible(&header, &ctx, route);
        out.cache = Some(Cache { used, key: used.then(|| lookup::key_parts(&header, &ctx, route).to_string()) });
        out.origin = origin(&header, &ctx, route);
        out.failover = ways_on(&header, &ctx);
        out.plan = plan(&ctx, route, &out);
    }
    Ok(out)
}

/// Rules match on the request as it was sent; what is decided is shown for the request without its token.
fn explained(
    route: &Route,
    ctx: &Context,
    as_sent: &RequestHeader,
    header: &RequestHeader,
) -> Option<explain::Explanation> {
    let (sent, rest) = (ctx.facts(route, as_sent), ctx.facts(route, header));
    let mode = route.site.as_ref()?.access_mode;
    Some(explain::explain_without_token(route.policy()?, &sent, &rest, mode))
}

/// The URL asked about. Whoever reads an explanation need not be who holds the token.
fn without_token(question: &Question, header: &RequestHeader, ctx: &Context) -> String {
    if ctx.token.is_none() {
        return question.url.to_string();
    }
    let authority = question.url.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}{}", ctx.client.scheme.as_str(), header.uri)
}

/// The request as the edge would receive it.
fn header_of(question: &Question) -> pingora::Result<RequestHeader> {
    let target = question.url.path_and_query().map_or("/", |target| target.as_str());
    // a URL may go without a path, a request may not (RFC 9112 3.2.1)
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let mut header = RequestHeader::build(question.method.clone(), target.as_bytes(), None)?;
    if let Some(authority) = question.url.authority() {
        header.insert_header("Host", authority.as_str())?;
    }
    for (name, value) in &question.headers {
        if name.eq_ignore_ascii_case("host") {
            header.insert_header("Host", value.as_str())?;
        } else {
            header.append_header(name.clone(), value.as_str())?;
        }
    }
    Ok(header)
}

fn origin(header: &RequestHeader, ctx: &Context, route: &Route) -> Option<Origin> {
    let (origin, _) = route.chosen_origin()?;
    let servers = match ctx.client.scheme {
        Scheme::Http => &origin.http,
        Scheme::Https => &origin.https,
    };
    let mut sent = header.clone();
    fetch::prepare(&mut sent, ctx).ok()?;
    let host = sent.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Some(Origin {
        name: origin.name.clone(),
        servers: servers.iter().flat_map(|servers| &servers.servers).map(ToString::to_string).collect(),
        target: sent.uri.to_string(),
        host: host.to_owned(),
    })
}

/// The ways that could answer this request, as `decide::plan` would take them.
fn plan(ctx: &Context, route: &Route, found: &Explanation) -> Vec<Step> {
    let Some((origin, _)) = route.chosen_origin() else { return Vec::new() };
    let step = |way: Way| match way {
        Way::Parents => {
            let nodes: Vec<String> = origin
                .shield
                .iter()
                .flat_map(|shield| shield.groups())
                .flat_map(|group| &group.http)
                .flat_map(|list| &list.servers)
                .map(ToString::to_string)
                .collect();
            (!nodes.is_empty()).then(|| Step { way: way.word(), to: nodes.join(", "), after: None })
        }
        Way::Servers => {
            let servers = found.origin.as_ref().map(|origin| origin.servers.join(", ")).unwrap_or_default();
            let after = origin.shield.as_ref().map(|_| "no answer of a parent".to_owned());
            Some(Step { way: way.word(), to: servers, after })
        }
        Way::Backup => {
            let backup = fetch::backup(ctx)?;
            let unanswered = if backup.on.unanswered { "no answer" } else { "" };
            let statuses = backup.on.statuses.to_string();
            let and = if unanswered.is_empty() || statuses.is_empty() { "" } else { ", or " };
            let servers = [&backup.origin.http, &backup.origin.https];
            let to = servers.into_iter().flatten().flat_map(|list| &list.servers).next()?.to_string();
            Some(Step { way: way.word(), to, after: Some(format!("{unanswered}{and}{statuses}")) })
        }
        Way::SiteFailover => {
            let first = found.failover.first()?;
            let range = |(low, high): (u16, u16)| if low == high { low.to_string() } else { format!("{low}:{high}") };
            let statuses: Vec<String> = found.failover.iter().map(|way| range(way.status)).collect();
            let to = format!("{} {}", first.kind, first.url);
            Some(Step { way: way.word(), to, after: Some(statuses.join(" ")) })
        }
        Way::Stale => {
            found.cache.as_ref().filter(|cache| cache.used)?;
            let max = ctx.snapshot.cache.max_stale.as_secs();
            let after = format!("no answer, up to {max} s after expiry; 5xx, if the stored answer allows it");
            Some(Step { way: way.word(), to: "the stored answer".to_owned(), after: Some(after) })
        }
    };
    let order = fetch::order(ctx);
    let mut steps: Vec<Step> = [Way::Parents].iter().chain(order).filter_map(|way| step(*way)).collect();
    if origin.http.is_none() && origin.https.is_none() {
        steps.clear();
    }
    steps
}

/// Every status that leads elsewhere, neighbours with the same way together.
fn ways_on(header: &RequestHeader, ctx: &Context) -> Vec<Failover> {
    let mut ways: Vec<Failover> = Vec::new();
    for status in FAILURES {
        let Some(way) = failover::applies(header, ctx, status) else { continue };
        let (kind, url) = (failover::kind(&way).to_owned(), way.url.to_string());
        match ways.last_mut() {
            Some(last) if last.status.1 + 1 == status && last.kind == kind && last.url == url => last.status.1 = status,
            _ => ways.push(Failover { status: (status, status), kind, url }),
        }
    }
    ways
}
