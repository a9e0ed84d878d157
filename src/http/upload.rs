//! `POST` and `PUT` of a photo's bytes.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoResponses;
use utoipa::openapi::{self, RefOr};

use super::error::ApiError;
use super::extract::{Auth, Params, PathId};
use super::idle::{Pace, Paced};
use super::openapi::problem;
use super::views::PhotoWriter;
use super::{App, UploadOutcome, digest_header, routes};
use crate::api::Photo;
use crate::model::{AlbumId, PhotoId};
use crate::service::{ExpectedDigests, PhotoName, ServiceError, UploadRequest, Uploaded};

/// The header that makes a retry safe.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longer keys are refused.
const MAX_KEY_LENGTH: usize = 255;

/// Under which name.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    /// The file name.
    name: Option<String>,
}

/// Why a photo is not taken, by whichever call it is sent.
struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let refusals = [
            ("400", "A name or a header that cannot be, bytes that do not have the digest sent with them, or a body that was cut off"),
            ("404", "No such album"),
            ("408", "It came too slowly"),
            ("409", "The id, or the `Idempotency-Key`, names other bytes"),
            ("410", "The photo of this id was erased"),
            ("413", "Too many bytes or pixels"),
            ("415", "Not an image of a kind that is taken"),
            ("422", "The image is broken"),
            ("429", "Too many uploads of this user at once"),
            ("503", "Too many uploads at once, or a store is away"),
            ("507", "The store is out of space"),
        ];
        refusals.map(|(status, description)| (status.to_owned(), problem(description))).into()
    }
}

/// Uploads a photo. The body is the image.
#[utoipa::path(post, path = "/v1/albums/{album}/photos", operation_id = "upload_photo", tag = "photos", security(("token" = [])),
    params(("album" = uuid::Uuid, Path), ("name" = Option<String>, Query, description = "The file name"),
        ("Content-Digest" = Option<String>, Header, description = "sha-256 (RFC 9530)"), ("X-Blake3" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = Vec<u8>, content_type = "image/*"),
    responses((status = 201, body = Photo), (status = 200, body = Photo, description = "These bytes stood in the album already"), Refusals))]
pub(super) async fn create(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(album): PathId<AlbumId>,
    Params(named): Params<Named>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let id = match headers.get(IDEMPOTENCY_KEY) {
        None => PhotoName::Fresh,
        Some(value) => match value.to_str() {
            Ok(key) if (1..=MAX_KEY_LENGTH).contains(&key.len()) => PhotoName::Key(key.to_owned()),
            _ => return Err(ApiError::Malformed { detail: format!("{IDEMPOTENCY_KEY}: 1 to {MAX_KEY_LENGTH} ASCII characters") }),
        },
    };
    receive(app, caller, album, named, id, &headers, body).await
}

/// Uploads a photo under the client's own id; the same again answers the same photo.
#[utoipa::path(put, path = "/v1/albums/{album}/photos/{photo}", operation_id = "put_photo", tag = "photos", security(("token" = [])),
    params(("album" = uuid::Uuid, Path), ("photo" = uuid::Uuid, Path), ("name" = Option<String>, Query, description = "The file name"),
        ("Content-Digest" = Option<String>, Header, description = "sha-256 (RFC 9530)"), ("X-Blake3" = Option<String>, Header)),
    request_body(content = Vec<u8>, content_type = "image/*"),
    responses((status = 201, body = Photo), (status = 200, body = Photo, description = "The photo was there already"), Refusals))]
pub(super) async fn put(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId((album, photo)): PathId<(AlbumId, PhotoId)>,
    Params(named): Params<Named>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Response, ApiError> {
    receive(app, caller, album, named, PhotoName::Own(photo), &headers, body).await
}

async fn receive(
    app: App,
    caller: crate::service::Caller,
    album: AlbumId,
    named: Named,
    id: PhotoName,
    headers: &HeaderMap,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let request = UploadRequest {
        caller: caller.clone(),
        album,
        name: named.name.unwrap_or_else(|| "photo".into()),
        id,
        expected: expected(headers)?,
        size_bytes: headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
    };
    // Made before the photo is: what is acknowledged must not end as an error because its URLs cannot be signed.
    let writer = PhotoWriter::new(&app.services, &caller).await?;
    let pace = Pace { stall: app.limits.stall_timeout, min_bytes_per_second: app.limits.min_upload_bytes_per_second };
    let body = Paced::new(body.into_data_stream(), pace, app.runtime.clock.clone()).map_err(ServiceError::from);
    match app.services.upload(request, body).await {
        Ok(uploaded) => {
            app.observer.upload(outcome(&uploaded));
            let status = if uploaded.created { StatusCode::CREATED } else { StatusCode::OK };
            let location = routes::photo_path(uploaded.photo.id);
            let photo = writer.arrived(uploaded.photo, uploaded.duplicate, uploaded.spooled);
            Ok((status, [(header::LOCATION, location)], Json(photo)).into_response())
        }
        Err(error) => {
            let error = ApiError::from(error);
            app.observer.upload(UploadOutcome::Refused(error.code()));
            Err(error)
        }
    }
}

fn outcome(uploaded: &Uploaded) -> UploadOutcome {
    let size_bytes = uploaded.size_bytes;
    match (uploaded.created, uploaded.deduplicated) {
        (false, _) => UploadOutcome::Existing { size_bytes },
        (true, true) => UploadOutcome::Deduplicated { size_bytes },
        (true, false) => UploadOutcome::Stored { size_bytes },
    }
}

/// The digests that the client sent along.
fn expected(headers: &HeaderMap) -> Result<ExpectedDigests, ApiError> {
    digest_header::expected(headers).map_err(|error| ApiError::Malformed { detail: error.to_string() })
}
