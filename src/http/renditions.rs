//! `GET /i/{signature}/{options}/plain/{hash}@{ext}`: a rendition, in imgproxy's URL form. The URL is all that a client needs.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::accept::{self, Offer};
use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::range::{self, Selection};
use super::{App, RenditionOutcome};
use crate::api::Problem;
use crate::service::{Rendition, RenditionFormat, RenditionRequest, ServedFrom, ServiceError};

/// A rendition never changes under its URL.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Fetches a rendition.
#[utoipa::path(get, path = "/i/{rendition}", operation_id = "get_rendition", tag = "renditions",
    params(("rendition" = String, Path, description = "`{signature}/{options}/plain/{hash}@{ext}`; options: `rs:{type}:{w}:{h}`, `g:`, `bg:`, `bl:`, `q:`, `dpr:`, `f:`, `exp:`, `cb:`")),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json"),
        (status = 504, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(State(app): State<App>, OriginalUri(uri): OriginalUri, method: Method, headers: HeaderMap) -> Response {
    let mut response = answer(&app, &uri, &method, &headers).await.unwrap_or_else(IntoResponse::into_response);
    let sent = response.headers_mut();
    // Whatever it is: another `Accept` may get something else, and a page of another origin may read why it got none.
    sent.insert(header::VARY, HeaderValue::from_static("accept"));
    // Thumbnails are painted by pages of other origins: the tenants' own sites.
    sent.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    sent.insert(header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    response
}

async fn answer(app: &App, uri: &Uri, method: &Method, headers: &HeaderMap) -> Result<Response, ApiError> {
    // The signature covers the path as it was sent, so it is read from the URI, not from what the router decoded.
    let refused = |error: ApiError| {
        app.observer.rendition(RenditionOutcome::Refused(error.code()));
        error
    };
    // A query is not signed: with it one rendition would have any number of URLs, each of them an entry in every cache on the way.
    if uri.query().is_some() {
        return Err(refused(ApiError::Malformed { detail: "the URL of a rendition has no query".into() }));
    }
    let request = app.services.resolve_rendition(uri.path(), preferred(headers)).await.map_err(|error| refused(error.into()))?;
    let tag = EntityTag::strong(&request.tag()).ok_or_else(|| ServiceError::Internal("a rendition's tag is no entity tag".into()))?;
    match conditional::evaluate(method, headers, Some(&tag)) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            describe(response.headers_mut(), &tag);
            return Ok(response);
        }
        Verdict::PreconditionFailed => return Err(ApiError::PreconditionFailed),
    }
    if *method == Method::HEAD {
        return Ok(head(&request, app.services.cached_rendition(&request).await, &tag));
    }
    let rendition = app.services.rendition(&request).await.map_err(|error| refused(error.into()))?;
    app.observer.rendition(match rendition.from {
        ServedFrom::Cache => RenditionOutcome::Cached,
        ServedFrom::Disk => RenditionOutcome::Disk,
        ServedFrom::Joined => RenditionOutcome::Joined,
        ServedFrom::Rendered(took) => RenditionOutcome::Rendered(took),
    });
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
    let mut response = (status, bytes).into_response();
    let sent = response.headers_mut();
    describe(sent, &tag);
    describe_bytes(sent, request.format());
    sent.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(content_range) = content_range {
        sent.insert(header::CONTENT_RANGE, content_range);
    }
    Ok(response)
}

/// What GET would answer, as far as it is known without rendering: how long it is only where it lies in the cache (RFC 9110, section 9.3.2).
fn head(request: &RenditionRequest, cached: Option<Rendition>, tag: &EntityTag) -> Response {
    // Of no length: of an empty body axum would say that it has none.
    let mut response = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()).into_response();
    let sent = response.headers_mut();
    describe(sent, tag);
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

/// The format for a URL that names none, by `Accept`: WebP for those who name it, else JPEG.
fn preferred(headers: &HeaderMap) -> RenditionFormat {
    let offers = [RenditionFormat::WebP, RenditionFormat::Jpeg, RenditionFormat::Png];
    let [webp, jpeg, png] = offers.map(RenditionFormat::media_type);
    let chosen = accept::negotiate(headers, &[Offer::if_named(webp), Offer::anyone(jpeg), Offer::anyone(png)]);
    offers.into_iter().find(|offer| Some(offer.media_type()) == chosen).unwrap_or(RenditionFormat::Jpeg)
}

fn describe(headers: &mut HeaderMap, tag: &EntityTag) {
    headers.insert(header::CACHE_CONTROL, CACHING);
    headers.insert(header::ETAG, tag.to_header());
}
