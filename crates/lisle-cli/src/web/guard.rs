//! Who may have what, and what browsers are told to be careful about.
//!
//! The port is open to every program on this machine, and to every page that a browser on it shows. What keeps them
//! out:
//! - **A token of 128 random bits in the URL**, in every request. Not a cookie: browsers send one to all ports of
//!   an address, so to other users' servers too. The page keeps the URL that it was opened by.
//! - **`Host` has to be a name of this machine**, or a page of a name that was made to point here afterwards (DNS
//!   rebinding) could read what we say, as soon as it knew the token.
//! - **`Origin` and `Sec-Fetch-Site`**: a page from elsewhere may lead here, and no more.
//! - **A content policy** under which the page can load, send and embed nothing and run only its own script, which
//!   can't make markup of text.
#![forbid(unsafe_code)]

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};
use std::fmt;
use std::hint::black_box;

/// Random text that nobody guesses: 128 bits in hexadecimal.
#[derive(Clone)]
pub(super) struct Secret(String);

impl Secret {
    /// A new one.
    pub(super) fn new() -> Result<Secret, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Secret(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Takes as long whichever letters are different: no letter alone may decide.
    fn is(&self, guess: &str) -> bool {
        let differ = |sum, (one, other): (u8, u8)| sum | black_box(one ^ other);
        self.0.len() == guess.len() && self.0.bytes().zip(guess.bytes()).fold(0, differ) == 0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why somebody does not get an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

/// The value of this name in the query: what is there first counts.
pub(super) fn query<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    let query = request.uri.query()?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether this request to this port comes from whom we gave the token, and from nowhere strange.
pub(super) fn check(request: &Parts, port: u16, token: &Secret) -> Result<(), Refusal> {
    if request.method != Method::GET {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "there is nothing here but to GET"));
    }
    let Some(host) = only(&request.headers, &header::HOST).filter(|host| is_here(host, port)) else {
        return Err(Refusal(StatusCode::FORBIDDEN, "this is served to 127.0.0.1 and localhost, at its own port, only"));
    };
    // `GET http://elsewhere/` goes before `Host`.
    if request.uri.authority().is_some_and(|named| !is_here(named.as_str(), port)) {
        return Err(Refusal(StatusCode::FORBIDDEN, "this is no proxy"));
    }
    let strange = Refusal(StatusCode::FORBIDDEN, "a page from elsewhere may not ask for this");
    if request.headers.contains_key(header::ORIGIN)
        && only(&request.headers, &header::ORIGIN) != Some(&format!("http://{host}"))
    {
        return Err(strange);
    }
    let said = |name: &'static str| request.headers.get(HeaderName::from_static(name)).map(HeaderValue::as_bytes);
    match said("sec-fetch-site") {
        None | Some(b"none" | b"same-origin") => {}
        // A link is fine, also from a file as `--open` makes it: who wrote it knows the token, and cannot see what
        // comes of it.
        Some(_)
            if request.uri.path() == "/"
                && said("sec-fetch-mode") == Some(b"navigate")
                && said("sec-fetch-dest") == Some(b"document") => {}
        Some(_) => return Err(strange),
    }
    if query(request, "token").is_some_and(|guess| token.is(guess)) {
        Ok(())
    } else {
        let why = "the URL lacks the token, or has an old one; `lisle web` has printed the right one";
        Err(Refusal(StatusCode::FORBIDDEN, why))
    }
}

/// The header if it is there exactly once, and is text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}

/// Whether that is a name of ours, with the port. Browsers leave out port 80.
fn is_here(host: &str, port: u16) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((name, number)) if number.parse() == Ok(port) => name,
        _ if port == 80 => host,
        _ => return false,
    };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| bare.eq_ignore_ascii_case(name))
}

/// What a document may do: run the script and have the style that bear this nonce, ask where it came from, show
/// pictures that it has itself. Without one: nothing.
pub(super) fn policy(nonce: Option<&Secret>) -> HeaderValue {
    let own = match nonce {
        Some(nonce) => format!(
            "script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
             require-trusted-types-for 'script'; trusted-types 'none'; "
        ),
        None => String::new(),
    };
    let all = format!("default-src 'none'; {own}base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    HeaderValue::try_from(all).expect("is ASCII")
}

/// What goes with every answer.
pub(super) const CAREFUL: [(HeaderName, HeaderValue); 7] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];
