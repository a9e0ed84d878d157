//! `/v1/admin/blobs/move`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::{MoveRequest, MoveStatus, Problem};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::extract::{AuthFor, Body, ForAdmin};

/// Says where the blobs are, and how far a move has come.
#[utoipa::path(get, path = "/v1/admin/blobs/move", operation_id = "get_move", tag = "admin", security(("token" = [])),
    responses((status = 200, body = MoveStatus)))]
pub(in crate::http) async fn show(State(app): State<App>, _: AuthFor<ForAdmin>) -> Result<Json<MoveStatus>, ApiError> {
    Ok(Json(app.maintenance.move_status().await?))
}

/// Begins to move all blobs to another store, or goes on with it. The site is used meanwhile.
#[utoipa::path(post, path = "/v1/admin/blobs/move", operation_id = "start_move", tag = "admin", security(("token" = [])), request_body = MoveRequest,
    responses((status = 202, body = MoveStatus), (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn start(
    State(app): State<App>,
    _: AuthFor<ForAdmin>,
    Body(request): Body<MoveRequest>,
) -> Result<(StatusCode, Json<MoveStatus>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(app.maintenance.start_move(request).await?)))
}

/// Calls a move off; where it has ended, moves the blobs back to where they were.
#[utoipa::path(post, path = "/v1/admin/blobs/move/back", operation_id = "move_back", tag = "admin", security(("token" = [])),
    responses((status = 202, body = MoveStatus), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn back(State(app): State<App>, _: AuthFor<ForAdmin>) -> Result<(StatusCode, Json<MoveStatus>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(app.maintenance.move_back().await?)))
}

/// Lets go of the store where the blobs were: it gets nothing more. What lies there stays.
#[utoipa::path(post, path = "/v1/admin/blobs/move/finish", operation_id = "finish_move", tag = "admin", security(("token" = [])),
    responses((status = 200, body = MoveStatus), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn finish(State(app): State<App>, _: AuthFor<ForAdmin>) -> Result<Json<MoveStatus>, ApiError> {
    Ok(Json(app.maintenance.finish_move().await?))
}
