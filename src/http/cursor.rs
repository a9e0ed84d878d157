//! Opaque cursors: what stood last on a page, in URL-safe base64.

use axum::Json;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::api::Page;
use crate::service;

/// Longer cursors are not ours.
const MAX_LENGTH: usize = 512;

/// Reads a cursor that [`page`] wrote.
pub(super) fn read<T: DeserializeOwned>(cursor: &str) -> Result<T, ApiError> {
    let malformed = || ApiError::Malformed { detail: "cursor: not one that this server gave out".into() };
    if cursor.len() > MAX_LENGTH {
        return Err(malformed());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| malformed())?;
    match postcard::take_from_bytes(&bytes) {
        Ok((last, [])) => Ok(last),
        _ => Err(malformed()),
    }
}

fn write<T: Serialize>(last: &T) -> Option<String> {
    postcard::to_stdvec(last).ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// A page as it is sent, with the cursor and link of the next where there is one.
pub(super) fn page<T, P: Serialize, U: Serialize>(page: service::Page<T, P>, uri: &Uri, view: impl FnMut(T) -> U) -> Response {
    page_as(page, uri, view, |items, next| Page { items, next })
}

/// The same of a page that says more than that.
pub(super) fn page_as<T, P: Serialize, U, A: Serialize>(
    page: service::Page<T, P>,
    uri: &Uri,
    view: impl FnMut(T) -> U,
    answer: impl FnOnce(Vec<U>, Option<String>) -> A,
) -> Response {
    let next = page.next.as_ref().and_then(write);
    let link = next.as_deref().and_then(|cursor| link_to_next(uri, cursor));
    let mut response = Json(answer(page.items.into_iter().map(view).collect(), next)).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// `Link: <…>; rel="next"` (RFC 8288): the same query with another cursor.
fn link_to_next(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    let kept = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<&str> = kept.collect();
    let separator = if query.is_empty() { "" } else { "&" };
    HeaderValue::try_from(format!("<{}?{}{separator}cursor={cursor}>; rel=\"next\"", uri.path(), query.join("&"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        let key = (7_u64, "x".to_owned());
        assert_eq!(read::<(u64, String)>(&write(&key).unwrap()).unwrap(), key);
        for wrong in ["", "!", "AAAA", &"A".repeat(MAX_LENGTH + 1)] {
            assert!(read::<(u64, String)>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_link_keeps_the_query() {
        let uri: Uri = "/v1/albums?limit=2&cursor=old".parse().unwrap();
        assert_eq!(link_to_next(&uri, "new").unwrap(), "</v1/albums?limit=2&cursor=new>; rel=\"next\"");
    }
}
