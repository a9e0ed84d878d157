//! `GET /iiif/3/{identifier}/…`: IIIF Image API 3.0, level 2 (<https://iiif.io/api/image/3.0/>). The identifier carries its own signature.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::accept::{self, Offer};
use super::conditional::{self, EntityTag, Verdict};
use super::error::ApiError;
use super::rendered::{self, refused};
use super::{ClientEnd, Front, base_url, caching};
use crate::api::{IiifImageInfo, IiifSize, IiifTiles, Problem};
use crate::config::percent;
use crate::service::{Freshness, IIIF_PREFIX, IiifImage, ImageRequest, RenditionFormat, ServiceError};

/// The level that is kept to.
const PROFILE_LINK: &str = "<http://iiif.io/api/image/3/level2.json>;rel=\"profile\"";
/// What the information is, with the profile that clients ask for.
const JSON_LD: &str = "application/ld+json;profile=\"http://iiif.io/api/image/3/context.json\"";
/// For how many seconds caches may show the information at most: the photo does not change, but what the site makes of it may, with its settings.
const INFO_SECONDS: u32 = 3_600;

/// Fetches a photo as an IIIF image: its information, or a part of it in some size, turned, in some quality and format.
#[utoipa::path(get, path = "/iiif/3/{request}", operation_id = "get_iiif", tag = "renditions",
    params(("request" = String, Path, description = "`{identifier}/info.json`, or `{identifier}/{region}/{size}/{rotation}/{quality}.{format}` as IIIF Image API 3.0 has them; `{identifier}` alone leads to the information. The identifier is the end of a photo's `urls.iiif`")),
    responses((status = 200, content((IiifImageInfo = "application/ld+json"), (Vec<u8> = "image/*"))), (status = 303), (status = 304),
        (status = 400, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"), (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"), (status = 504, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(front): State<Front>,
    client: ClientEnd,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // With one there would be any number of URLs of each image, each of them an entry in every cache on the way.
    if uri.query().is_some() {
        return Err(refused(&front, ApiError::Malformed { detail: "the URL of an image has no query".into() }));
    }
    // Parted before it is decoded: a slash in an identifier is written %2F (section 9). One part more than any request has tells it from others.
    let path = uri.path().strip_prefix(IIIF_PREFIX).unwrap_or_default();
    let parts: Option<Vec<String>> = path.split('/').take(6).map(percent::decoded).collect();
    let parts = parts.ok_or_else(|| ApiError::Malformed { detail: "the path is not UTF-8, or badly percent-encoded".into() })?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        [identifier] => {
            let image = front.renditions.resolve_iiif(identifier).await?;
            // Section 2: the base URI leads to the information.
            let location = format!("{}/info.json", base_uri(&front, &image, &uri, &headers)?);
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, field(location)?)]).into_response())
        }
        [identifier, "info.json"] => {
            let mut response = info(&front, identifier, &uri, &method, &headers).await.into_response();
            // Whatever it is, and nothing else here: another `Accept` may get something else.
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
            Ok(response)
        }
        [identifier, region, size, rotation, file] => {
            let image = front.renditions.resolve_iiif(identifier).await.map_err(|error| refused(&front, error))?;
            let request = ImageRequest::parse([region, size, rotation, file]).map_err(ServiceError::from);
            let settled = request.and_then(|request| front.renditions.iiif_rendition(&image, &request));
            let (request, canonical) = settled.map_err(|error| refused(&front, error))?;
            let canonical = format!("<{}/{canonical}>;rel=\"canonical\"", base_uri(&front, &image, &uri, &headers)?);
            let (mut response, _) = rendered::answer(&front, &client, &request, &method, &headers).await?;
            response.headers_mut().insert(header::LINK, field(format!("{canonical}, {PROFILE_LINK}"))?);
            Ok(response)
        }
        _ => Err(ApiError::NoRoute),
    }
}

/// The image's own URI, which those of all requests begin with.
fn base_uri(front: &Front, image: &IiifImage, uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    let base = base_url::of(front.public_url.as_deref(), uri, headers)?;
    Ok(format!("{base}{IIIF_PREFIX}{}", image.identifier()))
}

fn field(text: String) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(|_| ServiceError::Internal("a URL of ours makes no field".into()).into())
}

/// The answer to `info.json`, in the media type that the client likes best.
async fn info(front: &Front, identifier: &str, uri: &Uri, method: &Method, headers: &HeaderMap) -> Result<Response, ApiError> {
    const PLAIN: &str = "application/json";
    let image = front.renditions.resolve_iiif(identifier).await?;
    let id = base_uri(front, &image, uri, headers)?;
    let chosen = accept::negotiate(headers, &[Offer::anyone("application/ld+json"), Offer::anyone(PLAIN)]);
    // Who takes neither has a body that it can still look at.
    let media_type = if chosen == Some(PLAIN) { PLAIN } else { JSON_LD };
    let body = serde_json::to_vec(&described(&image, id)).map_err(|error| ServiceError::Internal(error.to_string()))?;
    let tag = blake3::Hasher::new().update(media_type.as_bytes()).update(&body).finalize().to_hex();
    let tag = EntityTag::strong(&tag[..32]).ok_or_else(|| ServiceError::Internal("hexadecimal digits are no entity tag".into()))?;
    let mut response = match conditional::evaluate(method, headers, Some(&tag)) {
        Verdict::Proceed => ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response(),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::PreconditionFailed => return Err(ApiError::PreconditionFailed),
    };
    let sent = response.headers_mut();
    let freshness = image.freshness();
    let max_age_seconds = freshness.max_age_seconds.min(INFO_SECONDS);
    sent.insert(header::CACHE_CONTROL, caching::cache_control(Freshness { max_age_seconds, immutable: false }));
    sent.insert(header::ETAG, tag.to_header());
    sent.insert(header::LINK, HeaderValue::from_static(PROFILE_LINK));
    Ok(response)
}

/// What clients are told of the image (section 5).
fn described(image: &IiifImage, id: String) -> IiifImageInfo {
    let ((width, height), (max_width, max_height)) = (image.size(), image.max_size());
    let (tile, scale_factors) = image.tiles();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let extension = |format: RenditionFormat| format.extension();
    IiifImageInfo {
        context: "http://iiif.io/api/image/3/context.json".into(),
        id,
        kind: "ImageService3".into(),
        protocol: "http://iiif.io/api/image".into(),
        profile: "level2".into(),
        width,
        height,
        max_width,
        max_height,
        sizes: image.sizes().into_iter().map(|(width, height)| IiifSize { width, height }).collect(),
        tiles: vec![IiifTiles { width: tile, scale_factors }],
        preferred_formats: names(&[RenditionFormat::WebP, RenditionFormat::Jpeg].map(extension)),
        extra_formats: names(&[RenditionFormat::WebP, RenditionFormat::Avif].map(extension)),
        extra_qualities: names(&["color", "gray", "bitonal"]),
        extra_features: names(&["canonicalLinkHeader", "mirroring", "profileLinkHeader", "sizeUpscaling"]),
    }
}
