//! The server as a client sees it: what it answers to whom, and that nobody can keep it from others.

use super::server::MAX_CONNECTIONS;
use super::{Redirect, Web};
use crate::source::{Gone, Source};
use crate::testing;
use lisle::watch::wire::Snapshot;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// A source that says each time what it is told to, and waits for that.
struct Told(Receiver<Result<Snapshot, Gone>>);

impl Source for Told {
    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        self.0.recv().unwrap_or_else(|_| Err(Gone("the test is over".into())))
    }
}

/// A source that counts, and always has an answer, of at least this many bytes.
struct Counting(Arc<Mutex<u64>>, usize);

impl Source for Counting {
    fn snapshot(&mut self) -> Result<Snapshot, Gone> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        let mut snapshot = Snapshot { took_us: *count, ..testing::healthy() };
        snapshot.threads[0].name = "x".repeat(self.1);
        Ok(snapshot)
    }
}

/// A page that is served until the process ends.
struct Served {
    port: u16,
    token: String,
}

fn served(source: impl Source + 'static) -> Served {
    let web = Web::new(Box::new(source), 0).unwrap();
    let served = Served { port: web.site.port, token: web.site.token.to_string() };
    assert_eq!(web.url(), format!("http://127.0.0.1:{}/?token={}", served.port, served.token));
    thread::spawn(move || web.serve().unwrap());
    served
}

fn told() -> (Sender<Result<Snapshot, Gone>>, Served) {
    let (say, hear) = channel();
    (say, served(Told(hear)))
}

/// What a server says to one request.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (is, value) = line.split_once(": ")?;
            is.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Served {
    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// A path with the token.
    fn path(&self, path: &str) -> String {
        format!("{path}{}token={}", if path.contains('?') { '&' } else { '?' }, self.token)
    }

    /// A request with these lines beside the first, all of them.
    fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let mut stream = self.connect();
        write!(stream, "{method} {target} HTTP/1.1\r\n{}\r\n", lines(headers)).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let all = String::from_utf8(all).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{all:?}"));
        Answer { status, head: head.into(), body: body.into() }
    }

    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", &self.path(path), &[&self.host()])
    }

    /// Begins to read events.
    fn events(&self, query: &str) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        write!(stream, "GET {} HTTP/1.1\r\n{}\r\n\r\n", self.path(&format!("/events{query}")), self.host()).unwrap();
        let mut reader = BufReader::new(stream);
        while !next_line(&mut reader).is_empty() {}
        reader
    }
}

fn lines(headers: &[&str]) -> String {
    headers.iter().map(|header| format!("{header}\r\n")).collect()
}

/// The next line without its end.
fn next_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the stream has ended");
    line.trim_end_matches(['\r', '\n']).into()
}

/// The next value of this field of an event; what else there is (the chunks' lengths too) is skipped.
fn next_field(reader: &mut impl BufRead, name: &str) -> String {
    loop {
        if let Some(value) = next_line(reader).strip_prefix(&format!("{name}: ")) {
            return value.into();
        }
    }
}

fn numbered(took_us: u64) -> Result<Snapshot, Gone> {
    Ok(Snapshot { took_us, ..testing::healthy() })
}

#[test]
fn the_page_comes_with_the_token_alone() {
    let (_say, site) = told();
    let page = site.get("/");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.starts_with("<!doctype html>") && page.body.ends_with("</html>\n"), "{}", page.body);

    let host = site.host();
    let wrong = "0".repeat(site.token.len());
    for target in ["/".to_string(), "/?token=".into(), format!("/?token={wrong}"), format!("/?token={}0", site.token)] {
        for path in ["", "snapshot", "events", "favicon.ico", "nothing"] {
            let target = target.replacen('/', &format!("/{path}"), 1);
            let refused = site.ask("GET", &target, &[&host]);
            assert_eq!(refused.status, 403, "{target}: {refused:?}");
            assert!(refused.body.contains("token"), "{refused:?}");
        }
    }
    assert_eq!(site.token.len(), 32, "128 bits");
    assert_ne!(site.token, told().1.token);
    for path in ["/favicon", "/favicon.ico", "//", "/index.html", "/snapshot/"] {
        assert_eq!(site.get(path).status, 404, "{path}");
    }
}

#[test]
fn only_this_machine_by_its_own_names() {
    let (_say, site) = told();
    let ask = |headers: &[&str]| site.ask("GET", &site.path("/"), headers).status;
    let port = site.port;
    for name in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        assert_eq!(ask(&[&format!("Host: {name}:{port}")]), 200, "{name}");
    }
    for host in [
        "evil.example".into(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.1:{}", port ^ 1),
        "127.0.0.1".into(),
        "localhost".into(),
        format!("localhost:{port}:{port}"),
        format!("user@localhost:{port}"),
        format!("0.0.0.0:{port}"),
        String::new(),
    ] {
        assert_eq!(ask(&[&format!("Host: {host}")]), 403, "{host:?}");
    }
    assert_eq!(ask(&[]), 403);
    assert_eq!(ask(&[&site.host(), &site.host()]), 403, "two");
    let elsewhere = site.path("http://evil.example/");
    assert_eq!(site.ask("GET", &elsewhere, &[&site.host()]).status, 403, "not a proxy");
    let here = site.path(&format!("http://127.0.0.1:{port}/"));
    assert_eq!(site.ask("GET", &here, &[&site.host()]).status, 200);
}

#[test]
fn pages_from_elsewhere_get_nothing() {
    let (_say, site) = told();
    let ask = |path: &str, headers: &[&str]| {
        let all: Vec<&str> = std::iter::once(site.host().leak() as &str).chain(headers.iter().copied()).collect();
        site.ask("GET", &site.path(path), &all).status
    };
    let own = format!("Origin: http://127.0.0.1:{}", site.port);
    assert_eq!(ask("/", &[&own]), 200);
    let port = site.port;
    for origin in [
        "http://evil.example".into(),
        "null".into(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"), // another name than in Host: another origin
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}1"),
    ] {
        for path in ["/", "/snapshot", "/events"] {
            assert_eq!(ask(path, &[&format!("Origin: {origin}")]), 403, "{path} {origin}");
        }
    }
    assert_eq!(ask("/", &[&own, &own]), 403, "two");
    assert_eq!(ask("/", &["Sec-Fetch-Site: none"]), 200);
    assert_eq!(ask("/", &["Sec-Fetch-Site: same-origin"]), 200);
    for site in ["cross-site", "same-site", "anything"] {
        let site = format!("Sec-Fetch-Site: {site}");
        for path in ["/", "/snapshot", "/events"] {
            assert_eq!(ask(path, &[&site]), 403, "{path} {site}");
            assert_eq!(ask(path, &[&site, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"]), 403, "{path} {site}");
            assert_eq!(ask(path, &[&site, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"]), 403, "{path} {site}");
        }
        let link = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
        assert_eq!(ask("/", &[&site, link[0], link[1]]), 200, "a link leads here: {site}");
        assert_eq!(ask("/snapshot", &[&site, link[0], link[1]]), 403, "but to the page alone");
    }
}

#[test]
fn nothing_but_get() {
    let (_say, site) = told();
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "FROB"] {
        // As CONNECT wants it; for others it is as good.
        let target = if method == "CONNECT" { format!("127.0.0.1:{}", site.port) } else { site.path("/") };
        let refused = site.ask(method, &target, &[&site.host()]);
        assert_eq!(refused.status, 405, "{method}: {refused:?}");
        assert_eq!(refused.header("allow"), Some("GET"), "{method}");
    }
}

#[test]
fn every_answer_says_how_to_be_careful() {
    let (say, site) = told();
    say.send(numbered(1)).unwrap();
    let (page, snapshot) = (site.get("/"), site.get("/snapshot"));
    let refused = site.ask("GET", "/", &[&site.host()]);
    let wrong = site.ask("POST", "/", &[]);
    for answer in [&page, &snapshot, &refused, &wrong, &site.get("/nothing")] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} in {answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("set-cookie"), None);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.ends_with("base-uri 'none'; form-action 'none'; frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
    assert!(!snapshot.header("content-security-policy").unwrap().contains("script-src"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(snapshot.header("content-type"), Some("application/json"));
    assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn the_page_runs_its_own_script_only() {
    let (_say, site) = told();
    let (one, two) = (site.get("/"), site.get("/"));
    let nonce = |answer: &Answer| {
        let policy = answer.header("content-security-policy").unwrap().to_string();
        let (_, rest) = policy.split_once("script-src 'nonce-").unwrap();
        let nonce = rest.split_once('\'').unwrap().0.to_string();
        assert!(policy.contains(&format!("style-src 'nonce-{nonce}'")), "{policy}");
        assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"), "{policy}");
        nonce
    };
    assert_ne!(nonce(&one), nonce(&two), "one for each answer");
    assert_eq!(one.body.matches(&nonce(&one)).count(), 2, "the script's and the style's");
    assert_eq!(one.body.matches("<script").count(), 1);
    assert_eq!(one.body.matches("<style").count(), 1);
    assert!(
        !one.body.contains("http://")
            || one.body.matches("http://").count() == one.body.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!one.body.contains("https://") && !one.body.contains(" src="), "all is in it");
    // The nonces would let them through; the rest forbids them.
    for unsafe_way in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", " style=\""]
    {
        assert!(!one.body.contains(unsafe_way), "{unsafe_way}");
    }
}

#[test]
fn a_snapshot_is_what_the_source_says() {
    let (say, site) = told();
    say.send(Ok(testing::deadlock())).unwrap();
    let answer = site.get("/snapshot");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(serde_json::from_str::<Snapshot>(&answer.body).unwrap(), testing::deadlock());
    say.send(Err(Gone("process 4242 has ended".into()))).unwrap();
    let answer = site.get("/snapshot");
    assert_eq!((answer.status, &*answer.body), (410, "process 4242 has ended\n"));
    assert_eq!(site.get("/snapshot").status, 410, "it has ended for good");
    assert_eq!(site.get("/").status, 200, "the page remains");
}

#[test]
fn events_come_one_after_another_until_the_program_ends() {
    let (say, site) = told();
    let mut events = site.events("?every=50");
    for n in 1..=3_u64 {
        say.send(numbered(n)).unwrap();
        assert_eq!(next_field(&mut events, "id"), n.to_string());
        assert_eq!(next_field(&mut events, "event"), "snapshot");
        let snapshot: Snapshot = serde_json::from_str(&next_field(&mut events, "data")).unwrap();
        assert_eq!(snapshot.took_us, n);
    }
    say.send(Err(Gone("it has\nended".into()))).unwrap();
    assert_eq!(next_field(&mut events, "event"), "snapshot", "the last picture, for who has none");
    assert_eq!(next_field(&mut events, "event"), "gone");
    assert_eq!(next_field(&mut events, "data"), "it has ended", "in one line, or it would end the event");
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert!(rest.trim().trim_end_matches(['0', '\r', '\n']).is_empty(), "{rest:?}");
    // Who comes later has the last picture too.
    let mut late = site.events("");
    assert_eq!(next_field(&mut late, "id"), "3");
    assert_eq!(next_field(&mut late, "event"), "snapshot");
    assert_eq!(next_field(&mut late, "event"), "gone");
}

#[test]
fn how_often_is_a_number() {
    let (_say, site) = told();
    for every in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
        assert_eq!(site.get(&format!("/events?every={every}")).status, 400, "{every}");
    }
}

#[test]
fn all_pages_share_what_is_asked_once() {
    let (say, site) = told();
    let mut pages: Vec<_> = (0..20).map(|_| site.events("?every=50")).collect();
    // All are there before there is something to say.
    for n in 1..=5 {
        say.send(numbered(n)).unwrap();
        for page in &mut pages {
            let snapshot: Snapshot = serde_json::from_str(&next_field(page, "data")).unwrap();
            assert_eq!(snapshot.took_us, n, "each has each, and nobody was asked twice");
        }
    }
}

#[test]
fn who_does_not_read_keeps_nobody() {
    let site = served(Counting(Arc::default(), 1 << 20));
    let mut idle: Vec<_> = (0..4).map(|_| site.events("?every=50")).collect();
    let mut busy = site.events("?every=50");
    let next = |reader: &mut BufReader<TcpStream>| next_field(reader, "id").parse::<u64>().unwrap();
    // Several times what the sockets' buffers take, if it were all kept for them.
    let mut last = 0;
    for _ in 0..50 {
        let now = next(&mut busy);
        assert!(now > last);
        last = now;
    }
    // Who begins to read late has what went into his socket meanwhile, and goes on with the present.
    let (mut seen, mut had) = (0, 0);
    while seen < last {
        let now = next(&mut idle[0]);
        assert!(now > seen);
        (seen, had) = (now, had + 1);
    }
    assert!(had < last, "what nobody read in time was not kept");
}

#[test]
fn a_program_is_left_alone_when_nobody_looks() {
    let count = Arc::new(Mutex::new(0));
    let site = served(Counting(Arc::clone(&count), 0));
    assert_eq!(site.get("/").status, 200);
    assert_eq!(*count.lock().unwrap(), 0, "a page that does not ask yet");
    assert_eq!(site.get("/snapshot").status, 200);
    let asked = *count.lock().unwrap();
    // Nobody looks now: these take far longer than the shortest time between two snapshots.
    for _ in 0..200 {
        assert_eq!(site.get("/").status, 200);
    }
    // One may have been under way.
    assert!(*count.lock().unwrap() <= asked + 1);
}

#[test]
fn there_is_a_bound_to_connections() {
    let (say, site) = told();
    let full: Vec<_> = (0..MAX_CONNECTIONS).map(|_| site.events("")).collect();
    let mut refused = String::new();
    // That one may be reset, since nobody has read its request.
    let mut one_more = site.connect();
    match one_more.read_to_string(&mut refused) {
        Ok(_) => assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    drop(full);
    say.send(numbered(1)).unwrap();
    // Their places are free as soon as the server has noticed.
    loop {
        let mut stream = site.connect();
        let request = format!("GET {} HTTP/1.1\r\n{}\r\n\r\n", site.path("/"), site.host());
        let mut answer = String::new();
        if stream.write_all(request.as_bytes()).is_ok() && stream.read_to_string(&mut answer).is_ok() {
            match answer.split(' ').nth(1) {
                Some("200") => break,
                Some("503") => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn nonsense_ends_its_own_connection_only() {
    let (_say, site) = told();
    let long = "x".repeat(1 << 20);
    for nonsense in [
        "\r\n\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        &format!("GET /{long} HTTP/1.1\r\n\r\n"),
        &format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"),
        &format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000)),
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ] {
        let mut stream = site.connect();
        // It may be refused before it is all said.
        let _ = stream.write_all(nonsense.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{:?}: {answer}", nonsense.get(..40));
    }
    assert_eq!(site.get("/").status, 200);
}

#[test]
fn the_port_is_on_this_machine_alone() {
    let (_say, site) = told();
    let listening = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", site.port);
    let mine: Vec<_> =
        listening.lines().filter_map(|line| line.split_whitespace().nth(1)).filter(|at| at.ends_with(&port)).collect();
    assert!(!mine.is_empty() && mine.iter().all(|at| at.starts_with("0100007F:")), "{mine:?}");
    let wide = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    assert!(!wide.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|at| at.ends_with(&port))));
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let (_say, site) = told();
    let error = Web::new(Box::new(Counting(Arc::default(), 0)), site.port).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn the_file_that_opens_the_page_is_for_this_user_alone() {
    let redirect = Redirect::new("http://127.0.0.1:1/?token=abc").unwrap();
    let path = redirect.0.clone();
    let folder = path.parent().unwrap().to_path_buf();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(fs::read_to_string(&path).unwrap().contains("url=http://127.0.0.1:1/?token=abc\""));
    drop(redirect);
    assert!(!path.exists() && !folder.exists());
}
