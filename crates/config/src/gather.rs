//! The main file and the files it includes, as written types with their places.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::place::Place;
use crate::read::{read, unknown_key};
use crate::report::{At, FileId, Report};
use crate::tree::{self, Form};
use crate::unsupported;
use crate::written::{Configuration, CountryFilter, Origin, RateLimit, Site};

/// Bytes of a configuration file.
pub const MAX_FILE: u64 = 16 << 20;
/// Files that the include patterns may name together.
pub const MAX_INCLUDES: usize = 1_000;

/// Sections that any file may hold: they are lists, and lists add up.
const LISTS: [&str; 4] = ["origins", "sites", "country_filters", "rate_limits"];

/// A written value and where it stands.
pub(crate) struct Found<T> {
    pub(crate) at: At,
    pub(crate) value: T,
}

/// Everything that the files say.
pub(crate) struct Gathered {
    /// The main file.
    pub(crate) root: At,
    /// Its sections, without the lists.
    pub(crate) main: Configuration,
    pub(crate) origins: Vec<Found<Origin>>,
    pub(crate) sites: Vec<Found<Site>>,
    pub(crate) country_filters: Vec<Found<CountryFilter>>,
    pub(crate) rate_limits: Vec<Found<RateLimit>>,
}

/// Reads the main file and what it includes. None: the main file cannot be read as a mapping at all.
pub(crate) fn gather(report: &Report, path: &Path) -> Option<Gathered> {
    let (root, mut sections) = mapping(report, path, None)?;
    let lists = take_lists(&mut sections);
    let main: Configuration = read(report, &root, Value::Object(sections)).unwrap_or_default();
    let mut gathered = Gathered {
        root: root.clone(),
        main,
        origins: Vec::new(),
        sites: Vec::new(),
        country_filters: Vec::new(),
        rate_limits: Vec::new(),
    };
    gathered.add(report, &root, lists);
    for (i, path) in includes(report, &root, &gathered.main.include) {
        let named = root.key("include").index(i);
        let Some((at, mut sections)) = mapping(report, &path, Some(&named)) else {
            continue;
        };
        let lists = take_lists(&mut sections);
        for key in sections.keys() {
            match key.as_str() {
                "include" => report
                    .error_at_key(&at.key(key), "an included file cannot include")
                    .hint("name the file in the main file"),
                key if is_section(key) => report
                    .error_at_key(&at.key(key), format!("`{key}` belongs in the main file"))
                    .hint(format!("an included file holds {}", LISTS.join(", "))),
                key => unknown_key(report, &at.key(key), key, &LISTS),
            }
        }
        gathered.add(report, &at, lists);
    }
    for section in ["origins", "sites"] {
        let empty = match section {
            // CDN URLs need no site
            "sites" => gathered.sites.is_empty() && gathered.main.cdn_hosts.is_empty(),
            _ => gathered.origins.is_empty(),
        };
        if empty && !report.any_wrong(&root.key(section)) {
            let added = report.missing(&root, section);
            if section == "origins"
                && let Some(hint) = named_by_sites(&gathered.sites)
            {
                added.hint(hint);
            }
        }
    }
    Some(gathered)
}

/// Sites that name an origin, for a message: more are only counted.
const SHOWN_SITES: usize = 3;

/// Which sites would be without their origin.
fn named_by_sites(sites: &[Found<Site>]) -> Option<String> {
    let named: Vec<String> = sites
        .iter()
        .filter_map(|site| {
            let (host, origin) = (site.value.host.as_ref()?, site.value.origin.as_ref()?);
            Some(format!("`{host}` names the origin `{origin}`"))
        })
        .collect();
    let shown = named.iter().take(SHOWN_SITES).cloned().collect::<Vec<_>>().join(", ");
    match named.len().checked_sub(SHOWN_SITES) {
        _ if named.is_empty() => None,
        Some(more @ 1..) => Some(format!("the site {shown}, and {more} more sites name theirs")),
        _ => Some(format!("the site {shown}")),
    }
}

fn is_section(key: &str) -> bool {
    serde_json::to_value(Configuration::default()).is_ok_and(|all| all.get(key).is_some())
}

fn take_lists(sections: &mut Map<String, Value>) -> Vec<(&'static str, Value)> {
    LISTS.into_iter().filter_map(|key| sections.shift_remove(key).map(|value| (key, value))).collect()
}

impl Gathered {
    fn add(&mut self, report: &Report, root: &At, lists: Vec<(&'static str, Value)>) {
        for (section, value) in lists {
            let at = root.key(section);
            let list = match value {
                Value::Array(list) => list,
                Value::Null => continue,
                other => {
                    report.error(&at, format!("`{section}` must be a list, not {}", crate::read::kind(&other)));
                    report.prune(&at);
                    continue;
                }
            };
            match section {
                "origins" => elements(report, &at, list, &mut self.origins),
                "sites" => elements(report, &at, list, &mut self.sites),
                "country_filters" => elements(report, &at, list, &mut self.country_filters),
                "rate_limits" => elements(report, &at, list, &mut self.rate_limits),
                _ => {}
            }
        }
    }
}

/// Reads each element by itself.
fn elements<T: DeserializeOwned>(report: &Report, at: &At, list: Vec<Value>, out: &mut Vec<Found<T>>) {
    // What cannot be read at all is pruned: the index is that in the list without it.
    let mut index = 0;
    for value in list {
        let at = at.index(index);
        if report.is_full() {
            return;
        }
        if let Some(value) = read(report, &at, value) {
            index += 1;
            out.push(Found { at, value });
        }
    }
}

/// A file that must hold a mapping.
fn mapping(report: &Report, path: &Path, named: Option<&At>) -> Option<(At, Map<String, Value>)> {
    let (file, value) = document(report, path, named, MAX_FILE)?;
    let at = report.root(file);
    match value {
        Value::Object(map) => {
            unsupported::keys(report, &at, &map);
            Some((at, map))
        }
        Value::Null => Some((at, Map::new())),
        other => {
            report.error(
                &at,
                format!("a configuration must be a mapping of sections, not {}", crate::read::kind(&other)),
            );
            None
        }
    }
}

/// Reads and parses a file. A file that cannot be opened is reported where it is named, the main one at its own beginning.
pub(crate) fn document(report: &Report, path: &Path, named: Option<&At>, limit: u64) -> Option<(FileId, Value)> {
    let bytes = match bytes(path, limit) {
        Ok(bytes) => bytes,
        Err(reason) => {
            match named {
                Some(at) => report.error(at, format!("cannot read `{}`: {reason}", path.display())),
                None => report.unreadable(path, &reason),
            };
            return None;
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text),
        Err(error) => {
            let bad = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let before = text.get(..bad).unwrap_or_default();
            let place = Place {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
            };
            let file = report.file(path, text);
            let wide = [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| error.as_bytes().starts_with(mark));
            let found = if wide { "this is UTF-16 text, not UTF-8" } else { "this is not UTF-8 text" };
            report.broken(file, place, found).hint("save the file as UTF-8");
            return None;
        }
    };
    let parsed = tree::parse(&text, Form::of(path));
    let file = report.file(path, text);
    match parsed {
        Ok(tree) => {
            for path in tree.duplicates {
                report.duplicate_key(&At { file, path });
            }
            Some((file, tree.value))
        }
        Err(broken) => {
            let place = Place { line: broken.line.max(1), column: broken.column.max(1) };
            let added = report.broken(
                file,
                place,
                format!(
                    "this is not valid {}: {}",
                    if Form::of(path) == Form::Json { "JSON" } else { "YAML" },
                    broken.message
                ),
            );
            if let Some(hint) = broken.hint {
                added.hint(hint);
            }
            None
        }
    }
}

/// A file's bytes, if there are not too many. The reason is for the end of a sentence.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| plain(&error))?;
    let about = file.metadata().map_err(|error| plain(&error))?;
    if about.is_dir() {
        return Err("it is a directory".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| plain(&error))?;
    if bytes.len() as u64 > limit {
        return Err(format!("it is larger than {}", crate::written::Size(limit)));
    }
    Ok(bytes)
}

/// An I/O error without the number that only programmers know.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The files that the patterns name, each with the number of its pattern: by pattern, then by name, each file once.
fn includes(report: &Report, root: &At, patterns: &[String]) -> Vec<(usize, PathBuf)> {
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    let main = report.path(root.file);
    for (i, pattern) in patterns.iter().enumerate() {
        let at = root.key("include").index(i);
        let path = report.resolve(root.file, pattern);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            report.error(&at, format!("`{pattern}` names no file"));
            continue;
        };
        if folder.to_string_lossy().contains('*') {
            report.error(&at, "`*` stands for a part of a file name, not of a folder");
            continue;
        }
        if !name.contains('*') {
            if is_same(&path, &main) {
                report.error(&at, format!("`{pattern}` is this file itself"));
                continue;
            }
            found.push((i, path));
            continue;
        }
        match matching(folder, name) {
            Ok(paths) if paths.is_empty() => {
                report.warning(&at, format!("`{pattern}` names no file"));
            }
            Ok(paths) => found.extend(paths.into_iter().filter(|path| !is_same(path, &main)).map(|path| (i, path))),
            Err(error) => {
                report.error(&at, format!("cannot look into `{}`: {}", folder.display(), plain(&error)));
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|(_, path)| seen.insert(path.clone()));
    if found.len() > MAX_INCLUDES {
        report.error(&root.key("include"), format!("{} files are included, more than {MAX_INCLUDES}", found.len()));
        found.truncate(MAX_INCLUDES);
    }
    found
}

/// The files that a value names, sorted: one, or those whose names fit its `*`.
///
/// # Errors
/// What is wrong with the name, as a sentence.
pub(crate) fn named(report: &Report, at: &At, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let path = report.resolve(at.file, pattern);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(format!("`{pattern}` names no file"));
    };
    if folder.to_string_lossy().contains('*') {
        return Err("`*` stands for a part of a file name, not of a folder".to_owned());
    }
    if !name.contains('*') {
        return match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => Ok(vec![path]),
            Ok(_) => Err(format!("`{pattern}` is not a file")),
            Err(error) => Err(format!("cannot read `{pattern}`: {}", plain(&error))),
        };
    }
    matching(folder, name).map_err(|error| format!("cannot look into `{}`: {}", folder.display(), plain(&error)))
}

/// Whether both name the same file. A pattern beside the main file may fit its name, too.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The files in a folder whose names match, sorted. Names that begin with a dot match only patterns that do.
fn matching(folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with('.') == pattern.starts_with('.') && matches(pattern, name) && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_in_a_file_name_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
