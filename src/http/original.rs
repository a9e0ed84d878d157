//! `GET` and `HEAD` of an original: the bytes as they were sent, checked against their hash before the first leaves.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::App;
use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::extract::{Auth, PathId};
use super::range::{self, Selection};
use super::sendfile::{Outgoing, PLACE_BYTES};
use super::{content_disposition, digest_header};
use crate::api::Problem;
use crate::model::photo::PhotoView;
use crate::model::{Format, PhotoId};
use crate::service::{BlobReader, ServiceError};

/// How bytes may go out past this process, where the connection can.
pub(super) struct Outgoings(pub(super) Option<Outgoing>);

impl<S: Send + Sync> FromRequestParts<S> for Outgoings {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Outgoing::of(&parts.extensions, parts.version)))
    }
}

/// Bytes that are read and sent at once where they are copied.
const PIECE_BYTES: usize = 128 << 10;
/// An original never changes under its URL, but may be withdrawn: kept privately, asked again each time (a 304 costs no read).
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Downloads an original.
#[utoipa::path(get, path = "/v1/photos/{photo}/original", operation_id = "get_original", tag = "photos", security(("token" = [])),
    params(("photo" = uuid::Uuid, Path), ("Range" = Option<String>, Header), ("If-Range" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 206, body = Vec<u8>, content_type = "image/*"), (status = 304),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 410, body = Problem, content_type = "application/problem+json"),
        (status = 412, body = Problem, content_type = "application/problem+json"), (status = 416, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<PhotoId>,
    request: Request,
) -> Result<Response, ApiError> {
    let (method, headers) = (request.method(), request.headers());
    let original = app.services.original(&caller, id).await?;
    let photo = &original.photo;
    let tag = EntityTag::of_blob(&photo.hash);
    match conditional::evaluate(method, headers, Some(&tag)) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Ok(not_modified(&tag)),
        Verdict::PreconditionFailed => return Err(ApiError::PreconditionFailed),
    }
    let part = match range::select(method, headers, &tag, photo.size_bytes) {
        Selection::Whole => None,
        Selection::Part(part) => Some(part),
        Selection::Unsatisfiable => return Err(ApiError::RangeNotSatisfiable { size_bytes: photo.size_bytes }),
    };
    let (start, end) = part.map_or((0, photo.size_bytes), |part| (part.first, part.last + 1));
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        let blob = app.services.open_original(&caller, &original, (end - start < photo.size_bytes).then_some(start..end)).await?;
        if end < photo.size_bytes && blob.is_sequential() {
            // Its last bytes are withheld until all are known to be good, which a part that ends before would not wait for.
            blob.read_at(photo.size_bytes - 1, 1).await?;
        }
        let outgoing = Outgoing::of(request.extensions(), request.version()).filter(|_| blob.as_fd().is_some());
        Body::from_stream(pieces(blob, start, end, outgoing))
    };
    let mut response = (if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }, body).into_response();
    let headers = response.headers_mut();
    describe(headers, photo, &tag);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    if let Some(part) = part {
        headers.insert(header::CONTENT_RANGE, part.content_range(photo.size_bytes));
    }
    Ok(response)
}

fn not_modified(tag: &EntityTag) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.to_header());
    headers.insert(header::CACHE_CONTROL, CACHING);
    response
}

fn describe(headers: &mut HeaderMap, photo: &PhotoView, tag: &EntityTag) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(&photo.format)));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, CACHING);
    headers.insert(header::ETAG, tag.to_header());
    headers.insert(header::CONTENT_DISPOSITION, content_disposition::attachment(&photo.name));
    headers.insert(digest_header::REPR_DIGEST, digest_header::sha256_field(&photo.sha256));
    // Whatever a browser makes of the bytes, they must not run.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
}

/// The media type of a stored format; one that a later version stored is bytes.
fn media_type(format: &str) -> &'static str {
    format.parse::<Format>().map_or("application/octet-stream", Format::media_type)
}

/// The bytes from `start` up to `end`, in pieces. An error breaks the connection off, so that a short body is never taken for whole.
pub(super) fn pieces(
    blob: BlobReader,
    start: u64,
    end: u64,
    outgoing: Option<Outgoing>,
) -> impl futures_util::Stream<Item = Result<Bytes, ServiceError>> + Send {
    let largest = if outgoing.is_some() { PLACE_BYTES } else { PIECE_BYTES };
    stream::try_unfold(start, move |offset| {
        let (blob, outgoing) = (blob.clone(), outgoing.clone());
        async move {
            if offset >= end {
                return Ok(None);
            }
            let length = largest.min(usize::try_from(end - offset).unwrap_or(usize::MAX));
            let piece = match outgoing {
                Some(outgoing) => {
                    blob.warm(offset, length).await?;
                    outgoing.promise(blob, offset, length)
                }
                None => blob.read_at(offset, length).await?,
            };
            Ok(Some((piece, offset + length as u64)))
        }
    })
}
