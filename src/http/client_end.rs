//! Long work ends with its client. A client that has sent its request and closed its side may still wait for the answer, so the end of what
//! it sends alone breaks nothing off; whoever works for so long that nobody would wait in that way asks for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::Notify;

/// The end of what a connection's client sends. HTTP/1 requests carry it as an extension; in HTTP/2 work ends with the connection anyway.
#[derive(Debug, Clone, Default)]
pub struct ClientEnd(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_awaited: AtomicBool,
    came: Notify,
}

impl ClientEnd {
    /// Whether anybody has asked for it: only then is it worth looking for.
    pub fn is_awaited(&self) -> bool {
        self.0.is_awaited.load(Ordering::Relaxed)
    }

    /// It has come. Told before it is asked for, it is not forgotten.
    pub fn came(&self) {
        self.0.came.notify_one();
    }

    /// Waits for it.
    pub async fn awaited(&self) {
        let _awaited = Awaited::begin(&self.0.is_awaited);
        self.0.came.notified().await;
    }
}

/// For as long as somebody waits: looking costs a call of the system each time that the connection is woken.
struct Awaited<'a>(&'a AtomicBool);

impl<'a> Awaited<'a> {
    fn begin(is_awaited: &'a AtomicBool) -> Self {
        is_awaited.store(true, Ordering::Relaxed);
        Self(is_awaited)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl<S: Sync> FromRequestParts<S> for ClientEnd {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
