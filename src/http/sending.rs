//! `/v1/blobs/missing` and `link`.

use axum::Json;
use axum::extract::State;

use super::error::ApiError;
use super::extract::{AuthFor, Body, ForUser, PathId};
use super::views::PhotoWriter;
use super::{App, UploadOutcome};
use crate::api::{LinkRequest, Linked, Missing, MissingRequest, Problem};
use crate::model::AlbumId;
use crate::service::{LinkItem, LinkOutcome};

/// Which of these blobs the caller must send; the rest are pinned.
#[utoipa::path(post, path = "/v1/blobs/missing", operation_id = "ask_missing", tag = "sending", security(("token" = [])), request_body = MissingRequest,
    responses((status = 200, body = Missing), (status = 413, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn missing(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForUser>,
    Body(request): Body<MissingRequest>,
) -> Result<Json<Missing>, ApiError> {
    Ok(Json(Missing { missing: app.services.missing(&caller, request.hashes).await? }))
}

/// Makes photos of blobs that the caller owns, many in one commit.
#[utoipa::path(post, path = "/v1/albums/{album}/photos/link", operation_id = "link_photos", tag = "sending", security(("token" = [])), params(("album" = uuid::Uuid, Path)),
    request_body = LinkRequest, responses((status = 200, body = Linked), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn link(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForUser>,
    PathId(album): PathId<AlbumId>,
    Body(request): Body<LinkRequest>,
) -> Result<Json<Linked>, ApiError> {
    let items = request.photos.into_iter().map(|photo| LinkItem { id: photo.id, hash: photo.hash, name: photo.name }).collect();
    let writer = PhotoWriter::new(&app.services, &caller).await?;
    let outcomes = app.services.link(&caller, album, items).await?;
    let mut linked = Linked { items: vec![], missing: vec![] };
    for outcome in outcomes {
        match outcome {
            LinkOutcome::Photo { photo, duplicate, created } => {
                let size_bytes = photo.size_bytes;
                app.observer.upload(if created { UploadOutcome::Linked { size_bytes } } else { UploadOutcome::Existing { size_bytes } });
                let spooled = app.services.waits(&photo.hash);
                linked.items.push(writer.arrived(*photo, duplicate, spooled));
            }
            LinkOutcome::Missing(hash) => linked.missing.push(hash),
        }
    }
    Ok(Json(linked))
}
