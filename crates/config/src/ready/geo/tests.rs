//! Databases made here, and places read from them.

use serde_json::json;

use super::*;

#[allow(dead_code, unreachable_pub, reason = "a file of the black-box tests")]
#[path = "../../../../../tests/src/mmdb.rs"]
mod mmdb;

/// A place as the table writes it: continent, country, region, market area; `-` is unknown.
fn shown(place: Option<Place>) -> String {
    let Some(place) = place else { return "nowhere".to_owned() };
    let code = |code: Option<Code>| code.map_or_else(|| "-".to_owned(), |code| code.as_str().to_owned());
    let dma = place.dma.map_or_else(|| "-".to_owned(), |dma| dma.to_string());
    [code(place.continent), code(place.country), code(place.region), dma].join(" ")
}

#[test]
fn a_place_is_read_from_every_layout() {
    let records = [
        // MaxMind: city, country, registered country only, continent only
        (
            "198.51.100.0/24",
            json!({ "city": { "names": { "en": "Seattle" } }, "continent": { "code": "NA" }, "country": { "iso_code": "US", "geoname_id": 1 },
                    "registered_country": { "iso_code": "CA" }, "subdivisions": [{ "iso_code": "WA" }, { "iso_code": "X" }], "location": { "metro_code": 819 } }),
        ),
        ("203.0.113.0/24", json!({ "continent": { "code": "AS" }, "country": { "iso_code": "JP" } })),
        ("203.0.113.128/25", json!({ "registered_country": { "iso_code": "KR" } })),
        ("192.0.2.0/28", json!({ "continent": { "code": "EU" } })),
        ("192.0.2.16/28", json!({ "continent": { "code": "OC" } })),
        ("192.0.2.32/28", json!({ "continent": { "code": "AF" } })),
        // flat ones
        ("10.0.0.0/8", json!({ "country_code": "de" })),
        ("10.1.0.0/16", json!({ "country": "GB", "continent": "EU" })),
        ("10.2.0.0/16", json!({ "country_code": "", "city": "nowhere" })),
        ("10.3.0.0/16", json!({ "country_code": "ZZZZ" })),
        ("2001:db8::/32", json!({ "country_code": "BR" })),
    ];
    let database = Database::new(mmdb::database("Test", &records)).unwrap();
    for (address, expected) in [
        ("198.51.100.7", "NA US WA 819"),
        ("203.0.113.127", "AS JP - -"),
        ("203.0.113.128", "AS KR - -"),
        ("192.0.2.1", "EU EU - -"),
        ("192.0.2.17", "OC AP - -"),
        ("192.0.2.33", "AF - - -"),
        ("192.0.2.64", "nowhere"),
        ("10.9.9.9", "EU DE - -"),
        ("10.1.2.3", "EU GB - -"),
        ("10.2.0.1", "nowhere"),
        ("10.3.0.1", "nowhere"),
        ("::ffff:10.9.9.9", "EU DE - -"),
        ("2001:db8::1", "SA BR - -"),
        ("2001:db9::1", "nowhere"),
    ] {
        assert_eq!(shown(database.place(address.parse().unwrap())), expected, "{address}");
    }
}

#[test]
fn what_is_no_database_of_countries_is_refused() {
    let good = mmdb::database("Test", &[("10.0.0.0/8", json!({ "country_code": "DE" }))]);
    assert!(Database::new(good.clone()).is_ok());
    let of_networks = mmdb::database("Test", &[("10.0.0.0/8", json!({ "autonomous_system_number": 64500 }))]);
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("text", b"country: JP\n".to_vec()),
        ("zeroes", vec![0; 4096]),
        ("cut short", good[..good.len() - 40].to_vec()),
        ("without its beginning", good[good.len() / 2..].to_vec()),
        ("no countries", of_networks),
        ("no records", mmdb::database("Test", &[])),
    ] {
        let refused = Database::new(bytes);
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
}
