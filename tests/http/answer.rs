//! An answer, whole, and what every answer has to hold to.

use std::sync::LazyLock;

use bytes::Bytes;
use halidom::api::Problem;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Bytes,
}

/// Sends a request and reads the whole answer; checks what every answer has: a request id, and where it is an error, a problem.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, fields) = (response.status(), response.headers().clone());
    let body = response.bytes().await.expect("a whole body");
    let answer = Answer { status: status.as_u16(), fields, body };
    assert!(!answer.field("x-request-id").is_empty());
    assert_eq!(answer.field("x-content-type-options"), "nosniff");
    if status.is_client_error() || status.is_server_error() {
        answer.assert_is_problem(status);
    }
    answer
}

/// The document that describes the interface.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(halidom::http::openapi_document()).unwrap());

impl Answer {
    /// The same, once the document says of the operation of this id that it may answer so.
    #[track_caller]
    pub fn described(self, operation: &str) -> Self {
        let mut operations = DOCUMENT["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let found = operations.find(|found| found["operationId"] == operation).unwrap_or_else(|| panic!("no operation {operation}"));
        assert!(found["responses"].get(self.status.to_string()).is_some(), "docs/openapi.json: {operation} may answer {}", self.status);
        self
    }

    /// A field's value, empty where there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().expect("a field in ASCII"))
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.field("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub fn value(&self, status: u16) -> Value {
        self.json(status)
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn bytes(&self, status: u16) -> &[u8] {
        assert_eq!(self.status, status, "{:?}", String::from_utf8_lossy(&self.body[..self.body.len().min(500)]));
        &self.body
    }

    /// Demands an error of this status and stable code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Problem {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.code, code, "{problem:?}");
        problem
    }

    /// The problem without what names this one request.
    pub fn problem_alone(&self) -> Value {
        let mut problem: Value = serde_json::from_slice(&self.body).expect("a problem");
        problem.as_object_mut().expect("an object").remove("request_id").expect("a request id");
        problem
    }

    #[track_caller]
    fn assert_is_problem(&self, status: StatusCode) {
        if self.field("content-length") != "0" && self.body.is_empty() {
            return; // The answer to a HEAD.
        }
        assert_eq!(self.field("content-type"), "application/problem+json", "{status}: {self:?}");
        assert_eq!(self.field("cache-control"), "no-store", "an error is not kept");
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!((problem.kind.as_str(), problem.status), ("about:blank", status.as_u16()));
        assert!(!problem.code.is_empty() && problem.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{problem:?}");
        assert_eq!(problem.request_id.as_deref(), Some(self.field("x-request-id")));
        assert_eq!(self.fields.contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
        let comes_again = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(self.fields.contains_key("retry-after"), comes_again);
    }
}
