//! One call: sent, judged, repeated where that is right, and read as JSON.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::retry::{Retry, Verdict};
use super::{Client, ClientError, error};
use crate::api::Problem;
use crate::runtime;

/// The longest answer that is read as JSON.
const ANSWER_LIMIT: usize = 32 << 20;
/// The longest error body that is read.
const PROBLEM_LIMIT: usize = 64 << 10;

/// A call that carries JSON, or nothing.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    repeatable: bool,
    timeout: Option<Duration>,
}

impl Call {
    /// A call of `/v1/{path}`. GET, HEAD, PUT, DELETE and PATCH (which sets what it says) may be repeated, POST may not.
    pub(super) fn new(method: Method, path: impl AsRef<str>) -> Self {
        let repeatable = method != Method::POST;
        Self { method, path: format!("/v1/{}", path.as_ref()), query: Vec::new(), body: None, repeatable, timeout: None }
    }

    pub(super) fn get(path: impl AsRef<str>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl AsRef<str>) -> Self {
        Self::new(Method::POST, path)
    }

    /// Doing it twice is the same as doing it once.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(super) fn body(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("wire types serialize").into());
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// An attempt that failed, and whether another one is worth it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ClientError,
    pub(super) verdict: Verdict,
}

impl Failure {
    pub(super) fn last(error: ClientError) -> Self {
        Self { error, verdict: Verdict::Final }
    }
}

/// The attempts of one call, as they go by.
pub(super) struct Attempts<'a> {
    client: &'a Client,
    retry: Retry,
    begun: Duration,
}

impl Attempts<'_> {
    /// Waits until it is time for the next attempt.
    ///
    /// # Errors
    /// The failure's own, where there is to be no other attempt.
    pub(super) async fn pause(&mut self, failure: Failure) -> Result<(), ClientError> {
        let elapsed = self.client.runtime.clock.monotonic().saturating_sub(self.begun);
        let random = u64::from_le_bytes(self.client.runtime.random.bytes());
        match self.retry.after_failure(failure.verdict, elapsed, random) {
            Some(delay) => {
                runtime::sleep(delay).await;
                if matches!(failure.verdict, Verdict::TooMany { .. }) {
                    // The wait for its turn has a limit of its own, and takes no time from what may fail after it.
                    self.moved();
                }
                Ok(())
            }
            None => Err(failure.error),
        }
    }

    /// It is under way, not failing: the time begins anew, the count does not.
    pub(super) fn moved(&mut self) {
        self.begun = self.client.runtime.clock.monotonic();
    }

    /// Something was gained: count and time begin anew.
    pub(super) fn progressed(&mut self) {
        self.retry.progressed();
        self.moved();
    }
}

impl Client {
    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts { client: self, retry: Retry::new(self.settings.retry), begun: self.runtime.clock.monotonic() }
    }

    /// Calls, and reads the answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let (_, body) = self.answer(&call).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(format!("{} {}: {error}", call.method, call.path)))
    }

    /// Calls where nothing is answered but that it was done.
    pub(super) async fn done(&self, call: Call) -> Result<(), ClientError> {
        self.answer(&call).await.map(drop)
    }

    async fn answer(&self, call: &Call) -> Result<(StatusCode, Bytes), ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.answer_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    async fn answer_once(&self, call: &Call) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = self.request(call.method.clone(), &call.path).timeout(call.timeout.unwrap_or(self.settings.answer_timeout));
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.broken(&error, call.repeatable))?;
        let response = self.judged(response, call.repeatable).await?;
        let status = response.status();
        let body = self.read(response, ANSWER_LIMIT, call.repeatable).await?;
        Ok((status, body))
    }

    /// A request with everything that each one carries.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.absolute(path)).headers(self.headers.clone())
    }

    /// Reads the whole body, of at most `limit` bytes.
    pub(super) async fn read(&self, mut response: Response, limit: usize, repeatable: bool) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error, repeatable))? {
            if body.len() + chunk.len() > limit {
                return Err(Failure::last(self.protocol(format!("an answer of more than {limit} bytes"))));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Passes a success on; makes a typed error of everything else.
    pub(super) async fn judged(&self, response: Response, repeatable: bool) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = self.retry_after(&response);
        // The status says it already: what cannot be read of the body, or does not come, is no news.
        let read = runtime::timeout(self.settings.answer_timeout, self.read(response, PROBLEM_LIMIT, false)).await;
        let body = read.and_then(Result::ok).unwrap_or_default();
        let problem = serde_json::from_slice::<Problem>(&body).ok().filter(|problem| problem.status == status.as_u16());
        let verdict = match status.as_u16() {
            429 => Verdict::TooMany { retry_after },
            408 | 502..=504 if repeatable => Verdict::Again { retry_after },
            // Refused before it was begun. Every other 503, a proxy's too, may have been done, or be done yet.
            503 if problem.as_ref().is_some_and(|problem| problem.code == "busy") => Verdict::Again { retry_after },
            _ => Verdict::Final,
        };
        let error = match problem {
            Some(problem) => ClientError::Refused(Box::new(problem)),
            _ if matches!(status.as_u16(), 408 | 413 | 429 | 502..=504) => ClientError::Refused(Box::new(proxy_problem(status))),
            _ if status.is_redirection() => self.protocol(format!("it points elsewhere ({status})")),
            _ => self.protocol(format!("{status} without a reason")),
        };
        Err(Failure { error, verdict })
    }

    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
        Some(Duration::from_millis(u64::try_from(at).ok()?.saturating_sub(self.runtime.clock.unix_ms())))
    }

    /// What a failure of the transport means. Without a connection nothing was begun, so that anything may be repeated.
    pub(super) fn broken(&self, error: &reqwest::Error, repeatable: bool) -> Failure {
        if error.is_builder() {
            return Failure::last(ClientError::Settings(error::explain(error)));
        }
        let verdict = if repeatable || error.is_connect() { Verdict::Again { retry_after: None } } else { Verdict::Final };
        Failure { error: ClientError::Unreachable { server: self.base.to_string(), detail: error::explain(error) }, verdict }
    }

    /// Nothing moved for too long. What was sent may have been done.
    pub(super) fn silent(&self, repeatable: bool) -> Failure {
        let detail = format!("nothing moved for {} s", self.settings.idle_timeout.as_secs());
        let verdict = if repeatable { Verdict::Again { retry_after: None } } else { Verdict::Final };
        Failure { error: ClientError::Unreachable { server: self.base.to_string(), detail }, verdict }
    }

    pub(super) fn protocol(&self, detail: String) -> ClientError {
        ClientError::Protocol { server: self.base.to_string(), detail }
    }
}

/// What a proxy in front of the server means, which knows nothing of problem documents.
fn proxy_problem(status: StatusCode) -> Problem {
    Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        status: status.as_u16(),
        code: if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large".into() } else { format!("http_{}", status.as_u16()) },
        detail: None,
        request_id: None,
    }
}
