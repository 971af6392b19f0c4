//! `geo` and `country_filters`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use leeward_rules::{Code, Path, is_country};

use crate::gather::{self, Found, Gathered};
use crate::read::suggestion;
use crate::ready::{CountryFilter, CountryFilters, Database, Directory, MAX_DATABASE, Platform};
use crate::report::{At, Report};
use crate::written::{self, FilterAction};

/// Country filters.
const MAX_FILTERS: usize = 10_000;

/// The database, if one is named and can be used.
pub(super) fn database(report: &Report, at: &At, written: &written::Geo) -> Option<Database> {
    let at = at.key("database");
    let path = report.resolve(at.file, written.database.as_ref()?);
    let read =
        gather::bytes(&path, MAX_DATABASE).map_err(|reason| format!("cannot read `{}`: {reason}", path.display()));
    let database = read.and_then(|bytes| {
        let refused = |reason| format!("`{}` is no database of countries in MMDB format: {reason}", path.display());
        Database::new(bytes).map_err(refused)
    });
    database.map_err(|message| report.error(&at, message)).ok()
}

/// The country filters of every directory that has some.
pub(super) struct Filters {
    /// Those of `/`, by platform.
    everywhere: HashMap<Platform, CountryFilter>,
    by_directory: HashMap<(Platform, String), Arc<CountryFilters>>,
    nested: crate::ready::Nested,
}

impl Filters {
    /// What an origin's clients must pass.
    pub(super) fn of(&self, platform: Platform, directory: &str) -> Option<Arc<CountryFilters>> {
        if let Some(own) = self.by_directory.get(&(platform, directory.to_owned())) {
            return Some(Arc::clone(own));
        }
        let filter = self.everywhere.get(&platform)?.clone();
        Some(Arc::new(CountryFilters { nested: self.nested, above: Some(filter), root: Directory::default() }))
    }
}

pub(super) fn filters(report: &Report, gathered: &Gathered) -> Filters {
    let nested = gathered.main.geo.nested_filters;
    let mut filters = Filters { everywhere: HashMap::new(), by_directory: HashMap::new(), nested };
    let mut trees: HashMap<(Platform, String), Directory> = HashMap::new();
    let mut first: HashMap<(Platform, String), &At> = HashMap::new();
    let known: Vec<(Platform, &str)> = gathered
        .origins
        .iter()
        .filter_map(|found| Some((found.value.platform, found.value.directory.as_deref()?)))
        .collect();
    if let Some(found) = gathered.country_filters.get(MAX_FILTERS) {
        report.error(
            &found.at,
            format!("{} country filters are more than {MAX_FILTERS}", gathered.country_filters.len()),
        );
        return filters;
    }
    if let Some(found) = gathered.country_filters.first()
        && gathered.main.geo.database.is_none()
        && !report.any_wrong(&gathered.root.key("geo"))
    {
        report.error(&found.at, NO_DATABASE).hint(DATABASE);
    }
    for Found { at, value } in &gathered.country_filters {
        let filter = filter(report, at, value);
        let Some(path) = value.path.as_deref().and_then(|path| place(report, &at.key("path"), path)) else { continue };
        let platform = value.platform;
        if let Some(other) = first.get(&(platform, path.clone())) {
            report
                .error(&at.key("path"), format!("`{path}` on `{}` has a country filter already", platform.name()))
                .hint(format!("the first one is at {}", report.mention(&other.key("path"))));
            continue;
        }
        let (directory, below) = split(&path);
        if !directory.is_empty() && !known.contains(&(platform, directory)) && !known.is_empty() {
            no_directory(report, &at.key("path"), directory, platform, &known);
        }
        if let Some(filter) = filter {
            if directory.is_empty() {
                filters.everywhere.insert(platform, filter);
            } else {
                trees.entry((platform, directory.to_owned())).or_default().at(below).filter = Some(filter);
            }
        }
        first.insert((platform, path), at);
    }
    for ((platform, directory), root) in trees {
        let above = filters.everywhere.get(&platform).cloned();
        filters.by_directory.insert((platform, directory), Arc::new(CountryFilters { nested, above, root }));
    }
    filters
}

/// What who asks for places without a database is told.
pub(super) const NO_DATABASE: &str = "there is no database that says where clients are";
pub(super) const DATABASE: &str = "`geo: { database: /usr/share/leeward/country.mmdb }`";

/// The directory of a path, and what is below it.
fn split(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let directory = rest.split('/').next().unwrap_or("");
    (directory, rest.get(directory.len()..).unwrap_or(""))
}

fn no_directory(report: &Report, at: &At, directory: &str, platform: Platform, known: &[(Platform, &str)]) {
    let elsewhere = known.iter().find(|(_, other)| *other == directory);
    let here: Vec<&str> =
        known.iter().filter(|(other, _)| *other == platform).map(|(_, name)| *name).take(20).collect();
    let hint = match elsewhere {
        Some((other, _)) => format!("there is one on `{}`: `platform: {}`", other.name(), other.name()),
        None => suggestion(directory, &here),
    };
    report.error(at, format!("there is no origin `{directory}` on `{}`", platform.name())).hint(hint);
}

/// A path as requests have it, without the slash at its end.
fn place(report: &Report, at: &At, path: &str) -> Option<String> {
    if path.contains('*') {
        report
            .error(at, format!("`{path}` has a `*`: a country filter covers everything below its path"))
            .hint("leave out the `*`");
        return None;
    }
    match Path::normalise(path) {
        Ok(normal) => Some(format!("/{}", normal.as_str().trim_matches('/'))),
        Err(error) => {
            let added = report.error(at, format!("`{path}` is not a path: {error}"));
            if !path.starts_with('/') && !path.contains("://") {
                added.hint(format!("`/{path}`"));
            }
            None
        }
    }
}

fn filter(report: &Report, at: &At, written: &written::CountryFilter) -> Option<CountryFilter> {
    if written.path.is_none() {
        report.missing(at, "path").hint("a directory of an origin or below: `path: /photos/members`");
    }
    if written.action.is_none() {
        report.missing(at, "action").hint("`allow`: only these countries, or `block`: not these");
    }
    let list_at = at.key("countries");
    let Some(list) = &written.countries else {
        report.missing(at, "countries").hint("`countries: [JP, US]`");
        return None;
    };
    if list.is_empty() && !report.any_wrong(&list_at) {
        report.error(&list_at, "`countries` is empty").hint("ISO 3166 codes: `countries: [JP, US]`");
    }
    let mut countries = BTreeSet::new();
    for (i, text) in list.iter().enumerate() {
        let at = list_at.index(i);
        let code = Code::new(text).filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()));
        match code {
            None => {
                report
                    .error(&at, format!("`{text}` is not the code of a country"))
                    .hint("two upper-case letters (ISO 3166), such as JP");
            }
            Some(code) => {
                if !is_country(text) {
                    let added = report.warning(&at, format!("no country has the code `{text}`"));
                    if text == "UK" {
                        added.hint("the United Kingdom is GB");
                    }
                }
                if !countries.insert(code) {
                    report.warning(&at, format!("`{text}` is listed twice"));
                }
            }
        }
    }
    let allow = written.action? == FilterAction::Allow;
    Some(CountryFilter { allow, countries: countries.into_iter().collect() })
}
