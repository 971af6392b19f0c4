//! One line of the corpus.

use std::path::Path;

use serde::Deserialize;

/// What `corpus/raw/README.md` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) what: String,
    send: String,
    pub(super) status: Vec<u16>,
    #[serde(default)]
    pub(super) origin: Vec<String>,
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) lacks: Vec<String>,
    #[serde(default)]
    pub(super) broken: bool,
    /// Any one request may reach the origin.
    #[serde(default)]
    pub(super) any: bool,
    /// The connection may go on after the refusal.
    #[serde(default)]
    pub(super) kept: bool,
}

/// The cases of a file.
pub(super) fn corpus(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/raw/{file}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Case {
    /// The bytes to send.
    pub(super) fn bytes(&self) -> Vec<u8> {
        const HOST: &str = "Host: www.example.com\r\n";
        let mut text = self
            .send
            .replace("{get}", &format!("GET /c HTTP/1.1\r\n{HOST}"))
            .replace("{post}", &format!("POST /c HTTP/1.1\r\n{HOST}"))
            .replace("{chunked}", &format!("POST /c HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"))
            .replace("{second}", &format!("GET /second HTTP/1.1\r\n{HOST}\r\n"))
            .replace("{host}", HOST);
        repeat(&mut text, "{fill:", |count| "a".repeat(count));
        repeat(&mut text, "{fields:", |count| (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect());
        // YAML has no bytes: \xNN means the character, which is sent as the byte it names where there is one.
        let bytes = text.chars();
        bytes
            .flat_map(|c| u8::try_from(u32::from(c)).map_or_else(|_| c.to_string().into_bytes(), |byte| vec![byte]))
            .collect()
    }

    /// What the answer is to: a HEAD has no body.
    pub(super) fn method(&self, bytes: &[u8]) -> String {
        if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" }.to_owned()
    }
}

fn repeat(text: &mut String, word: &str, what: impl Fn(usize) -> String) {
    while let Some(start) = text.find(word) {
        let end = start + text[start..].find('}').unwrap();
        let count = text[start + word.len()..end].parse().unwrap();
        text.replace_range(start..=end, &what(count));
    }
}
