//! What every request passes: id and log, the rest of refused bodies, measurement, panics caught, deadlines.

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::{App, ErrorCode, ObservedRequest, read_on, request_id};
use crate::runtime;
use crate::service::ServiceError;

/// Wraps all routes, from the inside out.
pub(super) fn wrap(routes: Router<App>, app: App) -> Router<App> {
    routes
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::Service(ServiceError::Internal("a handler panicked".into())).into_response()
        }))
        .layer(from_fn(security_headers))
        .route_layer(from_fn(mark_route))
        .layer(from_fn_with_state(app.clone(), observe))
        .layer(from_fn(read_on::layer))
        .layer(from_fn_with_state(app, request_id::layer))
}

/// Gives up on a call that takes longer than the server's limit.
pub(super) async fn deadline(State(app): State<App>, request: Request, next: Next) -> Response {
    match runtime::timeout(app.limits.request_timeout, next.run(request)).await {
        Some(response) => response,
        None => ApiError::Timeout.into_response(),
    }
}

/// The template of the route that answered, left in the response for [`observe`].
#[derive(Debug, Clone)]
struct Route(MatchedPath);

async fn mark_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Measures and logs each request once, when the head of its answer is ready.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = app.runtime.clock.monotonic();
    let method = request.method().clone();
    let received_bytes = content_length(request.headers());
    let response = next.run(request).await;
    let elapsed = app.runtime.clock.monotonic().saturating_sub(started);
    let route = response.extensions().get::<Route>().map_or("unmatched", |route| route.0.as_str());
    let status = response.status();
    app.observer.request(&ObservedRequest {
        route,
        method: &method,
        status,
        elapsed,
        received_bytes,
        sent_bytes: content_length(response.headers()),
    });
    let code = response.extensions().get::<ErrorCode>().map_or("", |code| code.0);
    tracing::info!(status = status.as_u16(), elapsed_us = elapsed.as_micros() as u64, route, code, "answered");
    response
}

fn content_length(headers: &HeaderMap) -> u64 {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}
