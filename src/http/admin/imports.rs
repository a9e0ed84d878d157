//! `/v1/admin/imports`: trees of photos on the server's own disks.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::{CreateImport, Import, Page, Problem};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::extract::{AuthFor, Body, ForAdmin, PathId};
use crate::model::ImportId;

/// Begins to take in a tree. One at a time; it goes on after a restart of the server.
#[utoipa::path(post, path = "/v1/admin/imports", operation_id = "start_import", tag = "admin", security(("token" = [])), request_body = CreateImport,
    responses((status = 201, body = Import), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForAdmin>,
    Body(new): Body<CreateImport>,
) -> Result<Response, ApiError> {
    Ok((StatusCode::CREATED, Json(app.imports.start(&caller, new).await?)).into_response())
}

/// The imports of late, newest first, without their refusals. All of them are one page.
#[utoipa::path(get, path = "/v1/admin/imports", operation_id = "list_imports", tag = "admin", security(("token" = [])),
    responses((status = 200, body = Page<Import>), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn list(State(app): State<App>, AuthFor(caller, _): AuthFor<ForAdmin>) -> Result<Json<Page<Import>>, ApiError> {
    Ok(Json(Page { items: app.imports.list(&caller)?, next: None }))
}

/// How an import stands.
#[utoipa::path(get, path = "/v1/admin/imports/{import}", operation_id = "show_import", tag = "admin", security(("token" = [])),
    params(("import" = uuid::Uuid, Path)),
    responses((status = 200, body = Import), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn show(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForAdmin>,
    PathId(id): PathId<ImportId>,
) -> Result<Json<Import>, ApiError> {
    Ok(Json(app.imports.get(&caller, id)?))
}

/// Stops an import: what is on its way comes to its end, and what came in stays.
#[utoipa::path(delete, path = "/v1/admin/imports/{import}", operation_id = "stop_import", tag = "admin", security(("token" = [])),
    params(("import" = uuid::Uuid, Path)),
    responses((status = 202, body = Import), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn stop(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForAdmin>,
    PathId(id): PathId<ImportId>,
) -> Result<Response, ApiError> {
    Ok((StatusCode::ACCEPTED, Json(app.imports.stop(&caller, id).await?)).into_response())
}
