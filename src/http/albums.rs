//! `/v1/albums`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{Auth, AuthFor, Body, ForUser, Paging, Params, PathId};
use super::{App, cursor, routes, views};
use crate::api::{Album, CreateAlbum, Page, PatchAlbum, Problem};
use crate::model::AlbumId;

/// Which albums to list.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// Exactly this name.
    name: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Makes an album.
#[utoipa::path(post, path = "/v1/albums", operation_id = "create_album", tag = "albums", request_body = CreateAlbum, security(("token" = [])), responses(
    (status = 201, body = Album), (status = 200, body = Album, description = "The same id and name again: the album that is there"),
    (status = 400, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForUser>,
    Body(new): Body<CreateAlbum>,
) -> Result<Response, ApiError> {
    let (album, made) = app.services.create_album(&caller, new.id, &new.name, new.description.as_deref()).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::LOCATION, routes::album_path(album.view.id))], Json(views::album(album))).into_response())
}

/// Lists the caller's albums.
#[utoipa::path(get, path = "/v1/albums", operation_id = "list_albums", tag = "albums", security(("token" = [])),
    params(("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query), ("name" = Option<String>, Query)),
    responses((status = 200, body = Page<Album>)))]
pub(super) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(filter): Params<Filter>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let paging = Paging::new(filter.limit, filter.cursor);
    let limit = paging.limit(&app);
    let albums = match &filter.name {
        Some(name) => app.services.albums_named(&caller, name, paging.after()?, limit).await?,
        None => app.services.list_albums(&caller, paging.after()?, limit).await?,
    };
    Ok(cursor::page(albums, &uri, views::album))
}

/// Shows an album.
#[utoipa::path(get, path = "/v1/albums/{album}", operation_id = "show_album", tag = "albums", security(("token" = [])), params(("album" = uuid::Uuid, Path)),
    responses((status = 200, body = Album), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn show(State(app): State<App>, Auth(caller): Auth, PathId(id): PathId<AlbumId>) -> Result<Json<Album>, ApiError> {
    Ok(Json(views::album(app.services.album(&caller, id).await?)))
}

/// Edits an album.
#[utoipa::path(patch, path = "/v1/albums/{album}", operation_id = "edit_album", tag = "albums", security(("token" = [])), params(("album" = uuid::Uuid, Path)),
    request_body = PatchAlbum, responses((status = 200, body = Album), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn edit(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForUser>,
    PathId(id): PathId<AlbumId>,
    Body(patch): Body<PatchAlbum>,
) -> Result<Json<Album>, ApiError> {
    Ok(Json(views::album(app.services.edit_album(&caller, id, patch.name.as_deref(), patch.description.as_deref()).await?)))
}

/// Moves an album, and the photos in it, to the trash.
#[utoipa::path(delete, path = "/v1/albums/{album}", operation_id = "delete_album", tag = "albums", security(("token" = [])), params(("album" = uuid::Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn delete(State(app): State<App>, Auth(caller): Auth, PathId(id): PathId<AlbumId>) -> Result<StatusCode, ApiError> {
    app.services.trash_album(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
