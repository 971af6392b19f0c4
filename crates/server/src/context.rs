//! What one request carries from its first phase to its log line. A phase reads what earlier phases put here and writes
//! only its own part.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime};

use http::{HeaderName, HeaderValue};
use leeward_cache::admission::Trial;
use leeward_cache::freshness::Wishes;
use leeward_cache::purge::Sequence;
use leeward_config::ready::{Origin, Site, Snapshot, Timeouts};
use leeward_origin::{Failure, Target, Walk, Watch};
use leeward_rules::decide::{self, OriginChoice};
use leeward_rules::token::Code;
use leeward_rules::{Effective, Facts, Path, Place, Policy, Scheme};
use leeward_telemetry::access_log::{self, Attempt, Failover};
use leeward_telemetry::debug_fields::Directives;
use leeward_telemetry::{AttemptResult, CacheState, Reason};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora_cache::key::HashBinary;

use crate::phase::fetch::{Followed, Onward};
use crate::phase::orphan::Orphan;
use crate::phase::slices::{Slice, Slices};

/// The state of one request.
#[derive(Debug)]
pub struct Context {
    /// The configuration this request lives under, from its first phase to its log line.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    /// The same in seconds, as rules count time.
    unix: u64,
    /// Who asks, and how. Written by phase/request.
    pub(crate) client: Client,
    /// What is asked for. Written by phase/request, absent when that refused.
    pub(crate) route: Option<Route>,
    /// Written by phase/lookup.
    pub(crate) lookup: Lookup,
    /// Written by phase/fetch.
    pub(crate) fetch: Fetch,
    /// Where the request went after its origin failed. Written by phase/failover.
    pub(crate) failover: Option<Failover>,
    /// Set when this is an alternate request: where it goes. Written by phase/request.
    pub(crate) alternate: Option<AlternateTarget>,
    /// What is known of slices of the object. Written by phase/slices.
    pub(crate) slices: Slices,
    /// Set when this is a request for a slice. Written by phase/slices.
    pub(crate) slice: Option<Box<Slice>>,
    /// What the WAF found, where it found something. Written by phase/security.
    pub(crate) waf: Option<Box<access_log::Waf>>,
    /// What became of the token that the URL needs; absent: it needs none. Written by phase/security.
    pub(crate) token: Option<Code>,
    /// Why the edge answered by itself, or what failed.
    pub(crate) reason: Option<Reason>,
    /// What failed, in words, for the log.
    pub(crate) error: Option<String>,
    /// Request body bytes seen in this attempt.
    pub(crate) body_seen: u64,
    /// When the first of them came.
    pub(crate) body_began: Instant,
    /// The request body has ended; it need not have begun.
    pub(crate) body_ended: bool,
    /// The client asks for a WebSocket, and may have one. Written by phase/request.
    pub(crate) websocket: bool,
}

/// Who asks, and how.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) scheme: Scheme,
    pub(crate) protocol: &'static str,
    /// Where the client is, as far as that is known, once something asked.
    pub(crate) place: OnceLock<Option<Place>>,
    /// Whether another tier of this CDN asks on the client's behalf.
    pub(crate) midgress: bool,
    /// The client knows the secret of `debug`: what it wants to be told. Written by phase/debug.
    pub(crate) debug: Option<Directives>,
    /// Set when tokens were asked for and good, of this request or of the one that it is made for. Written by phase/security.
    pub(crate) admitted: Option<Box<Admitted>>,
}

/// What was taken out of a request with its tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admitted {
    /// The query with the tokens, where the origin gets them.
    pub(crate) query: Option<Box<str>>,
    /// The cookie and field that may have carried one.
    pub(crate) name: Option<Box<str>>,
    /// The target without the tokens, while the request has them again.
    pub(crate) clean: Option<http::Uri>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Route {
    /// The site, absent for a CDN URL and for an alternate host that is no site here.
    pub(crate) site: Option<Arc<Site>>,
    /// The default origin, absent when only a policy can name one.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Whether the host is connected to directly, without rules and cache.
    pub(crate) direct: bool,
    /// What logs and metrics call it: the site as configured or the origin's name.
    pub(crate) label: Label,
    /// Host the client asked for: lower case, no port.
    pub(crate) host: String,
    /// Host with the port, as the client wrote it.
    pub(crate) authority: String,
    /// The client's path in normal form; rules match on it.
    pub(crate) path: Path,
    /// Path on the origin and in the cache key: the site's prefix and the path, after `rewrite`, before
    /// `modify-outgoing-request-path`.
    pub(crate) origin_path: String,
    /// The rules that apply.
    pub(crate) effective: Effective,
    /// The redirect that they ask for.
    pub(crate) redirect: Option<decide::Redirect>,
    /// What [`Route::normal_authority`] came to, for the scheme it was asked for first: key, origin and log ask again.
    pub(crate) normal: OnceLock<(Scheme, Box<str>)>,
}

/// What logs and metrics call the thing asked for.
#[derive(Debug, Clone)]
pub(crate) enum Label {
    Site(Arc<Site>),
    Origin(Arc<Origin>),
}

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Site(site) => &site.host,
            Self::Origin(origin) => &origin.name,
        }
    }
}

/// The cache's part in the request.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Whether the request may use the cache at all.
    pub(crate) eligible: bool,
    /// The object's key.
    pub(crate) key: Option<HashBinary>,
    /// How many have asked for an object that is not stored, with this request. Written by phase/admission.
    pub(crate) asked: Option<u8>,
    /// The answer is kept only if others ask for it while it arrives. Written by phase/admission.
    pub(crate) trial: Option<Trial>,
    /// The stored copy may not be used without the origin (must-revalidate, content-refresh).
    pub(crate) must_revalidate: bool,
    /// The copy is the answer although its time is over: the request that this one waited for failed, or the client said
    /// that it does not mind.
    pub(crate) served_stale: bool,
    /// What the client's `Cache-Control` asks for, where that counts.
    pub(crate) wishes: Wishes,
    /// The client wants the origin's word on the stored copy.
    pub(crate) confirm: bool,
    /// Fields of the origin's answer that are for this request only.
    pub(crate) withheld: Vec<(HeaderName, HeaderValue)>,
    /// Waited for another request's fetch.
    pub(crate) collapsed: bool,
    /// A 304 that confirmed the stored copy.
    pub(crate) not_modified: Option<Box<ResponseHeader>>,
    /// Status of the stored copy's confirmation or of the origin, for `Cache-Status`.
    pub(crate) fwd_status: Option<u16>,
    /// Seconds until the answer expires.
    pub(crate) ttl: Option<i64>,
    /// Why the answer was not stored.
    pub(crate) refused: Option<&'static str>,
    /// Fixed when the response head is written; what the cache says afterwards is about its own bookkeeping.
    pub(crate) state: Option<CacheState>,
}

/// The attempts at origin servers.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    pub(crate) walk: Option<Walk>,
    /// Where the last failure leads.
    pub(crate) onward: Option<Onward>,
    /// The redirect of the origin that is followed.
    pub(crate) followed: Option<Followed>,
    /// The last failure.
    pub(crate) last: Option<Failure>,
    /// The status of an answer that was given up for the backup origin's.
    pub(crate) given_up: Option<u16>,
    pub(crate) asked_backup: bool,
    /// The gateways of this request in order, for `X-Gateway-List`.
    pub(crate) gateways: Option<String>,
    /// The parent's answer says that it could not get one from the origin.
    pub(crate) parent_failed: bool,
    /// A kept connection turned out to be closed.
    pub(crate) kept_was_closed: bool,
    /// The failure is that of the request which this one waited for.
    pub(crate) shared_failure: bool,
    pub(crate) current: Option<Current>,
    /// Over the attempt under way, where the framework's one timeout does not say it all.
    pub(crate) watch: Option<Watch>,
    pub(crate) made: Vec<Attempt>,
    /// When the attempt under way, or the last one, began.
    pub(crate) asked_at: Option<SystemTime>,
    /// The same moment as purges count time.
    pub(crate) sequence: Sequence,
    /// When the client left while the cache was being filled.
    pub(crate) client_left: OnceLock<Instant>,
    /// What the fill has done for nobody since.
    pub(crate) orphan: Option<Orphan>,
    /// What an alternate request of this one made; counted there.
    pub(crate) of_alternate: Vec<Attempt>,
}

/// The attempt under way.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) target: Target,
    pub(crate) started: Instant,
}

/// What `failover` hands to an alternate request, which runs as a task of its own.
#[derive(Debug)]
pub(crate) struct AlternateRequest {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) client: Client,
    /// Host with the port, as built by `site-failover`.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
    pub(crate) target: AlternateTarget,
}

/// Where an alternate request goes, and what its parent wants to know.
#[derive(Debug, Clone)]
pub(crate) struct AlternateTarget {
    /// No attempt begins after this: parent and child share one deadline.
    pub(crate) deadline: Instant,
    /// The failing origin's timeouts hold for a host that is no site here.
    pub(crate) timeouts: Timeouts,
    /// Whether the parent has something else to serve when the alternate cannot be reached: then it is not told by an answer.
    pub(crate) may_fail: bool,
    pub(crate) report: Arc<AlternateReport>,
}

/// What an alternate request tells its parent's log line.
#[derive(Debug, Default)]
pub(crate) struct AlternateReport {
    pub(crate) seen: Mutex<AlternateSeen>,
}

/// The part of [`AlternateReport`] behind the lock.
#[derive(Debug, Default)]
pub(crate) struct AlternateSeen {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) status: Option<u16>,
    pub(crate) cache: Option<CacheState>,
}

impl Context {
    /// The state of a request whose head was just read.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        Self {
            snapshot,
            started,
            started_at,
            unix: unix(started_at),
            client: Client {
                address: Ipv4Addr::UNSPECIFIED.into(),
                scheme: Scheme::Http,
                protocol: "HTTP/1.1",
                place: OnceLock::new(),
                midgress: false,
                debug: None,
                admitted: None,
            },
            route: None,
            lookup: Lookup::default(),
            fetch: Fetch::default(),
            failover: None,
            alternate: None,
            slices: Slices::default(),
            slice: None,
            waf: None,
            token: None,
            reason: None,
            error: None,
            body_seen: 0,
            body_began: started,
            body_ended: false,
            websocket: false,
        }
    }

    /// Moves the request to another time, for who wants to know what would be done then.
    pub(crate) fn set_time(&mut self, at: SystemTime) {
        (self.started_at, self.unix) = (at, unix(at));
    }

    /// Where the client is, as far as that is known. Looked up when something asks, once.
    pub(crate) fn place(&self) -> Option<&Place> {
        let found = || self.snapshot.geo.as_ref()?.place(self.client.address);
        self.client.place.get_or_init(found).as_ref()
    }

    /// Everything a decision may know. The place only where the rules ask for it.
    pub(crate) fn facts<'a>(&'a self, route: &'a Route, request: &'a RequestHeader) -> Facts<'a> {
        Facts {
            method: request.method.as_str(),
            scheme: self.client.scheme,
            host: &route.host,
            authority: &route.authority,
            path: &route.path,
            query: request.uri.query(),
            headers: &request.headers,
            client_ip: self.client.address,
            place: if route.policy().is_some_and(Policy::asks_place) { self.place() } else { None },
            now: self.unix,
        }
    }

    /// The query that the origin gets: with the tokens where it is to have them.
    pub(crate) fn query_for_origin<'a>(&'a self, request: &'a RequestHeader) -> Option<&'a str> {
        let with_tokens = self.client.admitted.as_deref().and_then(|admitted| admitted.query.as_deref());
        with_tokens.or(request.uri.query())
    }

    /// Keeps an attempt for the log, also for the parent's when this is an alternate request.
    pub(crate) fn record(&mut self, attempt: Attempt) {
        if let Some(alternate) = &self.alternate
            && let Ok(mut seen) = alternate.report.seen.lock()
        {
            seen.attempts.push(attempt.clone());
        }
        if let Some(slice) = &self.slice {
            slice.record(&attempt);
        }
        self.fetch.made.push(attempt);
    }

    /// The answer of the last attempt broke off behind its head.
    pub(crate) fn spoil(&mut self, failure: &Failure) {
        let of_origin = matches!(failure.result, AttemptResult::Broken | AttemptResult::Timeout);
        if !of_origin || failure.reason == Reason::Internal {
            return;
        }
        let spoil = |attempt: Option<&mut Attempt>| {
            if let Some(attempt) = attempt.filter(|attempt| attempt.result == AttemptResult::Ok) {
                (attempt.result, attempt.reason) = (failure.result, Some(failure.reason));
            }
        };
        spoil(self.fetch.made.last_mut());
        if let Some(alternate) = &self.alternate
            && let Ok(mut seen) = alternate.report.seen.lock()
        {
            spoil(seen.attempts.last_mut());
        }
    }
}

impl Route {
    /// The policy that the rules of this request come from.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.site.as_ref().map(|site| &site.policy)
    }

    /// The policy together with what applies of it.
    pub(crate) fn rules(&self) -> Option<(&Policy, &Effective)> {
        Some((self.policy()?, &self.effective))
    }

    /// The origin a request goes to, and the rule that names it: the policy's `origin`, else the site's own.
    pub(crate) fn chosen_origin(&self) -> Option<(&Arc<Origin>, Option<OriginChoice<'_>>)> {
        let choice = self.rules().and_then(|(policy, effective)| decide::origin(policy, effective));
        let named = choice.as_ref().and_then(|choice| self.site.as_ref()?.policy_origins.get(choice));
        named.or(self.origin.as_ref()).map(|origin| (origin, choice))
    }

    /// The client's Host in one form: lower case, no trailing dot, no default port.
    pub(crate) fn normal_authority(&self, scheme: Scheme) -> Cow<'_, str> {
        if self.authority == self.host && !self.host.contains(':') {
            return self.host.as_str().into();
        }
        let (of, normal) = self.normal.get_or_init(|| (scheme, self.without_default_port(scheme).into()));
        if *of == scheme { (**normal).into() } else { self.without_default_port(scheme).into() }
    }

    fn without_default_port(&self, scheme: Scheme) -> String {
        let default = if scheme == Scheme::Https { "443" } else { "80" };
        let port = self.authority.rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| !port.is_empty() && !port.ends_with(']') && *port != default);
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match port {
            Some(port) => [open, &self.host, close, ":", port].concat(),
            None => [open, &self.host, close].concat(),
        }
    }
}

/// Unix seconds; 0 before 1970.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
