//! `/v1/admin/users`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Whose;
use crate::api::{CreateUser, Page, PatchUser, Problem, User};
use crate::http::error::ApiError;
use crate::http::extract::{Auth, AuthFor, Body, ForTenant, Paging, Params, PathId};
use crate::http::{App, cursor, views};
use crate::model::user::UserView;
use crate::model::{Owner, TenantId, UserId};

/// Which users to list.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct Filter {
    tenant: Option<TenantId>,
    limit: Option<usize>,
    cursor: Option<String>,
}

fn user(view: UserView) -> User {
    User { id: view.id, tenant: view.tenant, name: view.name, disabled: view.disabled, created_at: views::time(view.created.hlc.wall()) }
}

/// Makes a user.
#[utoipa::path(post, path = "/v1/admin/users", operation_id = "create_user", tag = "admin", security(("token" = [])), request_body = CreateUser,
    responses((status = 201, body = User), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    Body(new): Body<CreateUser>,
) -> Result<Response, ApiError> {
    let tenant = new.tenant.unwrap_or(caller.owner.tenant);
    let made = app.services.create_user(&caller, tenant, &new.name).await?;
    Ok((StatusCode::CREATED, Json(user(made))).into_response())
}

/// Shows a user.
#[utoipa::path(get, path = "/v1/admin/users/{user}", operation_id = "show_user", tag = "admin", security(("token" = [])),
    params(("user" = uuid::Uuid, Path), ("tenant" = Option<uuid::Uuid>, Query)),
    responses((status = 200, body = User), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn show(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<UserId>,
    Params(whose): Params<Whose>,
) -> Result<Json<User>, ApiError> {
    let owner = Owner { tenant: whose.tenant(&caller), user: id };
    Ok(Json(user(app.services.user(&caller, owner).await?)))
}

/// Renames, disables or enables a user.
#[utoipa::path(patch, path = "/v1/admin/users/{user}", operation_id = "edit_user", tag = "admin", security(("token" = [])),
    params(("user" = uuid::Uuid, Path), ("tenant" = Option<uuid::Uuid>, Query)), request_body = PatchUser,
    responses((status = 200, body = User), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn edit(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    PathId(id): PathId<UserId>,
    Params(whose): Params<Whose>,
    Body(patch): Body<PatchUser>,
) -> Result<Json<User>, ApiError> {
    let owner = Owner { tenant: whose.tenant(&caller), user: id };
    Ok(Json(user(app.services.edit_user(&caller, owner, patch.name.as_deref(), patch.disabled).await?)))
}

/// Lists a tenant's users.
#[utoipa::path(get, path = "/v1/admin/users", operation_id = "list_users", tag = "admin", security(("token" = [])),
    params(("tenant" = Option<uuid::Uuid>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<User>)))]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(filter): Params<Filter>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let paging = Paging::new(filter.limit, filter.cursor);
    let limit = paging.limit(&app);
    let tenant = filter.tenant.unwrap_or(caller.owner.tenant);
    let users = app.services.list_users(&caller, tenant, paging.after()?, limit).await?;
    Ok(cursor::page(users, &uri, user))
}
