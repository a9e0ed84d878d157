//! The one place where an error becomes a status: an exhaustive match, no wildcard. Internal detail is logged here, once, and never sent.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{range, request_id};
use crate::api::Problem;
use crate::service::ServiceError;

/// Seconds after which a refused client may come again.
const RETRY_AFTER_SECONDS: u64 = 2;
/// The code of a body that did not come in time.
const REQUEST_TIMEOUT: &str = "request_timeout";

/// An error on its way out.
#[derive(Debug)]
pub enum ApiError {
    /// The service refused or failed.
    Service(ServiceError),
    /// The request was not understood: its JSON, path or query.
    Malformed {
        /// For people.
        detail: String,
    },
    /// The client has closed the connection, or its side of it, before there was an answer.
    ClientGone,
    /// The JSON body is over the limit.
    BodyTooLarge,
    /// The request's head is over the limit.
    HeadTooLarge,
    /// A body of another type than JSON.
    NotJson,
    /// No such path.
    NoRoute,
    /// The path has no such method.
    NoMethod,
    /// A Range that reaches none of `size_bytes`.
    RangeNotSatisfiable {
        /// Of the whole.
        size_bytes: u64,
    },
    /// If-Match named another version.
    PreconditionFailed,
    /// It took longer than the server's limit.
    Timeout,
    /// It was done, but its answer, which is large, has no place among those that other clients are still taking.
    Unanswered,
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl ApiError {
    /// The stable code of the problem.
    pub fn code(&self) -> &'static str {
        self.parts().1
    }

    /// Status, stable code, and the detail that may be sent.
    fn parts(&self) -> (StatusCode, &'static str, Option<String>) {
        match self {
            Self::Service(error) => service_parts(error),
            Self::Malformed { detail } => (StatusCode::BAD_REQUEST, "malformed", Some(detail.clone())),
            Self::ClientGone => {
                let detail = "this ends once its client closes the connection, also by half";
                (StatusCode::BAD_REQUEST, "client_gone", Some(detail.into()))
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", Some("the JSON body is over the limit".into())),
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", Some("the request's head is over the limit".into()))
            }
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", Some("send `Content-Type: application/json`".into())),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no_route", None),
            Self::NoMethod => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Self::RangeNotSatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", None),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition_failed", None),
            // Not 503: what was asked for may have been done, or be done yet.
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", Some("the request took too long; it may have been done".into())),
            Self::Unanswered => {
                (StatusCode::GATEWAY_TIMEOUT, "unanswered", Some("done, but too many large answers are still being taken".into()))
            }
        }
    }
}

fn service_parts(error: &ServiceError) -> (StatusCode, &'static str, Option<String>) {
    let said = Some(error.to_string());
    match error {
        ServiceError::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", said),
        ServiceError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden", said),
        ServiceError::BadSignature(_) => (StatusCode::FORBIDDEN, "bad_signature", said),
        ServiceError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", said),
        ServiceError::Erased(_) => (StatusCode::GONE, "erased", said),
        ServiceError::Conflict { code, .. } => (StatusCode::CONFLICT, code, said),
        ServiceError::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid", said),
        ServiceError::NotAnImage(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_an_image", said),
        ServiceError::BrokenImage(_) => (StatusCode::UNPROCESSABLE_ENTITY, "broken_image", said),
        ServiceError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", said),
        ServiceError::DigestMismatch => (StatusCode::BAD_REQUEST, "digest_mismatch", said),
        ServiceError::Interrupted => (StatusCode::BAD_REQUEST, "interrupted", said),
        ServiceError::TooSlow => (StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT, said),
        ServiceError::TooManyUploads { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", said),
        ServiceError::TooManyDownloads { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_downloads", said),
        ServiceError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy", said),
        ServiceError::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "no_space", said),
        ServiceError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", said),
        ServiceError::Damaged => (StatusCode::INTERNAL_SERVER_ERROR, "damaged", said),
        ServiceError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, detail) = self.parts();
        if status.is_server_error() {
            match &self {
                // Load, or a stop: nothing is broken.
                Self::Service(error @ ServiceError::Busy(_)) => tracing::info!(code, error = %error, "request refused"),
                Self::Unanswered => tracing::info!(code, "no room for an answer"),
                Self::Service(error) => tracing::error!(code, error = %error, "request failed"),
                other => tracing::warn!(code, error = ?other, "request failed"),
            }
        }
        let problem = Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code: code.into(),
            detail,
            request_id: request_id::current(),
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"halidom\""));
        }
        if let Self::RangeNotSatisfiable { size_bytes } = self {
            headers.insert(header::CONTENT_RANGE, range::unsatisfied(size_bytes));
        }
        response.extensions_mut().insert(ErrorCode(code));
        response
    }
}

/// Left in a response's extensions for metrics and the access log.
#[derive(Debug, Clone, Copy)]
pub struct ErrorCode(pub &'static str);
