//! The answer to a request for a rendition, whatever named it: conditional, in parts, made only where its bytes are asked for.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::range::{self, Selection};
use super::{App, RenditionOutcome};
use crate::service::{Rendition, RenditionFormat, RenditionRequest, ServedFrom, ServiceError};

/// A rendition never changes under its URL.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// But what stands in for a better one is asked for again soon.
const CACHING_MEANWHILE: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// A whole answer that came from the cache.
pub(super) struct Cached {
    pub(super) bytes: Bytes,
    /// How long its URL holds; `None`: for ever.
    pub(super) left: Option<Duration>,
}

/// Counts a refusal.
pub(super) fn refused(app: &App, error: impl Into<ApiError>) -> ApiError {
    let error = error.into();
    app.observer.rendition(RenditionOutcome::Refused(error.code()));
    error
}

/// Answers GET and HEAD.
pub(super) async fn answer(
    app: &App,
    request: &RenditionRequest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Response, Option<Cached>), ApiError> {
    let best = tag_of(request)?;
    let (request, is_best) = app.services.ready_rendition(*request, *method == Method::GET).await;
    let caching = if is_best { CACHING } else { CACHING_MEANWHILE };
    let tag = tag_of(&request)?;
    if !is_best
        && headers.contains_key(header::IF_NONE_MATCH)
        && conditional::evaluate(method, headers, Some(&best)) == Verdict::NotModified
    {
        // It has the best already, though here it lies no more.
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), &best, CACHING);
        return Ok((response, None));
    }
    match conditional::evaluate(method, headers, Some(&tag)) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            describe(response.headers_mut(), &tag, caching);
            return Ok((response, None));
        }
        Verdict::PreconditionFailed => return Err(ApiError::PreconditionFailed),
    }
    if *method == Method::HEAD {
        return Ok((head(&request, app.services.cached_rendition(&request).await, &tag, caching), None));
    }
    let rendition = app.services.rendition(&request).await.map_err(|error| refused(app, error))?;
    app.observer.rendition(match rendition.from {
        ServedFrom::Cache => RenditionOutcome::Cached,
        ServedFrom::Joined => RenditionOutcome::Joined,
        ServedFrom::Rendered(took) => RenditionOutcome::Rendered(took),
    });
    let is_cached = matches!(rendition.from, ServedFrom::Cache);
    let rendition = rendition.rendition;
    let size_bytes = rendition.bytes.len() as u64;
    let (status, bytes, content_range) = match range::select(method, headers, &tag, size_bytes) {
        Selection::Whole => (StatusCode::OK, rendition.bytes, None),
        Selection::Part(part) => {
            let bytes = rendition.bytes.slice(part.first as usize..=part.last as usize);
            (StatusCode::PARTIAL_CONTENT, bytes, Some(part.content_range(size_bytes)))
        }
        Selection::Unsatisfiable => return Err(ApiError::RangeNotSatisfiable { size_bytes }),
    };
    let length = bytes.len();
    let cached = (is_cached && status == StatusCode::OK && is_best)
        .then(|| Cached { bytes: bytes.clone(), left: app.services.rendition_left(&request) });
    let mut response = (status, bytes).into_response();
    let sent = response.headers_mut();
    describe(sent, &tag, caching);
    describe_bytes(sent, request.format());
    sent.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(content_range) = content_range {
        sent.insert(header::CONTENT_RANGE, content_range);
    }
    Ok((response, cached))
}

fn tag_of(request: &RenditionRequest) -> Result<EntityTag, ServiceError> {
    EntityTag::strong(&request.tag()).ok_or_else(|| ServiceError::Internal("a rendition's tag is no entity tag".into()))
}

/// What GET would answer, as far as it is known without rendering: how long it is only where it lies in the cache (RFC 9110, section 9.3.2).
fn head(request: &RenditionRequest, cached: Option<Rendition>, tag: &EntityTag, caching: HeaderValue) -> Response {
    // Of no length: of an empty body axum would say that it has none.
    let mut response = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()).into_response();
    let sent = response.headers_mut();
    describe(sent, tag, caching);
    describe_bytes(sent, request.format());
    if let Some(cached) = cached {
        sent.insert(header::CONTENT_LENGTH, HeaderValue::from(cached.bytes.len()));
    }
    response
}

fn describe_bytes(headers: &mut HeaderMap, format: RenditionFormat) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

fn describe(headers: &mut HeaderMap, tag: &EntityTag, caching: HeaderValue) {
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::ETAG, tag.to_header());
}
