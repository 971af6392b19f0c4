//! What an edge is started with.

use std::path::Path;

use super::Ports;
use crate::certificates::Leaf;
use crate::mmdb;

/// What an edge is started with. `${name}` in the configuration and in the files is replaced.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The configuration file. `${listen}`, `${listen.tls}`, `${admin}` and `${dir}` are known, and `names`.
    pub config: String,
    /// Further files, relative to the configuration: path and text.
    pub files: Vec<(String, String)>,
    /// Databases of places, relative to the configuration: path and what is where (see [`crate::mmdb`]).
    pub databases: Vec<(String, Vec<(String, serde_json::Value)>)>,
    /// Certificates for `tls/<name>.pem` and `tls/<name>.key`: file name and host names. The authority is `tls/ca.pem`.
    pub certificates: Vec<(String, Vec<String>)>,
    /// What else `${name}` stands for.
    pub names: Vec<(String, String)>,
    /// Variables of the environment.
    pub environment: Vec<(String, String)>,
    /// A command that runs the edge as its own last arguments, such as a limit on what it may do.
    pub under: Vec<String>,
}

impl Setup {
    /// A setup of this configuration only.
    #[must_use]
    pub fn new(config: &str) -> Self {
        Self { config: config.to_owned(), ..Self::default() }
    }
    /// The same with a name more.
    #[must_use]
    pub fn name(mut self, name: &str, value: &impl ToString) -> Self {
        self.names.push((name.to_owned(), value.to_string()));
        self
    }
    /// The same with a certificate more.
    #[must_use]
    pub fn certificate(mut self, file: &str, hosts: &[&str]) -> Self {
        self.certificates.push((file.to_owned(), hosts.iter().map(ToString::to_string).collect()));
        self
    }
    /// The same run by another command.
    #[must_use]
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(ToString::to_string).collect();
        self
    }
    /// The same with a file more.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }
}

pub(super) fn write_files(mut setup: Setup, ports: &Ports, directory: &Path) -> Setup {
    let known = [
        ("listen", ports.http.to_string()),
        ("listen.tls", ports.https.to_string()),
        ("listen.port", ports.http.port().to_string()),
        ("admin", ports.admin.to_string()),
        ("dir", directory.display().to_string()),
    ];
    setup.names.extend(known.map(|(name, value)| (name.to_owned(), value)));
    for (name, hosts) in &setup.certificates {
        Leaf::new(hosts).write(&directory.join("tls"), name);
    }
    for (path, text) in &setup.files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fill_in(text, &setup.names)).unwrap();
    }
    for (path, networks) in &setup.databases {
        let networks: Vec<_> = networks.iter().map(|(network, value)| (network.as_str(), value.clone())).collect();
        std::fs::write(directory.join(path), mmdb::database("Test", &networks)).unwrap();
    }
    std::fs::write(directory.join("leeward.yaml"), fill_in(&setup.config, &setup.names)).unwrap();
    setup
}

/// Replaces `${name}`.
///
/// # Panics
/// When a name is unknown.
#[must_use]
pub fn fill_in(text: &str, names: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    if let Some(at) = text.find("${") {
        let rest: String = text[at..].chars().take(40).collect();
        panic!("nothing is known as {rest:?}; known: {:?}", names.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
    text
}
