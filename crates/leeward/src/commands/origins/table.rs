//! What the edge says of its origins, one line per address.

use serde_json::Value;

const HEADINGS: [&str; 7] = ["ORIGIN", "SERVER", "ADDRESS", "STATE", "FAILURES", "LAST ERROR", "NEXT TRIAL"];

type Row = [String; HEADINGS.len()];

/// The answer of `GET /v1/origins` for people.
pub(super) fn of(state: &Value) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for origin in list(state, "origins") {
        let name = match text(origin, "platform").as_str() {
            "http_large" => text(origin, "name"),
            platform => format!("{} ({platform})", text(origin, "name")),
        };
        let tier = &origin["tier"];
        for member in list(tier, "members") {
            let name = format!("{name}: {}", in_tier(tier, member));
            rows.extend(list(member, "servers").flat_map(|server| of_server(&name, server)));
        }
        rows.extend(list(origin, "servers").flat_map(|server| of_server(&name, server)));
        let name = format!("{name}: backup");
        rows.extend(list(origin, "backup").flat_map(|server| of_server(&name, server)));
    }
    aligned(&rows)
}

/// `shield europe`, or `gateway 1` for the one that is asked first.
fn in_tier(tier: &Value, member: &Value) -> String {
    match (text(tier, "kind").as_str(), member["rank"].as_u64()) {
        ("gateways", Some(rank)) => format!("gateway {rank}"),
        ("gateways", None) => "gateway".to_owned(),
        (kind, _) => format!("{kind} {}", text(member, "name")),
    }
}

fn of_server(origin: &str, server: &Value) -> Vec<Row> {
    let name = text(server, "server");
    let rows: Vec<Row> = list(server, "addresses").map(|address| of_address(origin, &name, address)).collect();
    if !rows.is_empty() {
        return rows;
    }
    let error = text(server, "error");
    let state = if error.is_empty() { "resolving" } else { "no address" };
    let none = String::new;
    vec![[origin.to_owned(), name, none(), state.to_owned(), none(), error, none()]]
}

fn of_address(origin: &str, server: &str, address: &Value) -> Row {
    let failures = match address.get("failures").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(failures) => failures.to_string(),
    };
    let last = address.get("last_error").filter(|last| !last.is_null());
    let last = last.map(|last| format!("{} {}", text(last, "reason"), text(last, "at"))).unwrap_or_default();
    let left = address.pointer("/next_trial/seconds").and_then(Value::as_f64);
    let next = left.map(|left| format!("in {left:.1} s")).unwrap_or_default();
    [origin.to_owned(), server.to_owned(), text(address, "address"), text(address, "state"), failures, last, next]
}

fn list<'v>(of: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Columns as wide as their longest entry.
fn aligned(rows: &[Row]) -> String {
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let line = |row: &Row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_address_has_a_line_and_every_server_without_one_too() {
        let address = |address: &str, state: &str, failures: u32| json!({ "address": address, "state": state, "failures": failures });
        let mut down = address("192.0.2.2:80", "excluded", 2);
        down["last_error"] = json!({ "reason": "connect_refused", "at": "2026-01-31T12:00:00.000Z" });
        down["next_trial"] = json!({ "at": "2026-01-31T12:00:04.200Z", "seconds": 4.2 });
        let server =
            |name: &str, addresses: Vec<Value>| json!({ "server": name, "addresses": addresses, "error": null });
        let mut nowhere = server("https://b.example:443", Vec::new());
        nowhere["error"] = json!("b.example: no such name");
        let state = json!({ "generation": 1, "origins": [
            {
                "name": "photos", "platform": "http_large",
                "servers": [server("http://a.example:80", vec![address("192.0.2.1:80", "available", 0), down])],
                "backup": [nowhere],
            },
            {
                "name": "api", "platform": "adn", "servers": [server("http://c.example:80", Vec::new())], "backup": null,
                "tier": { "kind": "gateways", "members": [
                    { "name": "http://192.0.2.7:80", "rank": 2, "servers": [server("http://192.0.2.7:80", vec![address("192.0.2.7:80", "available", 0)])] },
                    { "name": "http://192.0.2.8:80", "rank": null, "servers": [server("http://192.0.2.8:80", Vec::new())] },
                ]},
            },
            {
                "name": "shop", "platform": "http_large", "servers": [], "backup": null,
                "tier": { "kind": "shield", "members": [
                    { "name": "europe", "rank": 1, "servers": [server("http://192.0.2.9:80", Vec::new())] },
                ]},
            },
        ]});
        let want = "\
ORIGIN                SERVER                 ADDRESS       STATE       FAILURES  LAST ERROR                                NEXT TRIAL
photos                http://a.example:80    192.0.2.1:80  available
photos                http://a.example:80    192.0.2.2:80  excluded    2         connect_refused 2026-01-31T12:00:00.000Z  in 4.2 s
photos: backup        https://b.example:443                no address            b.example: no such name
api (adn): gateway 2  http://192.0.2.7:80    192.0.2.7:80  available
api (adn): gateway    http://192.0.2.8:80                  resolving
api (adn)             http://c.example:80                  resolving
shop: shield europe   http://192.0.2.9:80                  resolving";
        assert_eq!(of(&state), want);
    }
}
