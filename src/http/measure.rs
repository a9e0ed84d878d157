//! Measures and logs each request once, from its head to the last byte of its answer, whichever way it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{ErrorCode, Front, ObservedRequest};

/// The route of what no route matches.
const UNMATCHED: &str = "unmatched";

/// Begins to measure; what it returns ends it with its last byte.
pub(super) async fn layer(State(front): State<Front>, request: Request, next: Next) -> Response {
    let received = Arc::<AtomicU64>::default();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut measure = Measure::begin(front, route, request.method().clone(), received.clone());
    let response = next.run(request.map(|body| Body::new(CountedBody { body, received }))).await;
    measure.status = Some(response.status());
    measure.code = response.extensions().get::<ErrorCode>().map_or("", |code| code.0);
    measure.to_head = Some(measure.elapsed());
    measure.length = response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    response.map(|body| {
        measure.is_whole = body.is_end_stream();
        Body::new(MeasuredBody { body, measure })
    })
}

/// A request under way. It ends when this is dropped.
struct Measure {
    front: Front,
    route: Option<MatchedPath>,
    method: Method,
    begun: Duration,
    span: tracing::Span,
    received: Arc<AtomicU64>,
    sent_bytes: u64,
    status: Option<StatusCode>,
    code: &'static str,
    to_head: Option<Duration>,
    /// `Content-Length` of the answer: a body is not asked for its end once so much of it was taken.
    length: Option<u64>,
    is_whole: bool,
}

impl Measure {
    fn begin(front: Front, route: Option<MatchedPath>, method: Method, received: Arc<AtomicU64>) -> Self {
        front.observer.begins(route.as_ref().map_or(UNMATCHED, MatchedPath::as_str), &method);
        let begun = front.runtime.clock.monotonic();
        let span = tracing::Span::current();
        let (status, to_head, length) = (None, None, None);
        Self { front, route, method, begun, span, received, sent_bytes: 0, status, code: "", to_head, length, is_whole: false }
    }

    fn elapsed(&self) -> Duration {
        self.front.runtime.clock.monotonic().saturating_sub(self.begun)
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        let elapsed = self.elapsed();
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let received_bytes = self.received.load(Ordering::Relaxed);
        self.front.observer.ended(&ObservedRequest {
            route,
            method: &self.method,
            status: self.status,
            elapsed,
            received_bytes,
            sent_bytes: self.sent_bytes,
        });
        let _entered = self.span.enter();
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (elapsed_us, sent_bytes, code) = (micros(elapsed), self.sent_bytes, self.code);
        match (self.status, self.to_head) {
            (Some(status), Some(to_head)) => tracing::info!(
                status = status.as_u16(),
                head_us = micros(to_head),
                elapsed_us,
                received_bytes,
                sent_bytes,
                whole = self.is_whole || self.length == Some(self.sent_bytes),
                route,
                code,
                "answered"
            ),
            _ => tracing::info!(elapsed_us, received_bytes, route, "given up by the client"),
        }
    }
}

/// A request's body whose bytes are counted.
struct CountedBody {
    body: Body,
    received: Arc<AtomicU64>,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.received.fetch_add(length(frame), Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body that carries the measure of its request.
struct MeasuredBody {
    body: Body,
    measure: Measure,
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.measure.sent_bytes += length(frame);
                self.measure.is_whole = self.body.is_end_stream();
            }
            Some(Err(_)) => self.measure.is_whole = false,
            None => self.measure.is_whole = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}
