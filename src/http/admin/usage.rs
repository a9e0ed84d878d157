//! `/v1/admin/usage`.

use axum::Json;
use axum::extract::State;

use crate::api::{ColdStats, Problem, SpooledStats, Stats};
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::extract::Auth;

/// What the site holds.
#[utoipa::path(get, path = "/v1/admin/usage", operation_id = "show_usage", tag = "admin", security(("token" = [])),
    responses((status = 200, body = Stats), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn show(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Stats>, ApiError> {
    let stats = app.services.stats(&caller).await?;
    let (copies, bytes) = app.services.waiting();
    Ok(Json(Stats {
        photos: stats.photos,
        albums: stats.albums,
        users: stats.users,
        blobs: stats.blobs,
        logical_bytes: stats.logical_bytes,
        stored_bytes: stats.stored_bytes,
        doomed: stats.doomed,
        cold: ColdStats { blobs: stats.cold.blobs, original_bytes: stats.cold.original_bytes, stored_bytes: stats.cold.stored_bytes },
        spooled: SpooledStats { copies, bytes },
    }))
}
