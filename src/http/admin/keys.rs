//! `/v1/admin/tenants/{tenant}/keys`: what signs a tenant's rendition URLs. Secrets: no answer is kept by a cache.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::{PatchSigningKey, Problem, SigningKey, SigningKeys};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::extract::{Auth, AuthFor, Body, ForTenant, PathId};
use crate::model::{SigningKeyId, TenantId, tenant};
use crate::service::ServiceError;

fn written(key: &tenant::SigningKey, signs: bool) -> SigningKey {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SigningKey { id: key.id(), signs, key: hex(&key.key), salt: hex(&key.salt) }
}

fn secret(status: StatusCode, answer: impl serde::Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Hands out the keys that sign a tenant's rendition URLs, first the one that signs those of the site's.
#[utoipa::path(get, path = "/v1/admin/tenants/{tenant}/keys", operation_id = "show_signing_keys", tag = "admin", security(("token" = [])), params(("tenant" = uuid::Uuid, Path)),
    responses((status = 200, body = SigningKeys), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn list(State(app): State<App>, Auth(caller): Auth, PathId(id): PathId<TenantId>) -> Result<Response, ApiError> {
    let keys = app.services.signing_keys(&caller, id).await?;
    let items = keys.iter().enumerate().map(|(at, key)| written(key, at == 0)).collect();
    Ok(secret(StatusCode::OK, SigningKeys { items }))
}

/// Makes another signing key, which is accepted at once and does not sign yet.
#[utoipa::path(post, path = "/v1/admin/tenants/{tenant}/keys", operation_id = "add_signing_key", tag = "admin", security(("token" = [])), params(("tenant" = uuid::Uuid, Path)),
    responses((status = 201, body = SigningKey), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    PathId(id): PathId<TenantId>,
) -> Result<Response, ApiError> {
    let key = app.services.add_signing_key(&caller, id).await?;
    Ok(secret(StatusCode::CREATED, written(&key, false)))
}

/// Has a key sign the URLs that the site makes. All others go on being accepted.
#[utoipa::path(patch, path = "/v1/admin/tenants/{tenant}/keys/{key}", operation_id = "use_signing_key", tag = "admin", security(("token" = [])),
    params(("tenant" = uuid::Uuid, Path), ("key" = String, Path)), request_body = PatchSigningKey,
    responses((status = 200, body = SigningKey), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn edit(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    PathId((id, key)): PathId<(TenantId, SigningKeyId)>,
    Body(patch): Body<PatchSigningKey>,
) -> Result<Response, ApiError> {
    if !patch.signs {
        let detail = "one key always signs: say it of another one".to_owned();
        return Err(ServiceError::Invalid { field: "signs", detail }.into());
    }
    let key = app.services.use_signing_key(&caller, id, key).await?;
    Ok(secret(StatusCode::OK, written(&key, true)))
}

/// Takes a key away: what it signed is refused from then on.
#[utoipa::path(delete, path = "/v1/admin/tenants/{tenant}/keys/{key}", operation_id = "remove_signing_key", tag = "admin", security(("token" = [])),
    params(("tenant" = uuid::Uuid, Path), ("key" = String, Path)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn remove(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    PathId((id, key)): PathId<(TenantId, SigningKeyId)>,
) -> Result<StatusCode, ApiError> {
    app.services.remove_signing_key(&caller, id, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
