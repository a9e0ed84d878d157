//! `/v1/admin/inventory`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;

use crate::api::{InventoryPart, Problem};
use crate::http::error::ApiError;
use crate::http::extract::{AuthFor, ForAdmin, Params};
use crate::http::{App, ClientEnd, InventoryParts};
use crate::service::ServiceError;

/// A JSON value a line.
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// How it is to be made.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct How {
    #[serde(default)]
    read_data: bool,
}

/// Lists everything that lies in the backend, or should: a JSON object a line, the last one with what they were. Where that is not the last, the list is not
/// whole. Takes as long as it takes; changes nothing.
#[utoipa::path(get, path = "/v1/admin/inventory", operation_id = "list_inventory", tag = "admin", security(("token" = [])),
    params(("read_data" = Option<bool>, Query, description = "Reads and hashes every copy that should be there, not only looks at its size.")),
    responses((status = 200, body = InventoryPart, content_type = "application/x-ndjson"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(in crate::http) async fn list(
    State(app): State<App>,
    _: AuthFor<ForAdmin>,
    client: ClientEnd,
    Params(how): Params<How>,
) -> Result<Response, ApiError> {
    let parts = tokio::select! {
        parts = app.maintenance.inventory(how.read_data) => parts?,
        () = client.awaited() => return Err(ApiError::Malformed { detail: "an inventory ends once its client closes the connection, also by half".into() }),
    };
    let headers = [(header::CONTENT_TYPE, JSON_LINES), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((headers, Body::from_stream(lines(parts, client))).into_response())
}

/// The parts as lines. An error breaks the connection off, so that what came is not taken for whole.
fn lines(parts: InventoryParts, client: ClientEnd) -> impl futures_util::Stream<Item = Result<Bytes, ServiceError>> + Send {
    stream::try_unfold((parts, client), |(mut parts, client)| async move {
        let next = tokio::select! {
            next = parts.next() => next.transpose(),
            () = client.awaited() => Err(ServiceError::Interrupted),
        };
        match next {
            Ok(next) => next.map(|next| Ok((text(&next)?, (parts, client)))).transpose(),
            Err(error) => {
                tracing::warn!(%error, "an inventory broke off");
                Err(error)
            }
        }
    })
}

fn text(parts: &[InventoryPart]) -> Result<Bytes, ServiceError> {
    let mut text = vec![];
    for part in parts {
        serde_json::to_writer(&mut text, part).map_err(|error| ServiceError::Internal(error.to_string()))?;
        text.push(b'\n');
    }
    Ok(text.into())
}
