//! Answers that lie in memory until their clients have taken them: what all take together is bounded, and what those of one user take. The
//! first bytes of each are free, and so is what nobody had to say who they are for: that is small, or a rendition, and those
//! have a bound of their own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::App;
use super::error::ApiError;
use crate::model::Owner;
use crate::service::ServiceError;

/// Bytes of each answer that are free, so that ordinary calls never find too little.
const FREE: usize = 16 << 10;

/// The memory that answers may take beyond what is free; one user's a quarter of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AnswerMemory {
    limit: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only of those who have taken some.
    by_owner: HashMap<Owner, usize>,
}

/// Whom an answer is for, once that is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker(Arc<OnceLock<Owner>>);

impl Asker {
    pub(super) fn known(&self, owner: Owner) {
        // The first to say it is the one whose token was looked at.
        let _ = self.0.set(owner);
    }
}

/// What an answer has taken, until the last of its bytes has gone.
#[derive(Debug)]
struct Held {
    owner: Owner,
    bytes: usize,
    memory: AnswerMemory,
}

impl AnswerMemory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { limit: bytes, taken: Arc::default() }
    }

    /// Takes what an answer of this length needs; `None` where that is more than there is, or than one user's share.
    fn hold(&self, owner: Owner, bytes: usize) -> Option<Held> {
        let mut taken = self.taken();
        let all = taken.all.checked_add(bytes)?;
        let own = taken.by_owner.get(&owner).copied().unwrap_or_default().checked_add(bytes)?;
        // One alone may be larger than a share, or than all: else it could never be given.
        if all > self.limit.max(bytes) || own > (self.limit / 4).max(bytes) {
            return None;
        }
        taken.all = all;
        taken.by_owner.insert(owner, own);
        Some(Held { owner, bytes, memory: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.memory.taken();
        taken.all -= self.bytes;
        let left = taken.by_owner.get(&self.owner).map_or(0, |own| own - self.bytes);
        if left == 0 {
            taken.by_owner.remove(&self.owner);
        } else {
            taken.by_owner.insert(self.owner, left);
        }
    }
}

/// Counts what answers take, and refuses those for which there is no room.
pub(super) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (asker, is_read) = (Asker::default(), matches!(*request.method(), Method::GET | Method::HEAD));
    request.extensions_mut().insert(asker.clone());
    let response = next.run(request).await;
    let more = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).map(|bytes| bytes.saturating_sub(FREE));
    let (Some(owner), Some(more @ 1..)) = (asker.0.get(), more) else { return response };
    match app.limits.answer_memory.hold(*owner, more) {
        Some(held) => response.map(|body| Body::new(HeldBody { body, held: Arc::new(held) })),
        None if is_read => ApiError::Service(ServiceError::Busy("too many large answers at once")).into_response(),
        // It was done: nobody must take it for not begun.
        None => ApiError::Unanswered.into_response(),
    }
}

/// An answer's body with what it has taken.
struct HeldBody {
    body: Body,
    held: Arc<Held>,
}

/// Bytes on their way out: over HTTP/1 they wait for the client after their body has gone.
struct HeldBytes {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let held = &self.held;
        polled.map_ok(|frame| frame.map_data(|bytes| Bytes::from_owner(HeldBytes { bytes, _held: held.clone() })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TenantId, UserId};

    fn owner(user: u8) -> Owner {
        Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([user; 16]) }
    }

    #[test]
    fn all_are_bounded_and_each_user_by_a_quarter() {
        let memory = AnswerMemory::new(1_000);
        let mut held = vec![memory.hold(owner(1), 200).unwrap()];
        assert!(memory.hold(owner(1), 51).is_none());
        held.push(memory.hold(owner(1), 50).unwrap());
        held.extend([2, 3].map(|user| memory.hold(owner(user), 250).unwrap()));
        assert!(memory.hold(owner(4), 251).is_none(), "more than is left");
        held.push(memory.hold(owner(4), 250).unwrap());
        assert!(memory.hold(owner(5), 1).is_none());
        held.remove(0);
        held.push(memory.hold(owner(1), 200).unwrap());
        held.clear();
        held.push(memory.hold(owner(1), 1).unwrap());
        assert!(memory.hold(owner(2), 1_000).is_none());
        held.clear();
        for bytes in [1_000, 1_001] {
            let alone = memory.hold(owner(1), bytes).expect("one alone may be larger than a share, or than all");
            assert!(memory.hold(owner(2), 1).is_none());
            drop(alone);
        }
        let taken = memory.taken();
        assert!(taken.all == 0 && taken.by_owner.is_empty());
    }
}
