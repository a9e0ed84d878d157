//! Renditions that were served from the cache a moment ago, served again without going through routes and layers: a page's thumbnails are asked
//! for by everybody who opens it, and then parsing the URL, checking its signature and looking up the owner costs more than sending the bytes.
//!
//! Only what would be answered alike: `GET` of the same path by a client that accepts the same, without ranges and conditions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;

use super::routes::RENDITION;
use super::{Front, ObservedRequest, RenditionOutcome, request_id};
use crate::runtime::Random;

/// How long an answer is given again: so much later at most it shows that its photo has gone, or its key.
const REMEMBER: Duration = Duration::from_secs(1);
/// Answers that are remembered; their bytes lie in the cache of renditions as a rule.
const REMEMBERED: u64 = 16_384;
/// What browsers say of what they accept is shorter.
const MAX_ACCEPT_BYTES: usize = 256;
/// Larger ones cost little beside their bytes.
const MAX_BYTES: usize = 256 << 10;
/// What begins the paths of renditions.
const PREFIX: &str = "/i/";
/// A request with one of these may want something else.
const OTHERWISE: [HeaderName; 6] =
    [header::RANGE, header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE, header::EXPECT];

/// The answers of the last moment.
#[derive(Debug)]
pub struct HotRenditions {
    answers: moka::future::Cache<Vec<u8>, Arc<Hot>>,
    /// What the next request is called: they are counted on from a random number.
    next_id: AtomicU64,
}

#[derive(Debug)]
struct Hot {
    headers: HeaderMap,
    bytes: Bytes,
    good: Good,
}

/// For how long an answer is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Good {
    /// Until then, on the monotonic clock.
    until: Duration,
    /// And while no site setting changes that it depends on.
    epoch: u64,
}

impl Good {
    /// Of an answer that is found from here on.
    pub(super) fn from_now(front: &Front) -> Self {
        Self { until: front.runtime.clock.monotonic() + REMEMBER, epoch: front.renditions.epoch() }
    }
}

impl HotRenditions {
    /// Knows none. Its requests' ids are counted from a random number.
    pub fn new(random: &Random) -> Self {
        // The cache's own clock lets go of what nobody asks for any more.
        let answers = moka::future::Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build();
        Self { answers, next_id: AtomicU64::new(u64::from_be_bytes(random.bytes())) }
    }

    /// Remembers a whole answer, with all of its fields but those that are each request's own.
    pub(super) async fn keep(&self, request: &Head<'_>, good: Good, headers: HeaderMap, bytes: Bytes) {
        if let Some(key) = key_of(request).filter(|_| bytes.len() <= MAX_BYTES) {
            self.answers.insert(key, Arc::new(Hot { headers, bytes, good })).await;
        }
    }

    fn get(&self, request: &Head<'_>) -> Option<Arc<Hot>> {
        // It never waits.
        self.answers.get(&key_of(request)?).now_or_never().flatten()
    }
}

/// What of a request decides on its answer.
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

/// Path and `Accept`; `None` for what is not answered here.
fn key_of(request: &Head<'_>) -> Option<Vec<u8>> {
    if *request.method != Method::GET || request.query.is_some() || OTHERWISE.iter().any(|name| request.headers.contains_key(name)) {
        return None;
    }
    let mut accept = request.headers.get_all(header::ACCEPT).iter();
    let (first, more) = (accept.next().map_or(&[][..], HeaderValue::as_bytes), accept.next());
    // A path holds no space.
    (more.is_none() && first.len() <= MAX_ACCEPT_BYTES).then(|| [request.path.as_bytes(), b" ", first].concat())
}

/// The answer to a request for a rendition that was served a moment ago; `None` where it has to be found out.
pub(super) fn answer<B: HttpBody>(front: &Front, request: &Request<B>) -> Option<Response> {
    let uri = request.uri();
    if !uri.path().starts_with(PREFIX) || !request.body().is_end_stream() {
        return None;
    }
    let head = Head { method: request.method(), path: uri.path(), query: uri.query(), headers: request.headers() };
    let hot = front.hot.get(&head)?;
    let now = front.runtime.clock.monotonic();
    if hot.good.until <= now || hot.good.epoch != front.renditions.epoch() {
        return None;
    }
    front.observer.begins(RENDITION, &Method::GET);
    front.observer.rendition(RenditionOutcome::Hot);
    let mut response = Response::new(Body::from(hot.bytes.clone()));
    *response.headers_mut() = hot.headers.clone();
    match request_id::own(request.headers()) {
        Some(id) => request_id::name(&mut response, id),
        None => request_id::name(&mut response, &format!("{:016x}", front.hot.next_id.fetch_add(1, Ordering::Relaxed))),
    }
    let elapsed = front.runtime.clock.monotonic().saturating_sub(now);
    let (status, sent_bytes) = (Some(StatusCode::OK), hot.bytes.len() as u64);
    front.observer.ended(&ObservedRequest { route: RENDITION, method: &Method::GET, status, elapsed, received_bytes: 0, sent_bytes });
    tracing::debug!(path = uri.path(), sent_bytes, "answered again");
    Some(response)
}
