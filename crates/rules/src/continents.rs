//! Which countries there are, and on which continent each is: for databases that know countries only.

/// ISO 3166-1 with the user-assigned `XK`, by continent as GeoNames has them. `EU` and `AP` stand for addresses that belong to a
/// region and to no country of it.
const CONTINENTS: [(&str, &str); 7] = [
    (
        "AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    ("AN", "AQ BV GS HM TF"),
    (
        "AS",
        "AE AF AM AP AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    ),
    (
        "EU",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES EU FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        "NA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI",
    ),
    ("OC", "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"),
    ("SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// The continent of a country. `AP` is Asia and the Pacific: no continent.
pub(crate) fn of(country: &str) -> Option<&'static str> {
    let found = CONTINENTS.iter().find(|(_, countries)| countries.split(' ').any(|one| one == country));
    found.filter(|_| country != "AP").map(|(continent, _)| *continent)
}

/// Whether a code of two upper-case letters is that of a country, or `EU` or `AP`.
#[must_use]
pub fn is_country(code: &str) -> bool {
    CONTINENTS.iter().any(|(_, countries)| countries.split(' ').any(|one| one == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_there_once() {
        let mut all: Vec<&str> = CONTINENTS.iter().flat_map(|(_, countries)| countries.split(' ')).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        // 249 of ISO 3166-1, XK, EU and AP
        assert_eq!((all.len(), count), (252, 252));
        for (country, continent) in
            [("JP", Some("AS")), ("GB", Some("EU")), ("NA", Some("AF")), ("EU", Some("EU")), ("AP", None), ("UK", None)]
        {
            assert_eq!(of(country), continent, "{country}");
        }
        assert!(is_country("US") && is_country("AP") && !is_country("UK") && !is_country("us"));
    }
}
