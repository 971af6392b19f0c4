//! Tokens: ectoken by directory or rule, then the rules' `token-auth`. Sources: delivery-and-security 4, policy-language 4.8.
//!
//! A good token is taken out of the request before anything else sees it: it is no part of the cache key, of redirects, of what
//! debugging shows, nor, unless `token_auth.forward` says so, of the request to the origin.

use std::borrow::Cow;

use http::header::{COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, Uri};
use leeward_config::Snapshot;
use leeward_config::ready::{Origin, PlatformTokens};
use leeward_rules::token::{Code, Denial, Place, TokenAuth, ectoken, mac};
use leeward_rules::{Facts, decide};
use leeward_telemetry::Reason;
use pingora::http::RequestHeader;

use crate::answer::Answer;
use crate::context::{Admitted, Context, Route};
use crate::phase::request;

/// What a request must have.
struct Wanted<'a> {
    ectoken: Option<Ectoken<'a>>,
    token_auth: Option<&'a TokenAuth>,
}

/// The ectoken that it must have, by configuration and rules.
struct Ectoken<'a> {
    /// Absent where no key is configured.
    platform: Option<&'a PlatformTokens>,
    rules: decide::Tokens<'a>,
}

impl Ectoken<'_> {
    fn place(&self) -> Place<'_> {
        let configured = || self.platform.and_then(|platform| platform.parameter.as_deref());
        self.rules.parameter.unwrap_or_else(configured).map_or(Place::Start, Place::Parameter)
    }

    fn judge(&self, facts: &Facts<'_>) -> Code {
        let Some(platform) = self.platform else { return Code::NoKey };
        let ignore_case = self.rules.ignore_case.unwrap_or(platform.ignore_case);
        ectoken::Asked { keys: &platform.keys, place: self.place(), ignore_case }.judge(facts)
    }

    /// Whether what stands in the token's place is one that a key made. At the start of a query anything may stand.
    fn is_there(&self, query: &str) -> bool {
        let place = self.place();
        let made = |token| self.platform.is_some_and(|platform| platform.keys.open(token).is_some());
        place != Place::Start || place.find(Some(query)).is_some_and(made)
    }

    fn refuse(&self) -> Answer {
        let default = Denial::default();
        let denial = self.rules.denial.or(self.platform.map(|platform| &platform.denial)).unwrap_or(&default);
        if let Some(location) = denial.location() {
            return Answer::redirect(denial.status(), Reason::Ectoken, location.to_owned());
        }
        let answer = Answer::error(denial.status(), Reason::Ectoken);
        match denial.authenticate().and_then(|challenge| HeaderValue::from_str(challenge).ok()) {
            Some(challenge) => answer.with(WWW_AUTHENTICATE, challenge),
            None => answer,
        }
    }
}

/// Whether this URL needs a token at all: then it depends on the request what the answer is, and on the clock.
pub(crate) fn wanted(route: &Route, snapshot: &Snapshot) -> bool {
    look(route, snapshot).is_some()
}

fn look<'a>(route: &'a Route, snapshot: &'a Snapshot) -> Option<Wanted<'a>> {
    let rules = match route.rules() {
        Some((policy, effective)) if !policy.is_empty() => decide::tokens(policy, effective),
        _ if snapshot.tokens.is_none() => return None,
        _ => decide::Tokens::default(),
    };
    let ectoken = match (rules.ectoken, &snapshot.tokens) {
        (Some(false), _) | (None, None) => None,
        (Some(true), tokens) => {
            let platform = route.origin.as_ref().map(|origin| origin.platform).unwrap_or_default();
            Some(Ectoken { platform: tokens.as_ref().map(|tokens| tokens.of(platform)), rules })
        }
        (None, Some(tokens)) => {
            let needs = |origin: &Origin| covering(tokens.of(origin.platform), origin, route);
            let own = route.origin.as_ref().and_then(|origin| needs(origin));
            let platform = own.or_else(|| route.chosen_origin().and_then(|(origin, _)| needs(origin)));
            platform.map(|platform| Ectoken { platform: Some(platform), rules })
        }
    };
    (ectoken.is_some() || rules.token_auth.is_some()).then_some(Wanted { ectoken, token_auth: rules.token_auth })
}

/// The platform's tokens, when the path is in a directory that needs one: as it was asked for, or as a rule rewrites it.
fn covering<'a>(platform: &'a PlatformTokens, origin: &Origin, route: &Route) -> Option<&'a PlatformTokens> {
    let directory = origin.directory.as_deref().filter(|_| !platform.directories.is_empty())?;
    let covers = |path: &str| platform.directories.covers(directory, path);
    let asked = || {
        let site = route.site.as_ref()?;
        let is_asked = route.origin_path.strip_prefix(site.path.as_str()) == Some(route.path.as_str());
        (!is_asked).then(|| [&site.path, route.path.as_str()].concat())
    };
    (covers(&route.origin_path) || asked().is_some_and(|path| covers(&path))).then_some(platform)
}

/// What is left of a request without its tokens.
#[derive(Default)]
struct Rest {
    /// The query, when it is another one.
    query: Option<String>,
    /// The parameter, cookie and field of `token-auth`.
    name: Option<Box<str>>,
}

/// Asks for the tokens that the URL needs, and takes them out.
///
/// # Errors
/// The refusal: what is configured for ectokens, 403 for `token-auth`.
pub(super) fn check(request: &mut RequestHeader, ctx: &mut Context) -> Result<(), Answer> {
    // an alternate or a refresh of a request that was judged
    let judged = ctx.client.admitted.is_some() || ctx.client.midgress;
    let Some(route) = &ctx.route else { return Ok(()) };
    let Some(wanted) = look(route, &ctx.snapshot) else { return Ok(()) };
    let facts = Facts { place: ctx.place(), ..ctx.facts(route, request) };
    let rest = match judge(&wanted, &facts, judged) {
        Ok(rest) => rest,
        Err((code, answer)) => {
            ctx.token = Some(code);
            // whatever it is: nobody shall find it anywhere
            set_query(request, "");
            return Err(answer);
        }
    };
    if !judged {
        ctx.token = Some(Code::Allow);
    }
    take_out(rest, request, ctx);
    Ok(())
}

/// Judges both tokens, and says what is left without them. What was judged already is only looked through.
fn judge(wanted: &Wanted<'_>, facts: &Facts<'_>, judged: bool) -> Result<Rest, (Code, Answer)> {
    let mut query = facts.query.map(Cow::Borrowed);
    if let Some(ectoken) = &wanted.ectoken {
        let code = if judged { Code::Allow } else { ectoken.judge(facts) };
        if !code.is_allow() {
            return Err((code, ectoken.refuse()));
        }
        query = query.map(|query| {
            if judged && !ectoken.is_there(&query) {
                return query;
            }
            Cow::Owned(ectoken.place().without(&query).into_owned())
        });
    }
    if let Some(auth) = wanted.token_auth {
        let code = if judged { Code::Allow } else { auth.judge(&Facts { query: query.as_deref(), ..*facts }) };
        if !code.is_allow() {
            return Err((code, Answer::error(403, Reason::TokenAuth)));
        }
        query = query.map(|query| Cow::Owned(auth.place().without(&query).into_owned()));
    }
    let query = query.map(Cow::into_owned).filter(|query| Some(&**query) != facts.query);
    Ok(Rest { query, name: wanted.token_auth.map(|auth| auth.name().into()) })
}

fn take_out(rest: Rest, request: &mut RequestHeader, ctx: &mut Context) {
    let forward = ctx.snapshot.tokens.as_ref().is_some_and(|tokens| tokens.forward);
    let sent = request.uri.query().filter(|_| forward && rest.query.is_some()).map(Into::into);
    if let Some(query) = &rest.query {
        set_query(request, query);
        request::redirect_without_token(request, ctx);
    }
    if let Some(name) = rest.name.as_deref().filter(|_| !forward) {
        remove(request, name);
    }
    let mut admitted = ctx.client.admitted.take().unwrap_or_default();
    (admitted.query, admitted.name) = (sent, rest.name.or(admitted.name));
    ctx.client.admitted = Some(admitted);
}

/// Gives a request its tokens again that the origin is to get: the framework is about to copy it for a refresh in the background, over
/// HTTP/2 from what it is now, over HTTP/1 from what came.
pub(crate) fn give_back(request: &mut RequestHeader, ctx: &mut Context) {
    let Some(admitted) = &mut ctx.client.admitted else { return };
    let Some(sent) = &admitted.query else { return };
    admitted.clean = Some(request.uri.clone());
    set_query(request, sent);
}

/// Takes out what [`give_back`] gave.
pub(crate) fn take_out_again(request: &mut RequestHeader, ctx: &mut Context) {
    if let Some(clean) = ctx.client.admitted.as_mut().and_then(|admitted| admitted.clean.take()) {
        request.set_uri(clean);
    }
}

/// Takes what carries the client's tokens out of a request that is made of its bytes, for another site.
pub(crate) fn adopted(request: &mut RequestHeader, admitted: &mut Admitted) {
    // the query is the alternate URL's
    admitted.query = None;
    if let Some(name) = &admitted.name {
        remove(request, name);
    }
}

/// The cookie and the field of this name.
fn remove(request: &mut RequestHeader, name: &str) {
    let lines = request.headers.get_all(COOKIE).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().ok().and_then(|text| mac::without_cookie(name, text))).collect();
    if lines.iter().any(Option::is_some) {
        let kept: Vec<HeaderValue> = request
            .headers
            .get_all(COOKIE)
            .iter()
            .zip(lines)
            .filter_map(|(line, without)| match without {
                None => Some(line.clone()),
                Some(text) => HeaderValue::try_from(text).ok().filter(|text| !text.is_empty()),
            })
            .collect();
        request.remove_header(&COOKIE);
        for line in kept {
            // fields of a request that was taken in go into one
            let _ = request.append_header(COOKIE, line);
        }
    }
    request.remove_header(name);
}

fn set_query(request: &mut RequestHeader, query: &str) {
    let path = request.uri.path();
    let text = if query.is_empty() { path.to_owned() } else { [path, "?", query].concat() };
    // a part of a target is one
    if let Ok(uri) = text.parse::<Uri>() {
        request.set_uri(uri);
    }
}
