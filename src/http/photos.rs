//! `/v1/photos` and the list of an album's.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::error::ApiError;
use super::extract::{Auth, AuthFor, Body, ForUser, Paging, Params, PathId};
use super::views::PhotoWriter;
use super::{App, cursor};
use crate::api::{Page, PatchPhoto, Photo, Problem};
use crate::model::{AlbumId, PhotoId};
use crate::service::PhotoEdit;

/// Lists an album's photos.
#[utoipa::path(get, path = "/v1/albums/{album}/photos", operation_id = "list_photos", tag = "photos", security(("token" = [])),
    params(("album" = uuid::Uuid, Path), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Photo>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(album): PathId<AlbumId>,
    Params(paging): Params<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let limit = paging.limit(&app);
    let photos = app.services.list_photos(&caller, album, paging.after()?, limit).await?;
    let writer = PhotoWriter::new(&app.services, &caller).await?;
    Ok(cursor::page(photos, &uri, |photo| writer.photo(photo)))
}

/// Shows a photo.
#[utoipa::path(get, path = "/v1/photos/{photo}", operation_id = "show_photo", tag = "photos", security(("token" = [])), params(("photo" = uuid::Uuid, Path)),
    responses((status = 200, body = Photo), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 410, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(app): State<App>, Auth(caller): Auth, PathId(id): PathId<PhotoId>) -> Result<Json<Photo>, ApiError> {
    let photo = app.services.photo(&caller, id).await?;
    Ok(Json(PhotoWriter::new(&app.services, &caller).await?.photo(photo)))
}

/// Edits a photo, or moves it to another album.
#[utoipa::path(patch, path = "/v1/photos/{photo}", operation_id = "edit_photo", tag = "photos", security(("token" = [])), params(("photo" = uuid::Uuid, Path)),
    request_body = PatchPhoto, responses((status = 200, body = Photo), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn edit(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForUser>,
    PathId(id): PathId<PhotoId>,
    Body(patch): Body<PatchPhoto>,
) -> Result<Json<Photo>, ApiError> {
    let edit = PhotoEdit { name: patch.name, caption: patch.caption, album: patch.album };
    let writer = PhotoWriter::new(&app.services, &caller).await?;
    Ok(Json(writer.photo(app.services.edit_photo(&caller, id, edit).await?)))
}

/// Moves a photo to the trash.
#[utoipa::path(delete, path = "/v1/photos/{photo}", operation_id = "delete_photo", tag = "photos", security(("token" = [])), params(("photo" = uuid::Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete(State(app): State<App>, Auth(caller): Auth, PathId(id): PathId<PhotoId>) -> Result<StatusCode, ApiError> {
    app.services.trash_photo(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
