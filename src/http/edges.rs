//! `/v1/edge/…`: what an edge asks of its site. All of it takes a token with the scope `edge`, or an administrator's.

use std::time::Duration;

use axum::Json;
use axum::body::Body as Stream;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::App;
use super::error::ApiError;
use super::extract::{AuthFor, Body, ForEdge, Params, PathId};
use super::original::{Outgoings, pieces};
use crate::api::{EdgeBasis, EdgeBlob, EdgeEvent, EdgeFeed, EdgeSigningKey, EdgeTenant, EdgeTenants, Problem, Unowned, UnownedRequest};
use crate::model::{BlobHash, TenantId};
use crate::service::{FeedCursor, FeedEvent, ServiceError};

/// What an edge keeps is its own to say.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-store");

/// All tenants with their signing keys.
#[utoipa::path(get, path = "/v1/edge/tenants", operation_id = "edge_tenants", tag = "edges", security(("token" = [])),
    responses((status = 200, body = EdgeTenants)))]
pub(super) async fn tenants(State(app): State<App>, AuthFor(caller, _): AuthFor<ForEdge>) -> Result<Response, ApiError> {
    let (tenants, basis) = app.services.edge_tenants(&caller).await?;
    let tenants = tenants.into_iter().map(|tenant| {
        let key = |key: crate::model::tenant::SigningKey| EdgeSigningKey { key: STANDARD.encode(key.key), salt: STANDARD.encode(key.salt) };
        let signing_keys = tenant.signing_keys.into_iter().map(key).collect();
        EdgeTenant { id: tenant.id, signing_keys, renditions: tenant.settings.into() }
    });
    let basis = EdgeBasis {
        default_quality: basis.quality,
        max_side: basis.max_side,
        previews: basis.previews,
        max_embedded_bytes: basis.max_embedded_bytes,
    };
    Ok(([(header::CACHE_CONTROL, CACHING)], Json(EdgeTenants { tenants: tenants.collect(), basis })).into_response())
}

/// Whose blob is asked of.
#[derive(Debug, Deserialize)]
pub(super) struct Whose {
    tenant: Option<TenantId>,
}

/// What there is to know of a blob, where a user of the tenant has it, or, without a tenant, anybody.
#[utoipa::path(get, path = "/v1/edge/blobs/{hash}", operation_id = "edge_blob", tag = "edges", security(("token" = [])),
    params(("hash" = String, Path), ("tenant" = Option<uuid::Uuid>, Query)),
    responses((status = 200, body = EdgeBlob), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn blob(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForEdge>,
    PathId(hash): PathId<BlobHash>,
    Params(Whose { tenant }): Params<Whose>,
) -> Result<Json<EdgeBlob>, ApiError> {
    let blob = app.services.edge_blob(&caller, hash, tenant).await?;
    Ok(Json(EdgeBlob { width: blob.shown.0, height: blob.shown.1, size_bytes: blob.size_bytes }))
}

/// A blob's bytes.
#[utoipa::path(get, path = "/v1/edge/blobs/{hash}/bytes", operation_id = "edge_bytes", tag = "edges", security(("token" = [])),
    params(("hash" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn bytes(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForEdge>,
    PathId(hash): PathId<BlobHash>,
    Outgoings(outgoings): Outgoings,
) -> Result<Response, ApiError> {
    let blob = app.services.edge_bytes(&caller, hash).await?;
    let size_bytes = blob.size_bytes();
    let outgoing = outgoings.filter(|_| blob.as_fd().is_some());
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(size_bytes)),
        (header::CACHE_CONTROL, CACHING),
    ];
    Ok((fields, Stream::from_stream(pieces(blob, 0, size_bytes, outgoing))).into_response())
}

/// A blob's preview, as it is kept; where there is none yet, it is made for who asks next.
#[utoipa::path(get, path = "/v1/edge/blobs/{hash}/preview", operation_id = "edge_preview", tag = "edges", security(("token" = [])),
    params(("hash" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn preview(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForEdge>,
    PathId(hash): PathId<BlobHash>,
) -> Result<Response, ApiError> {
    let preview = app.services.edge_preview(&caller, hash).await?;
    let fields = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")), (header::CACHE_CONTROL, CACHING)];
    Ok((fields, preview).into_response())
}

/// Which blobs nobody has any more, by the beginnings of their hashes.
#[utoipa::path(post, path = "/v1/edge/unowned", operation_id = "edge_unowned", tag = "edges", security(("token" = [])), request_body = UnownedRequest,
    responses((status = 200, body = Unowned), (status = 413, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn unowned(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForEdge>,
    Body(request): Body<UnownedRequest>,
) -> Result<Json<Unowned>, ApiError> {
    let unowned = app.services.edge_unowned(&caller, request.prefixes).await?;
    Ok(Json(Unowned { prefixes: unowned }))
}

/// What part of the feed is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct FeedParams {
    after: Option<String>,
    wait_seconds: Option<u32>,
}

/// What edges have to forget, waited for where there is nothing yet.
#[utoipa::path(get, path = "/v1/edge/feed", operation_id = "edge_feed", tag = "edges", security(("token" = [])),
    params(("after" = Option<String>, Query, description = "The `next` of the answer before; without it: where the feed stands now"),
        ("wait_seconds" = Option<u32>, Query, description = "How long to wait for something to happen; at most 10")),
    responses((status = 200, body = EdgeFeed)))]
pub(super) async fn feed(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForEdge>,
    Params(params): Params<FeedParams>,
) -> Result<Json<EdgeFeed>, ApiError> {
    // One that cannot be read is another server's: then everything was missed.
    let cursor = params.after.as_deref().and_then(read_cursor);
    let wait = Duration::from_secs(params.wait_seconds.unwrap_or(0).into());
    let mut shutdown = app.shutdown.clone();
    let asked = app.services.edge_feed(&caller, cursor, wait);
    let page = tokio::select! {
        page = asked => page?,
        // An edge that waits must not hold up the stop; it asks another site.
        () = shutdown.stopping() => return Err(ServiceError::SHUTTING_DOWN.into()),
    };
    let events = page.events.into_iter().map(|event| match event {
        FeedEvent::Lost { tenant, hash } => EdgeEvent::Lost { tenant, hash },
        FeedEvent::Tenants => EdgeEvent::Tenants,
    });
    Ok(Json(EdgeFeed { next: write_cursor(page.next), events: events.collect(), missed: page.missed }))
}

fn write_cursor(cursor: FeedCursor) -> String {
    URL_SAFE_NO_PAD.encode([cursor.life.to_be_bytes(), cursor.at.to_be_bytes()].concat())
}

fn read_cursor(text: &str) -> Option<FeedCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (life, at) = bytes.split_first_chunk::<8>()?;
    Some(FeedCursor { life: u64::from_be_bytes(*life), at: u64::from_be_bytes(at.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_nothing_else_is_one() {
        let cursor = FeedCursor { life: 0x0123_4567_89AB_CDEF, at: 7 };
        let text = write_cursor(cursor);
        assert_eq!(read_cursor(&text), Some(cursor));
        for other in ["", "x", &text[1..], &format!("{text}AA")] {
            assert_eq!(read_cursor(other), None, "{other}");
        }
    }
}
