//! A refused client that is still sending gets to its answer: to close on it would reset the connection, and many clients would then
//! report a broken pipe instead of what is wrong.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use crate::runtime;

/// Bytes of a refused body that are read and dropped.
const MAX_PASSED_OVER: usize = 32 << 20;
/// And the time for it.
const PASSING_OVER: Duration = Duration::from_secs(5);

/// Before an error is answered, reads on within bounds what of the request's body nobody has read. In HTTP/2 one stream can be ended
/// without the rest of the connection, so there it is not needed.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() || request.version() >= Version::HTTP_2 {
        return next.run(request).await;
    }
    let waits = waits_for_leave(request.headers());
    let (back, mut returned) = oneshot::channel();
    let (parts, body) = request.into_parts();
    let lent = Lent { body: Some(body), touched: false, back: Some(back) };
    let response = next.run(Request::from_parts(parts, Body::new(lent))).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused
        && let Ok(unread) = returned.try_recv()
        // Who waits for leave to send has sent nothing yet, and reading would give leave.
        && (unread.touched || !waits)
    {
        pass_over(unread.body).await;
    }
    response
}

/// `Expect: 100-continue` (RFC 9110, section 10.1.1).
fn waits_for_leave(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

async fn pass_over(body: Body) {
    let mut chunks = body.into_data_stream();
    let reading = async {
        let mut left = MAX_PASSED_OVER;
        while let Some(Ok(chunk)) = chunks.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Out of time is as good as out of bounds: the answer is sent either way.
    let _ = runtime::timeout(PASSING_OVER, reading).await;
}

/// A body that comes back where it is dropped before its end.
struct Lent {
    body: Option<Body>,
    touched: bool,
    back: Option<oneshot::Sender<Unread>>,
}

/// What is left of a body.
struct Unread {
    body: Body,
    /// Something of it was read.
    touched: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.touched = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        // At its end, and where it broke off, there is nothing left to read.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Nobody waits for it where the request was given up.
            let _ = back.send(Unread { body, touched: self.touched });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(body: Body) -> (Body, oneshot::Receiver<Unread>) {
        let (back, returned) = oneshot::channel();
        (Body::new(Lent { body: Some(body), touched: false, back: Some(back) }), returned)
    }

    fn chunks(results: Vec<Result<&'static str, std::io::Error>>) -> Body {
        Body::from_stream(futures_util::stream::iter(results))
    }

    #[tokio::test]
    async fn what_was_not_read_comes_back() {
        let (body, mut returned) = lent(chunks(vec![Ok("one"), Ok("two")]));
        let mut stream = body.into_data_stream();
        assert_eq!(stream.next().await.unwrap().unwrap(), "one");
        assert!(returned.try_recv().is_err(), "it is in use");
        drop(stream);
        let unread = returned.try_recv().unwrap();
        assert!(unread.touched);
        assert_eq!(axum::body::to_bytes(unread.body, 10).await.unwrap(), "two");

        let (body, mut returned) = lent(chunks(vec![Ok("one")]));
        drop(body);
        assert!(!returned.try_recv().unwrap().touched);
    }

    #[tokio::test]
    async fn what_has_ended_does_not() {
        let (body, mut returned) = lent(chunks(vec![Ok("one")]));
        assert_eq!(axum::body::to_bytes(body, 10).await.unwrap(), "one");
        assert!(returned.try_recv().is_err());
        let (body, mut returned) = lent(chunks(vec![Err(std::io::Error::other("gone")), Ok("never")]));
        assert!(axum::body::to_bytes(body, 10).await.is_err());
        assert!(returned.try_recv().is_err());
    }

    #[test]
    fn leave_is_waited_for_where_it_says_so() {
        let headers = |value: &'static str| [(header::EXPECT, header::HeaderValue::from_static(value))].into_iter().collect();
        assert!(waits_for_leave(&headers("100-Continue")) && !waits_for_leave(&headers("")) && !waits_for_leave(&HeaderMap::new()));
    }
}
