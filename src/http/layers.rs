//! What every request passes: id and log, the rest of refused bodies, measurement, panics caught, deadlines.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::{App, measure, read_on, request_id};
use crate::runtime;
use crate::service::ServiceError;

/// Wraps all routes, from the inside out.
pub(super) fn wrap(routes: Router<App>, app: App) -> Router<App> {
    routes
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::Service(ServiceError::Internal("a handler panicked".into())).into_response()
        }))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(app.clone(), bounded_head))
        .layer(from_fn_with_state(app.clone(), measure::layer))
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

/// Refuses a head that is larger than the limit; what hyper reads into holds more, because bodies pass through it as well.
async fn bounded_head(State(app): State<App>, request: Request, next: Next) -> Response {
    // "GET /path HTTP/1.1\r\n", then "name: value\r\n" each, then an empty line.
    let uri = request.uri();
    let line = request.method().as_str().len() + uri.path_and_query().map_or(0, |path| path.as_str().len()) + 12;
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if line + fields + 2 > app.limits.max_header_bytes {
        return ApiError::HeadTooLarge.into_response();
    }
    next.run(request).await
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
