use super::Failed::{Status, Unanswered, Unsent};
use super::Next::{Again, Deliver, Error};
use super::*;

const GET: Repeat = Repeat { idempotent: true, whole: true, plain: true };
const PUT: Repeat = Repeat { idempotent: true, whole: true, plain: false };
const LONG_PUT: Repeat = Repeat { idempotent: true, whole: false, plain: false };
const POST: Repeat = Repeat { idempotent: false, whole: true, plain: false };

const DEFAULT: &[Way] = &Way::DEFAULT_ORDER;
const STALE_FIRST: &[Way] = &[Way::Servers, Way::Stale, Way::Backup, Way::SiteFailover];
const LITERAL: &[Way] = &[Way::Servers, Way::Backup, Way::Stale, Way::SiteFailover];

fn set(text: &str) -> StatusSet {
    StatusSet::parse(text).unwrap()
}

fn elsewhere(statuses: &str, kind: FailoverKind) -> Option<SiteFailover> {
    Some(SiteFailover { statuses: set(statuses), kind })
}

/// A backup for everything but 403, an alternate for 500 and 503 to 504, a stale copy that the origin allows on errors.
fn all(order: &'static [Way]) -> Ready<'static> {
    Ready {
        order,
        more: false,
        backup: Some(Triggers { statuses: set("400:402 404:599"), unanswered: true }),
        site_failover: elsewhere("500 503:504", FailoverKind::Alternate),
        stale: Stale { unreachable: true, on_error: true },
        given_up: None,
    }
}

#[test]
fn a_failed_request_takes_the_first_way_behind_it_that_fits() {
    let bare = Ready { order: DEFAULT, ..Ready::default() };
    let more = Ready { more: true, backup: all(DEFAULT).backup, ..bare };
    let stale = Ready { stale: Stale { unreachable: true, on_error: false }, ..bare };
    let no_backup = Ready { backup: None, ..all(DEFAULT) };
    let no_stale = Ready { stale: Stale::default(), ..no_backup };
    let redirect = Ready { site_failover: elsewhere("503", FailoverKind::Redirect(302)), ..bare };
    let on_5xx = Ready { backup: Some(Triggers { statuses: set("500:599"), unanswered: false }), ..bare };
    let after_404 = Ready { backup: None, given_up: Some(404), ..all(DEFAULT) };
    let after_503 = Ready { backup: None, given_up: Some(503), ..all(DEFAULT) };
    let none_after_503 = Ready { given_up: Some(503), ..stale };
    use Way::{Backup, Parents, Servers, SiteFailover};
    let way = Next::Way;
    let table: &[(&str, Way, Failed, Repeat, &Ready<'_>, Next)] = &[
        // the next server: only where no answer came, and only what may be sent twice
        ("refused, another server", Servers, Unsent(503), GET, &more, Again),
        ("refused, another server, POST", Servers, Unsent(503), POST, &more, Again),
        ("slow, another server", Servers, Unanswered(504), GET, &more, Again),
        ("slow, another server, POST", Servers, Unanswered(504), POST, &more, Error(504)),
        ("reset, another server, long PUT", Servers, Unanswered(502), LONG_PUT, &more, Error(502)),
        ("a status leads to no other server", Servers, Status(503), GET, &more, way(Backup)),
        // the backup origin
        ("refused", Servers, Unsent(503), GET, &all(DEFAULT), way(Backup)),
        ("refused, POST", Servers, Unsent(503), POST, &all(DEFAULT), way(Backup)),
        ("refused by TLS, long PUT: part of it is gone", Servers, Unsent(503), LONG_PUT, &all(DEFAULT), Error(503)),
        ("slow", Servers, Unanswered(504), PUT, &all(DEFAULT), way(Backup)),
        ("404", Servers, Status(404), GET, &all(DEFAULT), way(Backup)),
        ("404, PUT", Servers, Status(404), PUT, &all(DEFAULT), way(Backup)),
        ("404, POST", Servers, Status(404), POST, &all(DEFAULT), Deliver),
        ("503, long PUT", Servers, Status(503), LONG_PUT, &all(DEFAULT), Deliver),
        ("403 is excluded", Servers, Status(403), GET, &all(DEFAULT), Deliver),
        ("200 is no failure", Servers, Status(200), GET, &all(DEFAULT), Deliver),
        ("refused, backup only for statuses", Servers, Unsent(503), GET, &on_5xx, Error(503)),
        ("slow, backup only for statuses", Servers, Unanswered(504), GET, &on_5xx, Error(504)),
        ("500, backup only for statuses", Servers, Status(500), GET, &on_5xx, way(Backup)),
        // the backup's own end
        ("backup refuses", Backup, Unsent(503), GET, &no_backup, way(SiteFailover)),
        ("backup answers 404", Backup, Status(404), GET, &no_backup, Deliver),
        ("backup answers 500", Backup, Status(500), GET, &no_backup, way(SiteFailover)),
        ("backup answers 502", Backup, Status(502), GET, &no_backup, way(Way::Stale)),
        ("404, backup down: the 404 is truer", Backup, Unsent(503), GET, &after_404, Error(404)),
        ("503, backup down", Backup, Unsent(503), GET, &after_503, way(SiteFailover)),
        ("503, backup down, stale only when unreachable", Backup, Unsent(503), GET, &none_after_503, Error(503)),
        // the alternate site and the redirect
        ("slow, no backup", Servers, Unanswered(504), GET, &no_backup, way(SiteFailover)),
        ("502 is not listed", Servers, Unanswered(502), GET, &no_backup, way(Way::Stale)),
        ("500, PUT: an alternate is for plain requests", Servers, Status(500), PUT, &no_stale, Deliver),
        ("503, POST: a redirect is for all", Servers, Status(503), POST, &redirect, way(SiteFailover)),
        ("refused, redirect", Servers, Unsent(503), GET, &redirect, way(SiteFailover)),
        ("dead alternate, stale copy", SiteFailover, Unsent(503), GET, &no_backup, way(Way::Stale)),
        ("dead alternate after a 503", SiteFailover, Unsent(503), GET, &after_503, way(Way::Stale)),
        // stale
        ("refused, stale copy", Servers, Unsent(503), GET, &stale, way(Way::Stale)),
        ("slow POST has none", Servers, Unanswered(504), POST, &bare, Error(504)),
        ("500, stale only when unreachable", Servers, Status(500), GET, &stale, Deliver),
        ("404 is no error of the server", Servers, Status(404), GET, &Ready { backup: None, ..all(DEFAULT) }, Deliver),
        // the order
        ("stale before all", Servers, Unsent(503), GET, &all(STALE_FIRST), way(Way::Stale)),
        ("stale before all, 404", Servers, Status(404), GET, &all(STALE_FIRST), way(Backup)),
        (
            "stale before the site failover",
            Backup,
            Unsent(503),
            GET,
            &Ready { backup: None, ..all(LITERAL) },
            way(Way::Stale),
        ),
        ("servers alone", Servers, Unsent(503), GET, &all(&[Servers]), Error(503)),
        ("servers alone, 503", Servers, Status(503), GET, &all(&[Servers]), Deliver),
        // parents
        ("another parent", Parents, Unsent(503), GET, &more, Again),
        ("the last parent refuses", Parents, Unsent(503), POST, &all(DEFAULT), way(Servers)),
        ("the last parent is slow", Parents, Unanswered(504), GET, &all(DEFAULT), way(Servers)),
        ("the last parent is slow, POST", Parents, Unanswered(504), POST, &bare, Error(504)),
        ("a parent's answer is the origin's", Parents, Status(404), GET, &all(DEFAULT), way(Backup)),
    ];
    for (name, at, failed, repeat, ready, want) in table {
        assert_eq!(next(*at, *failed, *repeat, ready), *want, "{name}");
    }
}

#[test]
fn no_way_leads_back() {
    let kinds = [Unsent(503), Unanswered(504), Status(500), Status(404)];
    let requests = [GET, PUT, LONG_PUT, POST];
    for order in [DEFAULT, STALE_FIRST, LITERAL, &[Way::Servers, Way::Stale]] {
        for at in [Way::Parents, Way::Servers, Way::Backup, Way::SiteFailover] {
            for (failed, repeat) in kinds.iter().flat_map(|kind| requests.map(|request| (*kind, request))) {
                let Next::Way(to) = next(at, failed, repeat, &all(order)) else { continue };
                let place =
                    |way| if way == Way::Parents { None } else { Some(order.iter().position(|one| *one == way)) };
                assert!(place(to) > place(at), "{order:?}: from {at:?} to {to:?} after {failed:?}");
            }
        }
    }
}
