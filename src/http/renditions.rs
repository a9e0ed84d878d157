//! `GET /i/{signature}/{options}/plain/{hash}@{ext}`: a rendition, in imgproxy's URL form. The URL is all that a client needs.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::accept::{self, Offer};
use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::hot::{Good, Head};
use super::range::{self, Selection};
use super::{App, RenditionOutcome};
use crate::api::Problem;
use crate::service::{Accepted, Rendition, RenditionFormat, RenditionRequest, ServedFrom, ServiceError};

/// A rendition never changes under its URL.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// But what stands in for a better one is asked for again soon.
const CACHING_MEANWHILE: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// Fetches a rendition.
#[utoipa::path(get, path = "/i/{rendition}", operation_id = "get_rendition", tag = "renditions",
    params(("rendition" = String, Path, description = "`{signature}/{options}/plain/{hash}@{ext}`; options: `rs:{type}:{w}:{h}`, `g:`, `bg:`, `bl:`, `q:`, `dpr:`, `f:`, `exp:`, `cb:`")),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json"),
        (status = 504, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(State(app): State<App>, OriginalUri(uri): OriginalUri, method: Method, headers: HeaderMap) -> Response {
    let good = Good::from_now(&app);
    let answered = answer(&app, &uri, &method, &headers).await;
    let (mut response, cached) = answered.unwrap_or_else(|error| (error.into_response(), None));
    let sent = response.headers_mut();
    // Whatever it is: another `Accept` may get something else, and a page of another origin may read why it got none.
    sent.insert(header::VARY, HeaderValue::from_static("accept"));
    // Thumbnails are painted by pages of other origins: the tenants' own sites.
    sent.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    sent.insert(header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    if let Some(Cached { bytes, left }) = cached {
        // What the layers put on every answer, but for the request's own id.
        let mut fields = sent.clone();
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let head = Head { method: &method, path: uri.path(), query: uri.query(), headers: &headers };
        let good = left.map_or(good, |left| good.at_most(&app, left));
        app.hot.keep(&head, good, fields, bytes).await;
    }
    response
}

/// A whole answer that came from the cache.
struct Cached {
    bytes: Bytes,
    /// How long its URL holds; `None`: for ever.
    left: Option<Duration>,
}

async fn answer(app: &App, uri: &Uri, method: &Method, headers: &HeaderMap) -> Result<(Response, Option<Cached>), ApiError> {
    // The signature covers the path as it was sent, so it is read from the URI, not from what the router decoded.
    let refused = |error: ApiError| {
        app.observer.rendition(RenditionOutcome::Refused(error.code()));
        error
    };
    // A query is not signed: with it one rendition would have any number of URLs, each of them an entry in every cache on the way.
    if uri.query().is_some() {
        return Err(refused(ApiError::Malformed { detail: "the URL of a rendition has no query".into() }));
    }
    let request = app.services.resolve_rendition(uri.path(), accepted(headers)).await.map_err(|error| refused(error.into()))?;
    let best = tag_of(&request)?;
    let (request, is_best) = app.services.ready_rendition(request, *method == Method::GET).await;
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
    let rendition = app.services.rendition(&request).await.map_err(|error| refused(error.into()))?;
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

/// The formats for a URL that names none, by `Accept`: AVIF, then WebP for those who name them, else JPEG.
fn accepted(headers: &HeaderMap) -> Accepted {
    let offers = [RenditionFormat::Avif, RenditionFormat::WebP, RenditionFormat::Jpeg, RenditionFormat::Png];
    let [avif, webp, jpeg, png] = offers.map(RenditionFormat::media_type);
    let best = |offered: &[Offer]| {
        let chosen = accept::negotiate(headers, offered);
        offers.into_iter().find(|offer| Some(offer.media_type()) == chosen)
    };
    let quick = [Offer::if_named(webp), Offer::anyone(jpeg), Offer::anyone(png)];
    // Who takes none of them gets what everybody can show.
    let meanwhile = best(&quick).unwrap_or(RenditionFormat::Jpeg);
    match best(&[&[Offer::if_named(avif)], quick.as_slice()].concat()) {
        Some(RenditionFormat::Avif) => Accepted { best: RenditionFormat::Avif, meanwhile: Some(meanwhile) },
        _ => Accepted::one(meanwhile),
    }
}

fn describe(headers: &mut HeaderMap, tag: &EntityTag, caching: HeaderValue) {
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::ETAG, tag.to_header());
}
