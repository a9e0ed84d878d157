//! The answer to a request for a rendition, whatever named it: conditional, in parts, made only where its bytes are asked for.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::range::{self, Selection};
use super::{ClientEnd, Front, RenditionOutcome, caching, server_timing};
use crate::service::{Freshness, Ready, Rendition, RenditionFormat, RenditionRequest, ServedFrom, ServiceError};

/// For how many seconds what stands in for a better one may be shown.
const MEANWHILE_SECONDS: u32 = 30;

/// Counts a refusal.
pub(super) fn refused(front: &Front, error: impl Into<ApiError>) -> ApiError {
    let error = error.into();
    front.observer.rendition(RenditionOutcome::Refused(error.code()));
    error
}

/// Answers GET and HEAD; with the whole answer's bytes where they came from the cache and others may be answered alike. What has to be made is
/// given up where the client closes the connection, also by half: nobody asks for an image in that way.
pub(super) async fn answer(
    front: &Front,
    client: &ClientEnd,
    request: &RenditionRequest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(Response, Option<Bytes>), ApiError> {
    let begun = front.runtime.clock.monotonic();
    let asked = request;
    let Ready { request, is_best, found } = front.renditions.ready(*request, *method == Method::GET).await;
    let freshness = request.freshness();
    let caching = caching::cache_control(if is_best {
        freshness
    } else {
        Freshness { max_age_seconds: freshness.max_age_seconds.min(MEANWHILE_SECONDS), immutable: false }
    });
    let tag = tag_of(&request)?;
    if !is_best && headers.contains_key(header::IF_NONE_MATCH) {
        let best = tag_of(asked)?;
        if conditional::evaluate(method, headers, Some(&best)) == Verdict::NotModified {
            // It has the best already, though here it lies no more.
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            describe(response.headers_mut(), &best, caching::cache_control(freshness));
            return Ok((response, None));
        }
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
        let cached = match found {
            _ if !front.server_timing => None,
            Some(served) => Some(served.rendition),
            None => front.renditions.cached(&request).await,
        };
        return Ok((head(&request, cached, &tag, caching), None));
    }
    let served = match found {
        Some(served) => served,
        None => tokio::select! {
            biased;
            served = front.renditions.rendition(&request) => served.map_err(|error| refused(front, error))?,
            () = client.awaited() => return Err(refused(front, ApiError::ClientGone)),
        },
    };
    front.observer.rendition(match served.from {
        ServedFrom::Cache => RenditionOutcome::Cached,
        ServedFrom::Disk => RenditionOutcome::Disk,
        ServedFrom::Joined => RenditionOutcome::Joined,
        ServedFrom::Rendered(took) => RenditionOutcome::Rendered(took),
    });
    let rendition = served.rendition.clone();
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
    // What a URL that expires says to caches is another thing each second, and what `Server-Timing` says is each request's own.
    let is_alike = is_best && request.expires().is_none() && !front.server_timing;
    let cached = (matches!(served.from, ServedFrom::Cache) && status == StatusCode::OK && is_alike).then(|| bytes.clone());
    let mut response = (status, bytes).into_response();
    let sent = response.headers_mut();
    describe(sent, &tag, caching);
    describe_bytes(sent, request.format());
    if front.server_timing {
        server_timing::describe(sent, &served, front.runtime.clock.monotonic().saturating_sub(begun));
    }
    sent.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(content_range) = content_range {
        sent.insert(header::CONTENT_RANGE, content_range);
    }
    Ok((response, cached))
}

fn tag_of(request: &RenditionRequest) -> Result<EntityTag, ServiceError> {
    EntityTag::strong(&request.tag()).ok_or_else(|| ServiceError::Internal("a rendition's tag is no entity tag".into()))
}

/// What GET would answer, as far as it is known without rendering (RFC 9110, section 9.3.2): how long it is only where it lies in the cache, and nobody
/// minds that this is told.
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
