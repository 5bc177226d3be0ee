//! The server: four kinds of answer, one per connection, at a port that only this machine reaches.
#![forbid(unsafe_code)]

use super::feed::{Feed, Moment, Watching};
use super::guard::{CAREFUL, Refusal, Secret, check, policy, query};
use super::page;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

/// So many at once; a page has one, for as long as it is open.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// How long somebody may take to say what he wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a connection may have us keep of what it says, and about what may be ready for it before it reads.
const MAX_BUFFER: usize = 16 << 10;
/// How often a page gets a snapshot that doesn't say how often, and what it may say.
const EVERY: Duration = Duration::from_millis(250);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(60);

/// What is served.
pub(super) struct Site {
    /// The port that it is served at.
    pub(super) port: u16,
    /// What a URL has to know.
    pub(super) token: Secret,
    /// Where the snapshots come from.
    pub(super) feed: Feed,
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>) -> Infallible {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // This connection has failed, or there are no more descriptors; the others will end.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            let _ =
                stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            // How a connection fails is the other side's business.
            let _ = connection(stream, site).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, site: Arc<Site>) -> hyper::Result<()> {
    let answer = service_fn(move |request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&request.into_parts().0, &site).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), answer)
        .await
}

async fn answer(request: &Parts, site: &Site) -> Response<Answer> {
    let found = match check(request, site.port, &site.token) {
        Ok(()) => match request.uri.path() {
            "/" => page(),
            "/snapshot" => snapshot(site).await,
            "/events" => events(request, site),
            _ => Err(Refusal(StatusCode::NOT_FOUND, "there is nothing of this name")),
        },
        Err(refusal) => Err(refusal),
    };
    let mut response = found.unwrap_or_else(|Refusal(status, why)| text(status, why));
    response.headers_mut().extend(CAREFUL.map(|(name, value)| (Some(name), value)));
    response.headers_mut().entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| policy(None));
    response
}

/// An answer of this type.
fn answered(status: StatusCode, kind: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

fn text(status: StatusCode, sentence: &str) -> Response<Answer> {
    answered(status, "text/plain; charset=utf-8", Answer::whole(format!("{sentence}\n")))
}

fn page() -> Result<Response<Answer>, Refusal> {
    let no_luck = |_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers");
    let nonce = Secret::new().map_err(no_luck)?;
    let mut response = answered(StatusCode::OK, "text/html; charset=utf-8", Answer::whole(page::with_nonce(&nonce)));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy(Some(&nonce)));
    Ok(response)
}

/// The next snapshot, as the agent's schema has it.
async fn snapshot(site: &Site) -> Result<Response<Answer>, Refusal> {
    let Some(moment) = site.feed.watch(SHORTEST).next().await else {
        return Err(Refusal(StatusCode::GONE, "there will be no more snapshots"));
    };
    Ok(match moment.gone {
        Some(why) => text(StatusCode::GONE, &why),
        None => answered(StatusCode::OK, "application/json", Answer::whole(moment.snapshot)),
    })
}

fn events(request: &Parts, site: &Site) -> Result<Response<Answer>, Refusal> {
    let every = match query(request, "every").map(str::parse) {
        None => EVERY,
        Some(Ok(ms)) => Duration::from_millis(ms).clamp(SHORTEST, LONGEST),
        Some(Err(_)) => return Err(Refusal(StatusCode::BAD_REQUEST, "`every` is a number of milliseconds")),
    };
    let watching = site.feed.watch(every);
    Ok(answered(StatusCode::OK, "text/event-stream", Answer::Events(Box::pin(next_event(Events::new(watching))))))
}

/// One page's snapshots, as server-sent events.
struct Events {
    watching: Watching,
    /// Keeps somebody who is patient from what is made for others.
    pace: tokio::time::Interval,
    /// Whether the end was told.
    over: bool,
}

impl Events {
    fn new(watching: Watching) -> Events {
        let mut pace = interval(watching.every());
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Events { watching, pace, over: false }
    }
}

/// What a page is told next, and what is left; `None` after the end. It is not made before the page has read what
/// came before, so who reads slowly has only ever one snapshot waiting, and gets the latest next.
async fn next_event(mut events: Events) -> Option<(Bytes, Events)> {
    if events.over {
        return None;
    }
    events.pace.tick().await;
    let moment = events.watching.next().await?;
    events.over = moment.gone.is_some();
    Some((as_events(moment), events))
}

fn as_events(moment: Moment) -> Bytes {
    let Some(why) = moment.gone else { return moment.event };
    let sentence = why.split(['\r', '\n']).collect::<Vec<_>>().join(" ");
    [&moment.event[..], format!("event: gone\ndata: {sentence}\n\n").as_bytes()].concat().into()
}

type NextEvent = Pin<Box<dyn Future<Output = Option<(Bytes, Events)>> + Send>>;

/// What is sent.
enum Answer {
    Whole(Option<Bytes>),
    Events(NextEvent),
    Over,
}

impl Answer {
    fn whole(bytes: impl Into<Bytes>) -> Answer {
        Answer::Whole(Some(bytes.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Answer::Whole(bytes) => bytes.take(),
            Answer::Events(next) => match ready!(next.as_mut().poll(context)) {
                Some((bytes, events)) => {
                    *next = Box::pin(next_event(events));
                    Some(bytes)
                }
                None => {
                    *self = Answer::Over;
                    None
                }
            },
            Answer::Over => None,
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Answer::Whole(bytes) => {
                http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Answer::Events(_) => http_body::SizeHint::default(),
            Answer::Over => http_body::SizeHint::with_exact(0),
        }
    }
}
