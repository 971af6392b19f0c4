//! The demo: exactly the commands it prints are run, and each answer must hold what it says.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use leeward_tests::client::{Request, Response, Target};
use leeward_tests::edge::{Process, binary};
use leeward_tests::turn;
use leeward_tests::wait::PATIENCE;
use rustix::process::Signal;

/// The last line of the instructions.
const END: &str = "Ctrl-C ends it.";

/// A printed command and what its answer must hold.
#[derive(Debug, Default)]
struct Step {
    command: String,
    expect: Vec<String>,
}

fn steps(lines: &[String]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), expect: Vec::new() });
        } else if let Some(text) = line.strip_prefix("= ") {
            steps.last_mut().expect("a command before what it gives").expect.push(text.to_owned());
        }
    }
    steps
}

/// Runs a command as a reader would; without curl on this machine, by the client of the test bed.
fn run(command: &str, curl: bool) -> String {
    if !curl {
        return without_curl(command);
    }
    let output = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Does what a simple curl line says: `curl -s[i] [-X METHOD] [-H 'Name: value'] [-d DATA] URL`.
fn without_curl(command: &str) -> String {
    let words = words(command);
    assert_eq!(words.first().map(String::as_str), Some("curl"), "not a curl command: {command}");
    let (mut method, mut url, mut fields, mut head) = ("GET".to_owned(), String::new(), Vec::new(), false);
    let mut data = String::new();
    let mut rest = words.into_iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-X" => method = rest.next().unwrap(),
            "-H" => fields.push(rest.next().unwrap()),
            "-d" => (method, data) = ("POST".to_owned(), rest.next().unwrap()),
            "-s" => {}
            "-i" | "-si" | "-is" => head = true,
            _ if word.starts_with("http://") => url = word,
            other => panic!("what is {other:?} in {command}?"),
        }
    }
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, p.to_owned()));
    let address: SocketAddr = authority.parse().unwrap();
    let mut request = Request::new(&method, authority, &format!("/{path}"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        request.fields.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        request.fields.push((name.to_owned(), value.to_owned()));
    }
    request.body = (!data.is_empty()).then(|| data.into_bytes());
    let response: Response = Target::plain(address).ask(&request).unwrap();
    let shown = if head { String::from_utf8_lossy(&response.head.raw).into_owned() } else { String::new() };
    shown + &response.text()
}

/// The words of a command line, single quotes removed.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn play(curl: bool) {
    let mut command = Command::new(binary());
    command.args(["demo", "--port", "0"]);
    let mut demo = Process::start(&mut command);
    let told = demo.output().wait_for_out(PATIENCE, |line| line == END);
    assert!(told.is_some(), "the demo did not say what to try:\n{}", demo.story());
    let steps = steps(&demo.output().out());
    assert!(steps.len() >= 6, "only {} commands", steps.len());
    for (index, step) in steps.iter().enumerate() {
        assert!(!step.expect.is_empty(), "command {} says nothing of its answer: {}", index + 1, step.command);
        let answer = run(&step.command, curl);
        let missing: Vec<_> = step.expect.iter().filter(|text| !answer.contains(text.as_str())).collect();
        assert!(missing.is_empty(), "command {}: {}\nmissing: {missing:#?}\nin: {answer}", index + 1, step.command);
    }
    demo.signal(Signal::TERM);
    let status = demo.wait(PATIENCE);
    assert!(status.success(), "the demo ended with {status}");
    let said = demo.output().out();
    let file = said.iter().find_map(|line| line.strip_prefix("Its configuration is ")?.split(". ").next());
    let file = file.expect("the demo says where its configuration is");
    assert!(!Path::new(file).exists(), "{file} is still there");
}

#[test]
fn the_commands_that_the_demo_prints_do_what_it_says() {
    let _beside = turn::beside();
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    play(curl.is_ok_and(|status| status.success()));
}

#[test]
fn the_demo_shows_the_same_to_another_client() {
    let _beside = turn::beside();
    play(false);
}
