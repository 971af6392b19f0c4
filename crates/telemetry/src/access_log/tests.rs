use super::*;

fn entry(status: u16) -> Entry<'static> {
    Entry {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_007),
        client: None,
        midgress: false,
        site: "www.example.com",
        method: "GET",
        scheme: "http",
        host: "www.example.com",
        path: "/a\"\n\u{1b}[31m",
        protocol: "HTTP/1.1",
        status,
        bytes: 1,
        seconds: 0.5,
        cache: CacheState::Hit,
        collapsed: false,
        not_stored: None,
        reason: None,
        token: None,
        error: None,
        waf: None,
        user_agent: None,
        generation: 1,
        attempts: &[],
        failover: None,
    }
}

fn lines(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_is_one_json_object_whatever_the_client_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::start(Target::File(path.clone())).unwrap();
    log.log(&entry(200), 1.0);
    log.flush();
    let lines = lines(&path);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["path"], "/a\"\n\u{1b}[31m");
    assert_eq!(lines[0]["cache"], "hit");
    assert_eq!(lines[0]["time"], "2026-01-01T00:00:00.007Z");
}

#[test]
fn sampling_keeps_every_error_and_the_share_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::start(Target::File(path.clone())).unwrap();
    for _ in 0..100 {
        log.log(&entry(200), 0.25);
        log.log(&entry(503), 0.0);
    }
    log.flush();
    let all = lines(&path);
    let errors = all.iter().filter(|line| line["status"] == 503).count();
    assert_eq!((errors, all.len() - errors), (100, 25));
}

/// A log whose queue holds one message, and its other end: the test is the writer.
fn by_hand(off: bool) -> (AccessLog, Receiver<Message>) {
    let (queue, lines) = sync_channel(1);
    (AccessLog { queue, off: AtomicBool::new(off), dropped: AtomicU64::new(0) }, lines)
}

#[test]
fn an_order_waits_for_room_and_a_line_does_not() {
    let (log, queue) = by_hand(false);
    log.log(&entry(200), 1.0);
    log.log(&entry(200), 1.0);
    assert_eq!(log.dropped.load(Ordering::Relaxed), 1, "the second line waited or got in");
    let writer = std::thread::spawn(move || {
        std::thread::park_timeout(Duration::from_millis(50));
        let wait = Duration::from_secs(5);
        (queue.recv_timeout(wait), queue.recv_timeout(wait))
    });
    log.reopen();
    let (first, second) = writer.join().unwrap();
    assert!(matches!(first, Ok(Message::Line(_))), "the line that was there");
    assert!(matches!(second, Ok(Message::Reopen)), "the order was lost");
}

#[test]
fn a_log_that_is_off_makes_no_lines_until_it_is_on() {
    let (log, queue) = by_hand(true);
    log.log(&entry(503), 1.0);
    assert!(queue.try_recv().is_err(), "a line for nobody");
    log.retarget(Target::Stdout);
    assert!(matches!(queue.try_recv(), Ok(Message::Target(Target::Stdout))));
    log.log(&entry(200), 1.0);
    assert!(matches!(queue.try_recv(), Ok(Message::Line(_))), "no line though it is on");
}

#[test]
fn a_reopened_log_goes_on_in_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let log = AccessLog::start(Target::File(path.clone())).unwrap();
    log.log(&entry(200), 1.0);
    log.flush();
    std::fs::rename(&path, &old).unwrap();
    log.reopen();
    log.log(&entry(204), 1.0);
    log.flush();
    assert_eq!((lines(&old).len(), lines(&path)[0]["status"].clone()), (1, 204.into()));
}

#[test]
fn a_long_field_is_cut_at_a_character() {
    let long = "ä".repeat(2000);
    assert_eq!(bounded(&long).len(), 1024);
    assert_eq!(bounded("short"), "short");
}
