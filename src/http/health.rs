//! `/livez`, `/readyz`, `/metrics`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::error::ApiError;
use crate::service::ServiceError;

/// The process answers.
#[utoipa::path(get, path = "/livez", operation_id = "live", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Metadata and blob store work (each has lately written, synced and read back something small), and the server is not stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = crate::api::Problem, content_type = "application/problem+json")))]
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    if app.shutdown.is_stopping() {
        return Err(ServiceError::SHUTTING_DOWN.into());
    }
    if let Err(error) = app.services.ready().await {
        tracing::warn!(%error, "not ready");
        return Err(ServiceError::Unavailable("store").into());
    }
    Ok("ready\n")
}

/// The metrics in Prometheus' text format.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let (media_type, text) = app.observer.render().await;
    (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], text).into_response()
}
