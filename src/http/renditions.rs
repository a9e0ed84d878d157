//! `GET /i/{signature}/{options}/plain/{hash}@{ext}`: a rendition, in imgproxy's URL form. The URL is all that a client needs.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::conditional::{self, Precondition};
use super::error::ApiError;
use super::range::{self, RangeAnswer};
use crate::api::Problem;
use crate::service::OutputFormat;

/// A rendition never changes under its URL.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Fetches a rendition.
#[utoipa::path(get, path = "/i/{rendition}", tag = "renditions",
    params(("rendition" = String, Path, description = "`{signature}/{options}/plain/{hash}@{ext}`; options: `rs:fit:{w}:{h}`, `w:`, `h:`, `q:`, `exp:`, `cb:`")),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 304), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // The signature covers the path as it was sent, so it is read from the URI, not from what the router decoded.
    let path = uri.path().strip_prefix("/i").unwrap_or(uri.path());
    let request = app.services.resolve_rendition(path)?;
    let etag = request.etag();
    match conditional::evaluate(&headers, &etag) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            describe(response.headers_mut(), &etag);
            return Ok(response);
        }
        Precondition::Failed => return Err(ApiError::PreconditionFailed),
    }
    let rendition = app.services.rendition(&request).await?;
    let size = rendition.bytes.len() as u64;
    let (status, start, end) = match if method == Method::GET { range::evaluate(&headers, &etag, size) } else { RangeAnswer::Whole } {
        RangeAnswer::Whole => (StatusCode::OK, 0, size),
        RangeAnswer::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        RangeAnswer::Unsatisfiable => return Err(ApiError::RangeNotSatisfiable { size_bytes: size }),
    };
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(rendition.bytes.slice(start as usize..end as usize)) };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    describe(headers, &etag);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(rendition.format)));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::try_from(format!("bytes {start}-{}/{size}", end - 1))
    {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, etag: &str) {
    headers.insert(header::CACHE_CONTROL, CACHING);
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, value);
    }
    // Thumbnails are painted by pages of other origins: the tenants' own sites.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
}

fn media_type(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpeg => "image/jpeg",
        OutputFormat::WebP => "image/webp",
        OutputFormat::Png => "image/png",
    }
}
