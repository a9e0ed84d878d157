//! Answers that lie in memory until their clients have taken them: what all take together is bounded, and what those of one user take. Of
//! the first bytes of each, which ordinary calls need, only what one user has of them is bounded. What nobody had to say who they are for is
//! free: it is small, or a rendition, and those have a bound of their own.

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

use super::Front;
use super::error::ApiError;
use crate::model::Owner;
use crate::service::ServiceError;

/// Bytes of each answer that only its own user can lack room for, so that ordinary calls never find too little.
const FREE: usize = 16 << 10;
/// One user's answers may have these in every case, so many first bytes at once.
const FREE_AT_LEAST: usize = 64 * FREE;

/// The memory that answers may take beyond their first bytes; one user's a quarter of it, and as much for first bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AnswerMemory {
    limit: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Beyond the first bytes of each.
    all: usize,
    /// Only of those who have taken some.
    by_owner: HashMap<Owner, Size>,
}

/// Bytes of one answer or of several.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Size {
    first: usize,
    more: usize,
}

impl Size {
    fn of(bytes: usize) -> Self {
        Self { first: bytes.min(FREE), more: bytes.saturating_sub(FREE) }
    }
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
    size: Size,
    memory: AnswerMemory,
}

impl AnswerMemory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { limit: bytes, taken: Arc::default() }
    }

    /// Takes what an answer of this length needs; `None` where that is more than there is, or than one user's share.
    fn hold(&self, owner: Owner, bytes: usize) -> Option<Held> {
        let (size, share) = (Size::of(bytes), self.limit / 4);
        let mut taken = self.taken();
        let own = taken.by_owner.get(&owner).copied().unwrap_or_default();
        let all = taken.all.checked_add(size.more)?;
        let own = Size { first: own.first + size.first, more: own.more.checked_add(size.more)? };
        // One alone may be larger than a share, or than all: else it could never be given.
        let is_too_much = size.more > 0 && (all > self.limit.max(size.more) || own.more > share.max(size.more));
        if is_too_much || own.first > share.max(FREE_AT_LEAST) {
            return None;
        }
        taken.all = all;
        taken.by_owner.insert(owner, own);
        Some(Held { owner, size, memory: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.memory.taken();
        taken.all -= self.size.more;
        let own = taken.by_owner.get(&self.owner).copied().unwrap_or_default();
        let left = Size { first: own.first.saturating_sub(self.size.first), more: own.more.saturating_sub(self.size.more) };
        if left == Size::default() {
            taken.by_owner.remove(&self.owner);
        } else {
            taken.by_owner.insert(self.owner, left);
        }
    }
}

/// Counts what answers take, and refuses those for which there is no room.
pub(super) async fn layer(State(front): State<Front>, mut request: Request, next: Next) -> Response {
    let (asker, is_read) = (Asker::default(), matches!(*request.method(), Method::GET | Method::HEAD));
    request.extensions_mut().insert(asker.clone());
    let response = next.run(request).await;
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let (Some(owner), Some(bytes @ 1..)) = (asker.0.get(), bytes) else { return response };
    match front.limits.answer_memory.hold(*owner, bytes) {
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
        let hold = |user, more| memory.hold(owner(user), FREE + more);
        let mut held = vec![hold(1, 200).unwrap()];
        assert!(hold(1, 51).is_none());
        held.push(hold(1, 50).unwrap());
        held.extend([2, 3].map(|user| hold(user, 250).unwrap()));
        assert!(hold(4, 251).is_none(), "more than is left");
        held.push(hold(4, 250).unwrap());
        assert!(hold(5, 1).is_none());
        held.remove(0);
        held.push(hold(1, 200).unwrap());
        held.clear();
        held.push(hold(1, 1).unwrap());
        assert!(hold(2, 1_000).is_none());
        held.clear();
        for more in [1_000, 1_001] {
            let alone = hold(1, more).expect("one alone may be larger than a share, or than all");
            assert!(hold(2, 1).is_none());
            drop(alone);
        }
        let taken = memory.taken();
        assert!(taken.all == 0 && taken.by_owner.is_empty());
    }

    #[test]
    fn small_ones_are_bounded_for_each_user_alone() {
        for (limit, answers) in [(1_000, FREE_AT_LEAST / 100), (64 << 20, (16 << 20) / 100)] {
            let memory = AnswerMemory::new(limit);
            let mut held: Vec<_> = (0..answers).map(|_| memory.hold(owner(1), 100).unwrap()).collect();
            assert!(memory.hold(owner(1), 100).is_none());
            held.push(memory.hold(owner(2), 100).unwrap());
            held.remove(0);
            held.push(memory.hold(owner(1), 100).unwrap());
            assert_eq!(memory.taken().all, 0);
            drop(held);
            assert!(memory.taken().by_owner.is_empty());
        }
    }
}
