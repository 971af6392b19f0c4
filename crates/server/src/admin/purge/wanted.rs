//! What a request to purge says.

use leeward_telemetry::PurgeKind;
use serde::Deserialize;

/// Things named in one request.
pub(super) const ENTRIES: usize = 1000;

/// The body of `POST /v1/purge`. Each list may be one text, under its name in the singular or in the plural.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    #[serde(alias = "url")]
    urls: Texts,
    #[serde(alias = "prefix")]
    prefixes: Texts,
    #[serde(alias = "host")]
    hosts: Texts,
    #[serde(alias = "tag")]
    tags: Texts,
    all: bool,
    /// Stale instead of gone.
    pub(super) soft: bool,
    /// Hosts that no site has are taken as they are.
    pub(super) force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Texts {
    fn list(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl Wanted {
    /// Reads the body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        if !body.trim_ascii_start().starts_with(b"{") {
            // a list would be read as the fields in their order
            return Err(
                "the body: a JSON object is wanted, such as {\"url\": \"https://www.example.com/a\"}".to_owned()
            );
        }
        let wanted: Self = serde_json::from_slice(body).map_err(|error| format!("the body: {error}"))?;
        match wanted.entries().count() {
            0 => Err("nothing to purge: name urls, prefixes, hosts or tags, or say \"all\": true".to_owned()),
            count if count > ENTRIES => Err(format!("{count} things to purge, and at most {ENTRIES} in one request")),
            _ => Ok(wanted),
        }
    }

    /// Everything that is named.
    pub(super) fn entries(&self) -> impl Iterator<Item = (PurgeKind, &str)> {
        let lists = [
            (PurgeKind::Url, self.urls.list()),
            (PurgeKind::Prefix, self.prefixes.list()),
            (PurgeKind::Host, self.hosts.list()),
            (PurgeKind::Tag, self.tags.list()),
        ];
        let named = lists.into_iter().flat_map(|(kind, list)| list.iter().map(move |text| (kind, text.as_str())));
        named.chain(self.all.then_some((PurgeKind::All, "everything")))
    }
}
