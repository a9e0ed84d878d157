//! `/v1/admin/audit`.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use crate::api::{AuditRecord, Page, Problem};
use crate::http::error::ApiError;
use crate::http::extract::{Auth, Paging, Params};
use crate::http::{App, cursor, views};

/// What administrators did, newest first.
#[utoipa::path(get, path = "/v1/admin/audit", operation_id = "list_audit", tag = "admin", security(("token" = [])),
    params(("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<AuditRecord>), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn list(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(paging): Params<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let limit = paging.limit(&app);
    let rows = app.services.list_audit(&caller, paging.after()?, limit).await?;
    Ok(cursor::page(rows, &uri, |row| AuditRecord {
        at: views::time(row.at),
        token: row.actor,
        action: row.action,
        subject: row.subject,
        request_id: Some(row.detail).filter(|id| !id.is_empty()),
    }))
}
