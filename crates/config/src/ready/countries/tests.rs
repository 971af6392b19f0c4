//! Who may fetch what.

use super::*;

fn filter(allow: bool, countries: &[&str]) -> Option<CountryFilter> {
    let mut countries: Vec<Code> = countries.iter().map(|code| Code::new(code).unwrap()).collect();
    countries.sort_unstable();
    Some(CountryFilter { allow, countries: countries.into() })
}

/// `/members` for Japan and the United States, `/members/tokyo` not for the United States, one file for nobody but Germany.
fn filters(nested: Nested) -> CountryFilters {
    let mut root = Directory::default();
    root.at("/members").filter = filter(true, &["JP", "US"]);
    root.at("/members/tokyo").filter = filter(false, &["US", "EU"]);
    root.at("/report.pdf").filter = filter(true, &["DE"]);
    root.at("/a b/@home").filter = filter(false, &["US"]);
    CountryFilters { nested, above: None, root }
}

#[test]
fn a_filter_covers_whole_segments_and_everything_below() {
    // path, country, refused when filters add up, refused when the nearest decides
    let table = [
        ("/members", "FR", true, true),
        ("/members/", "FR", true, true),
        ("/members/x/y.jpg", "FR", true, true),
        ("/members/x", "JP", false, false),
        ("/members/x", "", true, true),
        ("/members2/x", "FR", false, false),
        ("/member", "FR", false, false),
        ("/Members/x", "FR", false, false),
        ("/x/members/y", "FR", false, false),
        ("/", "FR", false, false),
        // nested
        ("/members/tokyo/a", "JP", false, false),
        ("/members/tokyo/a", "US", true, true),
        ("/members/tokyo/a", "FR", true, false),
        ("/members/tokyo/a", "EU", true, true),
        ("/members/tokyo/a", "", true, false),
        ("/members/tokyo2/a", "FR", true, true),
        // a single file
        ("/report.pdf", "DE", false, false),
        ("/report.pdf", "FR", true, true),
        ("/report.pdf.txt", "FR", false, false),
        ("/other.pdf", "FR", false, false),
        // ways around
        ("//members//x", "FR", true, true),
        ("/members;v=1/x", "FR", true, true),
        ("/members%2Fx", "FR", true, true),
        ("/open%2Fmembers/x", "FR", false, false),
        ("/members%5Cx", "FR", true, true),
        ("/m%65mbers/x", "FR", true, true),
        ("/a%20b/%40home/x", "US", true, true),
        ("/a%20b/@home/x", "US", true, true),
        ("/a%20b%2F@home/x", "US", true, true),
        ("/a%20b/@home/x", "", false, false),
    ];
    for (path, country, cumulative, nearest) in table {
        let place = Code::new(country).map(Place::of_country);
        for (nested, expected) in [(Nested::Cumulative, cumulative), (Nested::MostSpecific, nearest)] {
            let got = filters(nested).refuse("", path, place.as_ref());
            assert_eq!(got, expected, "{path} {country:?} {nested:?}");
        }
    }
}

#[test]
fn the_prefix_of_a_site_counts_as_what_stands_before_the_path() {
    let filters = filters(Nested::Cumulative);
    let france = Code::new("FR").map(Place::of_country);
    for (prefix, path, expected) in [
        ("/members", "/x", true),
        ("/members", "/", true),
        ("", "/x", false),
        ("/members/tokyo", "/x", true),
        ("/report.pdf", "/", true),
        ("/other", "/members", false),
    ] {
        assert_eq!(filters.refuse(prefix, path, france.as_ref()), expected, "{prefix} {path}");
    }
}

#[test]
fn a_filter_of_the_whole_platform_is_above_all_others() {
    let mut filters = filters(Nested::Cumulative);
    filters.above = filter(false, &["JP"]);
    let japan = Code::new("JP").map(Place::of_country);
    for (path, cumulative, nearest) in
        [("/members/x", true, false), ("/open", true, true), ("/members/tokyo/x", true, false)]
    {
        for (nested, expected) in [(Nested::Cumulative, cumulative), (Nested::MostSpecific, nearest)] {
            filters.nested = nested;
            assert_eq!(filters.refuse("", path, japan.as_ref()), expected, "{path} {nested:?}");
        }
    }
}
