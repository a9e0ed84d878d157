//! What every request passes: id and log, the rest of refused bodies, measurement, panics caught, deadlines.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::{Front, answers, measure, read_on, request_id};
use crate::runtime;
use crate::service::ServiceError;

/// Wraps all routes, from the inside out.
pub(super) fn wrap<S: Clone + Send + Sync + 'static>(routes: Router<S>, front: Front) -> Router<S> {
    routes
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::Service(ServiceError::Internal("a handler panicked".into())).into_response()
        }))
        .layer(from_fn_with_state(front.clone(), answers::layer))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(front.clone(), bounded_head))
        .layer(from_fn_with_state(front.clone(), measure::layer))
        .layer(from_fn(read_on::layer))
        .layer(from_fn_with_state(front, request_id::layer))
}

/// Gives up on a call that takes longer than the server's limit. Where its body is still awaited then, that is the client's doing, and
/// nothing was begun.
pub(super) async fn deadline(State(front): State<Front>, request: Request, next: Next) -> Response {
    answered_within(front.limits.request_timeout, request, |request| next.run(request)).await
}

async fn answered_within<F: Future<Output = Response>>(limit: Duration, request: Request, answer: impl FnOnce(Request) -> F) -> Response {
    let is_awaited = Arc::<AtomicBool>::default();
    let request = request.map(|body| Body::new(AwaitedBody { body, is_awaited: is_awaited.clone() }));
    match runtime::timeout(limit, answer(request)).await {
        Some(response) => response,
        None if is_awaited.load(Ordering::Relaxed) => ApiError::Service(ServiceError::TooSlow).into_response(),
        None => ApiError::Timeout.into_response(),
    }
}

/// A request's body that says whether somebody waits for its next piece.
struct AwaitedBody {
    body: Body,
    is_awaited: Arc<AtomicBool>,
}

impl HttpBody for AwaitedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.is_awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Refuses a head that is larger than the limit; what hyper reads into holds more, because bodies pass through it as well.
async fn bounded_head(State(front): State<Front>, request: Request, next: Next) -> Response {
    // "GET /path HTTP/1.1\r\n", then "name: value\r\n" each, then an empty line.
    let uri = request.uri();
    let line = request.method().as_str().len() + uri.path_and_query().map_or(0, |path| path.as_str().len()) + 12;
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + fields + 2 > front.limits.max_header_bytes {
        return ApiError::HeadTooLarge.into_response();
    }
    next.run(request).await
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::body::to_bytes;
    use axum::http::StatusCode;
    use futures_util::{StreamExt as _, stream};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Reads the whole body, and then never answers.
    async fn reads_and_hangs(request: Request) -> Response {
        to_bytes(request.into_body(), 100).await.unwrap();
        pending().await
    }

    #[tokio::test]
    async fn a_call_that_takes_too_long_is_not_said_to_be_undone() {
        for body in [Body::empty(), Body::from("all"), Body::from_stream(stream::iter([Ok::<_, axum::Error>("all")]))] {
            // 503 would say that it was not begun.
            assert_eq!(answered_within(MOMENT, Request::new(body), reads_and_hangs).await.status(), StatusCode::GATEWAY_TIMEOUT);
        }
    }

    #[tokio::test]
    async fn one_whose_body_did_not_come_was_not_begun() {
        let half = Body::from_stream(stream::iter([Ok::<_, axum::Error>("half")]).chain(stream::pending()));
        assert_eq!(answered_within(MOMENT, Request::new(half), reads_and_hangs).await.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
