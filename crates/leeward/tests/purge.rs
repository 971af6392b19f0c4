//! `leeward purge` as people and scripts meet it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const CONFIG: &str = "
server: { listen: [{ address: '127.0.0.1:0' }] }
admin: { address: '127.0.0.1:0', token: { file: token } }
origins: [{ directory: photos, http: { servers: ['http://192.0.2.1:80'] }, host_header: origin.example.com }]
sites: [{ host: www.example.com, origin: photos, path: /photography }]
";

fn leeward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leeward")).args(arguments).current_dir(folder).output().unwrap()
}

/// An edge that runs until it is dropped, and its admin listener.
struct Edge(Child, String);

impl Edge {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leeward"));
        command.arg("run").current_dir(folder).env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let admin = lines.find_map(|line| Some(line.split_once("admin on ")?.1.to_owned())).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self(process, admin)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_purged_is_said_and_the_exit_code_tells_who_is_to_blame() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("leeward.yaml"), CONFIG).unwrap();
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(folder.path().join("broken.yaml"), "origins: 1\n").unwrap();
    let edge = Edge::start(folder.path());
    let known = ["--config", "leeward.yaml", "--address", &edge.1];
    let cases: &[(&[&str], i32, &[&str])] = &[
        (
            &["--url", "https://www.example.com/a.jpg"],
            0,
            &[
                "url     www.example.com/a.jpg\n",
                "stored as http_large/photos /photography/a.jpg\n",
                "gone from now on",
            ],
        ),
        (&["--url", "www.example.com/img/*", "--soft"], 0, &["prefix  www.example.com/img/\n", "stale from now on"]),
        (
            &["--url", "www.example.com/a", "--url", "www.example.com/b"],
            0,
            &["www.example.com/a\n", "www.example.com/b\n"],
        ),
        (
            &["--host", "www.example.com", "--tag", "x", "--prefix", "www.example.com/p"],
            0,
            &["host ", "tag     x\n", "prefix  www.example.com/p\n"],
        ),
        (&["--all"], 0, &["everything\ngone from now on"]),
        (&["--all", "--format", "json"], 0, &["\"sequence\": ", "\"kind\": \"all\""]),
        (&["--host", "old.example.org"], 1, &["status 400", "no site or CDN URL here has it"]),
        (&["--host", "old.example.org", "--force"], 0, &["host    old.example.org\n"]),
        (&[], 2, &["--url", "--all"]),
        (&["--soft"], 2, &["required"]),
        (&["--url"], 2, &["value is required"]),
    ];
    for (arguments, code, said) in cases {
        let output = leeward(folder.path(), &[&["purge"], &known[..], arguments].concat());
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {text}");
        for words in *said {
            assert!(text.contains(words), "{arguments:?}: {words:?} is not in {text}");
        }
    }
    let cases: &[(&[&str], i32, &str)] = &[
        // the configuration's admin address is any port: nobody answers there
        (&["--all"], 1, "nobody answers"),
        (&["--all", "--address", &edge.1], 1, "status 401: the bearer token is missing or wrong; --config"),
        (&["--all", "--address", &edge.1, "--config", "broken.yaml"], 2, "broken.yaml: not valid"),
        (&["--all", "--config", "absent.yaml"], 2, "absent.yaml"),
    ];
    for (arguments, code, said) in cases {
        let output = leeward(folder.path(), &[&["purge"], *arguments].concat());
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {said:?} is not in {text}");
    }
}
