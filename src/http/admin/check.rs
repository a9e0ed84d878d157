//! `/v1/admin/check`.

use axum::Json;
use axum::extract::State;

use crate::api::{CheckReport, CheckRequest, Problem};
use crate::http::error::ApiError;
use crate::http::extract::{AuthFor, Body, ForAdmin};
use crate::http::{App, ClientEnd};

/// Checks metadata and blobs. Takes as long as it takes; changes nothing.
#[utoipa::path(post, path = "/v1/admin/check", operation_id = "run_check", tag = "admin", security(("token" = [])), request_body = CheckRequest,
    responses((status = 200, body = CheckReport), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn run(
    State(app): State<App>,
    _: AuthFor<ForAdmin>,
    client: ClientEnd,
    Body(request): Body<CheckRequest>,
) -> Result<Json<CheckReport>, ApiError> {
    tokio::select! {
        report = app.maintenance.check(request) => Ok(Json(report?)),
        () = client.awaited() => Err(ApiError::ClientGone),
    }
}
