//! `/v1/urls`: signs the URL of a rendition, or of an IIIF image, for a blob that the caller owns.

use axum::Json;
use axum::extract::State;

use super::App;
use super::error::ApiError;
use super::extract::{AuthFor, Body, ForRead};
use crate::api::{Problem, SignUrl, SignedUrl};
use crate::service::{ServiceError, UrlOptions};

/// Signs a rendition URL, or the base URI of an IIIF image.
#[utoipa::path(post, path = "/v1/urls", operation_id = "sign_url", tag = "renditions", security(("token" = [])), request_body = SignUrl,
    responses((status = 200, body = SignedUrl), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn sign(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForRead>,
    Body(request): Body<SignUrl>,
) -> Result<Json<SignedUrl>, ApiError> {
    if request.iiif {
        if request != (SignUrl { expires: request.expires, iiif: true, ..SignUrl::of(request.hash) }) {
            let detail = "clients of IIIF name width, height, quality and format themselves".to_owned();
            return Err(ServiceError::Invalid { field: "iiif", detail }.into());
        }
        return Ok(Json(SignedUrl { url: app.services.sign_iiif(&caller, request.hash, request.expires).await? }));
    }
    let options = UrlOptions {
        width: request.width.unwrap_or(0),
        height: request.height.unwrap_or(0),
        quality: request.quality,
        format: request.format,
        preset: request.preset,
        expires: request.expires,
    };
    Ok(Json(SignedUrl { url: app.services.sign_rendition(&caller, request.hash, &options).await? }))
}
