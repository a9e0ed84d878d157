//! `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::{Front, Health};
use crate::service::{ServiceError, Services};

#[async_trait::async_trait]
impl Health for Services {
    async fn ready(self: Arc<Self>) -> Result<(), ServiceError> {
        Self::ready(&self).await
    }
}

/// The process answers.
#[utoipa::path(get, path = "/livez", operation_id = "live", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Metadata and blob store work (each has lately written, synced and read back something small), and the server is not stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = crate::api::Problem, content_type = "application/problem+json")))]
pub(super) async fn ready(State(front): State<Front>) -> Result<&'static str, ApiError> {
    if front.shutdown.is_stopping() {
        return Err(ServiceError::SHUTTING_DOWN.into());
    }
    if let Err(error) = front.health.clone().ready().await {
        tracing::warn!(%error, "not ready");
        return Err(ServiceError::Unavailable("store").into());
    }
    Ok("ready\n")
}

/// The metrics in Prometheus' text format.
pub(super) async fn metrics(State(front): State<Front>) -> Response {
    let (media_type, text) = front.observer.render().await;
    (StatusCode::OK, [(header::CONTENT_TYPE, media_type)], text).into_response()
}
