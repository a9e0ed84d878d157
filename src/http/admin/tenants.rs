//! `/v1/admin/tenants`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::api::{CreateTenant, Page, PatchTenant, Problem, Tenant, TenantDetails};
use crate::http::error::ApiError;
use crate::http::extract::{Auth, AuthFor, Body, ForAdmin, ForTenant, Paging, Params, PathId};
use crate::http::{App, cursor, views};
use crate::model::TenantId;
use crate::model::tenant::TenantView;
use crate::service::RenditionsEdit;

fn tenant(view: TenantView) -> Tenant {
    Tenant { id: view.id, name: view.name, created_at: views::time(view.created.hlc.wall()) }
}

fn details(view: TenantView) -> TenantDetails {
    TenantDetails { id: view.id, name: view.name, created_at: views::time(view.created.hlc.wall()), renditions: view.renditions.into() }
}

/// Makes a tenant.
#[utoipa::path(post, path = "/v1/admin/tenants", operation_id = "create_tenant", tag = "admin", security(("token" = [])), request_body = CreateTenant,
    responses((status = 201, body = Tenant), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn create(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForAdmin>,
    Body(new): Body<CreateTenant>,
) -> Result<Response, ApiError> {
    let made = app.services.create_tenant(&caller, &new.name).await?;
    Ok((StatusCode::CREATED, Json(tenant(made))).into_response())
}

/// Shows a tenant.
#[utoipa::path(get, path = "/v1/admin/tenants/{tenant}", operation_id = "show_tenant", tag = "admin", security(("token" = [])), params(("tenant" = uuid::Uuid, Path)),
    responses((status = 200, body = TenantDetails), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn show(
    State(app): State<App>,
    Auth(caller): Auth,
    PathId(id): PathId<TenantId>,
) -> Result<Json<TenantDetails>, ApiError> {
    Ok(Json(details(app.services.tenant(&caller, id).await?)))
}

/// Edits what a tenant says of its rendition URLs. It holds at this site from the answer on.
#[utoipa::path(patch, path = "/v1/admin/tenants/{tenant}", operation_id = "edit_tenant", tag = "admin", security(("token" = [])), params(("tenant" = uuid::Uuid, Path)),
    request_body = PatchTenant, responses((status = 200, body = TenantDetails), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn edit(
    State(app): State<App>,
    AuthFor(caller, _): AuthFor<ForTenant>,
    PathId(id): PathId<TenantId>,
    Body(patch): Body<PatchTenant>,
) -> Result<Json<TenantDetails>, ApiError> {
    let tenant = match patch.renditions {
        None => app.services.tenant(&caller, id).await?,
        Some(patch) => {
            let edit = RenditionsEdit { presets: patch.presets, presets_only: patch.presets_only, max_age_seconds: patch.max_age_seconds };
            app.services.edit_tenant_renditions(&caller, id, edit).await?
        }
    };
    Ok(Json(details(tenant)))
}

/// Lists the tenants.
#[utoipa::path(get, path = "/v1/admin/tenants", operation_id = "list_tenants", tag = "admin", security(("token" = [])),
    params(("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)), responses((status = 200, body = Page<Tenant>)))]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(paging): Params<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let limit = paging.limit(&app);
    let tenants = app.services.list_tenants(&caller, paging.after()?, limit).await?;
    Ok(cursor::page(tenants, &uri, tenant))
}
