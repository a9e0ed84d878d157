//! `/v1/admin/tokens`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Whose;
use crate::api::{CreateToken, CreatedToken, Page, Problem, Token};
use crate::http::error::ApiError;
use crate::http::extract::{Auth, AuthFor, Body, ForTokens, Paging, Params, PathId};
use crate::http::{App, cursor, views};
use crate::model::{Owner, TenantId, TokenId, UserId};
use crate::service::{NewTokenRequest, Scope};

/// Which tokens to list.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct Filter {
    tenant: Option<TenantId>,
    user: Option<UserId>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Makes a token; the answer is the one time that it is shown.
#[utoipa::path(post, path = "/v1/admin/tokens", operation_id = "create_token", tag = "admin", security(("token" = [])), request_body = CreateToken,
    responses((status = 201, body = CreatedToken), (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTokens>,
    Body(new): Body<CreateToken>,
) -> Result<Response, ApiError> {
    let owner = Owner { tenant: new.tenant.unwrap_or(caller.owner.tenant), user: new.user.unwrap_or(caller.owner.user) };
    let scopes = match &new.scopes {
        Some(scopes) => views::read_scopes(scopes),
        None => [Scope::User, Scope::Read].into_iter().collect(),
    };
    let request = NewTokenRequest { owner, scopes, label: new.label, expires_in_seconds: new.expires_in_seconds };
    let (view, secret) = app.services.create_token(&caller, request).await?;
    let created = CreatedToken { id: view.id, token: secret.reveal().to_owned(), expires_at: view.expires.map(views::time) };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Lists a user's tokens, without their secrets.
#[utoipa::path(get, path = "/v1/admin/tokens", operation_id = "list_tokens", tag = "admin", security(("token" = [])),
    params(("tenant" = Option<uuid::Uuid>, Query), ("user" = Option<uuid::Uuid>, Query), ("limit" = Option<usize>, Query),
        ("cursor" = Option<String>, Query)), responses((status = 200, body = Page<Token>)))]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(filter): Params<Filter>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let owner = Whose { tenant: filter.tenant, user: filter.user }.owner(&caller);
    let paging = Paging::new(filter.limit, filter.cursor);
    let tokens = app.services.list_tokens(&caller, owner, paging.after()?, paging.limit(&app)).await?;
    Ok(cursor::page(tokens, &uri, |(view, last_use)| Token {
        id: view.id,
        tenant: view.owner.tenant,
        user: view.owner.user,
        scopes: views::scopes(view.scopes),
        label: Some(view.label).filter(|label| !label.is_empty()),
        created_at: views::time(view.created.hlc.wall()),
        expires_at: view.expires.map(views::time),
        last_used_at: last_use.map(views::time),
    }))
}

/// Revokes a token.
#[utoipa::path(delete, path = "/v1/admin/tokens/{token}", operation_id = "revoke_token", tag = "admin", security(("token" = [])),
    params(("token" = uuid::Uuid, Path), ("tenant" = Option<uuid::Uuid>, Query), ("user" = Option<uuid::Uuid>, Query)),
    responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn revoke(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<TokenId>,
    Params(whose): Params<Whose>,
) -> Result<StatusCode, ApiError> {
    app.services.revoke_token(&caller, whose.owner(&caller), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
