//! For pages of any origin (<https://fetch.spec.whatwg.org/#http-cors-protocol>): what may be read without a token is no secret of a cookie.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What browsers may remember a preflight for, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Answers preflights, and lets pages of every origin read all other answers, errors too.
pub(super) async fn open_to_all(request: Request, next: Next) -> Response {
    let mut response = if *request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let sent = response.headers_mut();
        sent.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        sent.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        sent.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
        sent.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
        response
    } else {
        next.run(request).await
    };
    open(response.headers_mut());
    response
}

/// Lets pages of every origin show and read an answer, with all its fields.
pub(super) fn open(sent: &mut HeaderMap) {
    sent.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    sent.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    sent.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
}
