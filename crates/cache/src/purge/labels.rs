//! What a stored object can be named by in a purge.

use http::HeaderMap;

use super::name;

/// Different tags of one answer that are kept. An answer with more counts as having every tag: purging too much costs a fetch,
/// purging too little shows what was to be gone.
pub const MAX_TAGS: usize = 256;
/// Bytes of a tag. A longer one cannot be named in a purge, so it is not kept.
pub const MAX_TAG: usize = 1024;

const VERSION: u8 = 1;
const EVERY_TAG: u8 = 1;
/// Version, flags, and where the five texts end.
const FIXED: usize = 2 + TEXTS * size_of::<u32>();
const TEXTS: usize = 5;
const TAG: usize = size_of::<u128>();

/// What an object is called: by its key, and by the request that stored it.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Host component of the key.
    pub key_host: &'a str,
    /// The path of the key, as the origin is asked.
    pub key_path: &'a str,
    /// The host that the client asked, without a port, in lower case.
    pub client_host: &'a str,
    /// The path that the client asked, in its normal form.
    pub client_path: &'a str,
    /// The part of the query that is in the key.
    pub query: &'a [u8],
}

/// Everything that a purge can name an object by, in one allocation: the form that is on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels {
    bytes: Box<[u8]>,
}

impl Labels {
    /// From the names and the answer's fields: `Surrogate-Key` (separated by spaces) and `Cache-Tag` (by commas), case as sent.
    #[must_use]
    pub fn new(names: &Names<'_>, answer: &HeaderMap) -> Self {
        let (tags, every) = tags(answer);
        let texts = [
            names.key_host.as_bytes(),
            names.key_path.as_bytes(),
            names.client_host.as_bytes(),
            // most often the same, and there are many objects
            if names.client_path == names.key_path { b"" } else { names.client_path.as_bytes() },
            names.query,
        ];
        let length = FIXED + texts.iter().map(|text| text.len()).sum::<usize>() + tags.len() * TAG;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&[VERSION, if every { EVERY_TAG } else { 0 }]);
        let mut end = 0u32;
        for text in texts {
            end = end.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        for text in texts {
            bytes.extend_from_slice(text);
        }
        for tag in tags {
            bytes.extend_from_slice(&tag.to_le_bytes());
        }
        Self { bytes: bytes.into_boxed_slice() }
    }

    /// What goes to disk.
    #[must_use]
    pub fn encode(&self) -> &[u8] {
        &self.bytes
    }

    /// From disk; `None` for anything that [`encode`](Self::encode) does not give.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [VERSION, 0 | EVERY_TAG, ..] = bytes else { return None };
        let labels = Self { bytes: bytes.into() };
        let mut last = 0;
        for text in 0..TEXTS {
            let end = labels.end(text)?;
            if end < last {
                return None;
            }
            last = end;
        }
        let tags = bytes.len().checked_sub(FIXED.checked_add(last)?)?;
        (tags.is_multiple_of(TAG) && tags / TAG <= MAX_TAGS).then_some(labels)
    }

    pub(super) fn key_host(&self) -> &[u8] {
        self.text(0)
    }

    pub(super) fn key_path(&self) -> &[u8] {
        self.text(1)
    }

    pub(super) fn client_host(&self) -> &[u8] {
        self.text(2)
    }

    pub(super) fn client_path(&self) -> &[u8] {
        match self.text(3) {
            b"" => self.key_path(),
            other => other,
        }
    }

    pub(super) fn query(&self) -> &[u8] {
        self.text(4)
    }

    /// The names of its tags.
    pub(super) fn tags(&self) -> impl Iterator<Item = u128> {
        let start = FIXED + self.end(TEXTS - 1).unwrap_or(0);
        let (tags, _) = self.bytes.get(start..).unwrap_or_default().as_chunks::<TAG>();
        tags.iter().map(|tag| u128::from_le_bytes(*tag))
    }

    /// It had more tags than are kept.
    pub(super) fn every_tag(&self) -> bool {
        self.bytes.get(1).is_some_and(|flags| *flags & EVERY_TAG != 0)
    }

    fn text(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.end(before));
        let range = start.zip(self.end(index)).map(|(start, end)| FIXED + start..FIXED + end);
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// Where a text ends, counted from the first one's start.
    fn end(&self, index: usize) -> Option<usize> {
        let (ends, _) = self.bytes.get(2..FIXED)?.as_chunks::<{ size_of::<u32>() }>();
        usize::try_from(u32::from_le_bytes(*ends.get(index)?)).ok()
    }
}

impl std::fmt::Debug for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_struct("Labels")
            .field("key", &(text(self.key_host()), text(self.key_path()), text(self.query())))
            .field("client", &(text(self.client_host()), text(self.client_path())))
            .field("tags", &self.tags().count())
            .field("every_tag", &self.every_tag())
            .finish()
    }
}

/// The names of an answer's tags, sorted, each once; and whether there were more than are kept.
fn tags(answer: &HeaderMap) -> (Vec<u128>, bool) {
    let fields = |name: &'static str, separators: &'static [u8]| {
        let values = answer.get_all(name).iter();
        values.flat_map(move |value| value.as_bytes().split(|byte| separators.contains(byte)))
    };
    let mut tags: Vec<u128> = fields("surrogate-key", b" \t")
        .chain(fields("cache-tag", b","))
        .map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty() && tag.len() <= MAX_TAG)
        .map(name::tag)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    let every = tags.len() > MAX_TAGS;
    if every {
        tags.clear();
    }
    tags.shrink_to_fit();
    (tags, every)
}
