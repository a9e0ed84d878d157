//! `/v1/me`.

use axum::Json;

use super::extract::Auth;
use super::views;
use crate::api::Me;

/// Whom the token speaks for.
#[utoipa::path(get, path = "/v1/me", operation_id = "show_me", tag = "account", responses((status = 200, body = Me)), security(("token" = [])))]
pub(super) async fn show(Auth(caller): Auth) -> Json<Me> {
    Json(Me { tenant: caller.owner.tenant, user: caller.owner.user, scopes: views::scopes(caller.scopes) })
}
