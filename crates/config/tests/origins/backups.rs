//! `origins.*.backup`.

use leeward_config::ready::{Backup, IpVersion};

use super::{servers, snapshot, with};

fn backup(keys: &str) -> Backup {
    snapshot(&with(&format!("backup: {{ server: \"https://backup.example.net\", {keys} }}"))).origins[0]
        .backup
        .clone()
        .unwrap()
}

#[test]
fn a_backup_is_asked_for_what_is_listed_and_not_excluded() {
    for (keys, statuses, unanswered) in [
        ("", "400:599", true),
        ("exclude: [\"403\", \"40x\"]", "410:599", true),
        ("exclude: [\"4*\"]", "500:599", true),
        ("exclude: [\"4**\", \"50X\"]", "510:599", true),
        ("on: [\"5xx\"]", "500:599", false),
        ("on: [timeout]", "", true),
        ("on: [\"503\", \"404\"]", "404 503", false),
        ("on: [\"502:504\", timeout], exclude: [\"503\"]", "502 504", true),
        ("on: [\"5xx\", timeout], exclude: [\"5*\"]", "", true),
    ] {
        let on = backup(keys).on;
        assert_eq!((on.statuses.to_string().as_str(), on.unanswered), (statuses, unanswered), "{keys}");
    }
}

#[test]
fn a_backup_is_one_server_for_both_schemes_with_its_own_host_and_tls_and_the_origins_patience() {
    let keys = "host_header: www.example.net
    ip_version: v4_only
    timeouts: { connect: 1s }
    unavailable: { first: 1s }
    tls: { sni: secure.example.net }
    websocket: true
    follow_redirects: true
    health_check: {}
    validation_path: http://www.example.net/probe.png
    backup: { server: \"http://backup.example.net:81\", exclude: [\"4*\"], tls: { sni: backup.example.net } }";
    let snapshot = snapshot(&with(keys));
    let origin = &snapshot.origins[0];
    let backup = &origin.backup.as_ref().unwrap().origin;
    assert_eq!(
        (servers(backup.http.as_ref()).as_str(), servers(backup.https.as_ref()).as_str()),
        ("http://backup.example.net:81", "http://backup.example.net:81")
    );
    assert_eq!((backup.name.as_str(), &backup.directory), ("photos", &None));
    assert_eq!((&backup.host_header, backup.tls.sni.as_deref()), (&None, Some("backup.example.net")));
    assert_eq!((&backup.timeouts, backup.unavailable), (&origin.timeouts, origin.unavailable));
    assert_eq!((backup.ip_version, backup.websocket, backup.follow_redirects), (IpVersion::V4Only, true, true));
    assert_eq!((&backup.backup, &backup.health_check, &backup.validation), (&None, &None, &None));
    assert_ne!(backup.group_key, origin.group_key);
}
