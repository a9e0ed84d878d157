//! `GET /i/{signature}/{options}/plain/{hash}@{ext}`: a rendition, in imgproxy's URL form. The URL is all that a client needs.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Offer};
use super::cors;
use super::error::ApiError;
use super::hot::{Good, Head};
use super::rendered::{self, refused};
use super::{ClientEnd, Front};
use crate::api::Problem;
use crate::service::{Accepted, RenditionFormat, RenditionRequest};

/// Fetches a rendition.
#[utoipa::path(get, path = "/i/{rendition}", operation_id = "get_rendition", tag = "renditions",
    params(("rendition" = String, Path, description = "`{signature}/{options}/plain/{hash}@{ext}`; options: `rs:{type}:{w}:{h}`, `g:`, `bg:`, `bl:`, `q:`, `dpr:`, `f:`, `pr:`, `exp:`, `cb:`")),
    responses((status = 200, body = Vec<u8>, content_type = "image/*"), (status = 304), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 503, body = Problem, content_type = "application/problem+json"),
        (status = 504, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(front): State<Front>,
    client: ClientEnd,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let good = Good::from_now(&front);
    let resolved = resolve(&front, &uri, &headers).await;
    // A cache must not keep one and the same under every `Accept` where the URL names the format.
    let varies = resolved.as_ref().map_or(true, RenditionRequest::is_negotiated);
    let answered = match resolved {
        Ok(request) => rendered::answer(&front, &client, &request, &method, &headers).await,
        Err(error) => Err(error),
    };
    let (mut response, cached) = answered.unwrap_or_else(|error| (error.into_response(), None));
    let sent = response.headers_mut();
    if varies {
        sent.insert(header::VARY, HeaderValue::from_static("accept"));
    }
    if let Some(bytes) = cached {
        // What the layers put on every answer, but for the request's own id.
        let mut fields = sent.clone();
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        cors::open(&mut fields);
        let head = Head { method: &method, path: uri.path(), query: uri.query(), headers: &headers };
        front.hot.keep(&head, good, fields, bytes).await;
    }
    response
}

async fn resolve(front: &Front, uri: &Uri, headers: &HeaderMap) -> Result<RenditionRequest, ApiError> {
    // The signature covers the path as it was sent, so it is read from the URI, not from what the router decoded.
    // A query is not signed: with it one rendition would have any number of URLs, each of them an entry in every cache on the way.
    if uri.query().is_some() {
        return Err(refused(front, ApiError::Malformed { detail: "the URL of a rendition has no query".into() }));
    }
    let resolved = front.renditions.resolve(uri.path(), accepted(headers)).await;
    resolved.map_err(|error| refused(front, error))
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
