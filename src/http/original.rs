//! `GET` and `HEAD` of an original: the bytes as they were sent, checked against their hash before the first leaves.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::App;
use super::conditional::{self, Precondition};
use super::error::ApiError;
use super::extract::{Auth, PathId};
use super::range::{self, RangeAnswer};
use super::{content_disposition, digest_header};
use crate::api::Problem;
use crate::model::PhotoId;
use crate::model::photo::PhotoView;
use crate::service::{BlobReader, ServiceError};

/// Bytes that are read and sent at once.
const PIECE: u64 = 128 << 10;
/// An original never changes under its URL, but may be withdrawn: kept privately, asked again each time (a 304 costs no read).
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Downloads an original.
#[utoipa::path(get, path = "/v1/photos/{photo}/original", tag = "photos", security(("token" = [])),
    params(("photo" = uuid::Uuid, Path), ("Range" = Option<String>, Header), ("If-Range" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 206, body = Vec<u8>, content_type = "image/*"), (status = 304),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 412, body = Problem, content_type = "application/problem+json"),
        (status = 416, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<PhotoId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let photo = app.services.original(&caller, id)?.photo;
    let etag = format!("\"{}\"", photo.hash);
    match conditional::evaluate(&headers, &etag) {
        Precondition::Proceed => {}
        Precondition::NotModified => return Ok(not_modified(&etag)),
        Precondition::Failed => return Err(ApiError::PreconditionFailed),
    }
    // RFC 9110, section 14.2: Range is defined for GET alone.
    let asked = if method == Method::GET { range::evaluate(&headers, &etag, photo.size_bytes) } else { RangeAnswer::Whole };
    let (status, start, end) = match asked {
        RangeAnswer::Whole => (StatusCode::OK, 0, photo.size_bytes),
        RangeAnswer::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        RangeAnswer::Unsatisfiable => return Err(ApiError::RangeNotSatisfiable { size_bytes: photo.size_bytes }),
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let blob = app.services.open_blob(photo.hash).await?;
        if blob.size_bytes() != photo.size_bytes {
            return Err(ServiceError::Damaged.into());
        }
        Body::from_stream(pieces(blob, start, end))
    };
    let mut response = (status, body).into_response();
    describe(response.headers_mut(), &photo, &etag, start, end, status);
    Ok(response)
}

fn not_modified(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    insert(headers, header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, CACHING);
    response
}

fn describe(headers: &mut HeaderMap, photo: &PhotoView, etag: &str, start: u64, end: u64, status: StatusCode) {
    insert(headers, header::CONTENT_TYPE, crate::model::format::media_type(&photo.format));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, CACHING);
    insert(headers, header::ETAG, etag);
    insert(headers, header::CONTENT_DISPOSITION, &content_disposition::attachment(&photo.name));
    insert(headers, header::HeaderName::from_static("repr-digest"), &digest_header::write_sha256(&photo.sha256));
    // An SVG or HTML that slipped through must not run, whatever a browser makes of it.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if status == StatusCode::PARTIAL_CONTENT {
        insert(headers, header::CONTENT_RANGE, &format!("bytes {start}-{}/{}", end - 1, photo.size_bytes));
    }
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The bytes from `start` up to `end`, in pieces. An error breaks the connection off, so that a short body is never taken for whole.
fn pieces(blob: BlobReader, start: u64, end: u64) -> impl futures_util::Stream<Item = Result<Bytes, ServiceError>> + Send {
    stream::try_unfold((blob, start), move |(blob, offset)| async move {
        if offset >= end {
            return Ok(None);
        }
        let length = PIECE.min(end - offset);
        let piece = blob.read_at(offset, length as usize).await?;
        Ok(Some((piece, (blob, offset + length))))
    })
}
