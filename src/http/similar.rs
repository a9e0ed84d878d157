//! `/v1/photos/{photo}/similar`.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{Auth, Paging, Params, PathId};
use super::views::PhotoWriter;
use super::{App, cursor};
use crate::api::{Problem, SimilarPhoto, SimilarPhotos};
use crate::model::PhotoId;
use crate::service;

/// How alike, and how many.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    distance: Option<u32>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Lists the caller's photos that look like this one.
///
/// Re-encodings, other sizes and the frames of a burst, nearest first; not the photo itself, nothing in the trash, nobody else's. `distance`
/// (0 to 11, by default 10) is in how many of 64 bits their perceptual hashes may differ.
#[utoipa::path(get, path = "/v1/photos/{photo}/similar", operation_id = "list_similar_photos", tag = "photos", security(("token" = [])),
    params(("photo" = uuid::Uuid, Path), ("distance" = Option<u32>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = SimilarPhotos), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 410, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<PhotoId>,
    Params(query): Params<Query>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let paging = Paging::new(query.limit, query.cursor);
    let limit = paging.limit(&app);
    let found = app.services.similar_photos(&caller, id, query.distance, paging.after()?, limit).await?;
    let writer = PhotoWriter::new(&app.services, &caller).await?;
    let service::SimilarPhotos { hash, distance, complete_within, page } = found;
    let perceptual_hash = hash.map(|hash| hash.to_string());
    let item = |item: service::SimilarPhoto| SimilarPhoto { distance: item.distance, photo: writer.photo(item.photo) };
    Ok(cursor::page_as(page, &uri, item, |items, next| SimilarPhotos { perceptual_hash, distance, complete_within, items, next }))
}
