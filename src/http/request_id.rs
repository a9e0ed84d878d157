//! Every request has an id: in the log, in every problem, in the `X-Request-Id` header. A client's own is kept where it is sound.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::Front;

/// The header.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ones from clients are replaced.
const MAX_LENGTH: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Gives the request its id and a log span.
pub async fn layer(State(front): State<Front>, request: Request, next: Next) -> Response {
    let id = own(request.headers()).map_or_else(|| fresh(&front), str::to_owned);
    let span = tracing::info_span!("request", id = %id, method = %request.method(), path = %request.uri().path());
    let mut response = CURRENT.scope(id.clone(), next.run(request)).instrument(span).await;
    name(&mut response, &id);
    response
}

/// The id that the client, or a proxy before it, has given the request, where it is sound.
pub fn own(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER)?.to_str().ok().filter(|id| is_sound(id))
}

/// Puts the id on an answer.
pub fn name(response: &mut Response, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(HEADER, value);
    }
}

fn is_sound(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn fresh(front: &Front) -> String {
    front.runtime.random.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
}
