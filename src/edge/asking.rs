//! One question at a time for a blob: a thousand who ask an edge for the same new photo are one question to the site.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::api::EdgeBlob;
use crate::model::{BlobHash, TenantId};
use crate::service::ServiceError;

/// Questions that nobody waits for any more are struck off when so many stand there.
const PRUNE_AT: usize = 1_024;

type Key = (Option<TenantId>, BlobHash);
/// What the site says: `None` where nobody, or nobody of the tenant, has it.
type Said = Result<Option<EdgeBlob>, ServiceError>;
type Question = BoxFuture<'static, Said>;

/// The questions under way.
#[derive(Debug, Default)]
pub(super) struct Asking(Mutex<HashMap<Key, WeakShared<Question>>>);

impl Asking {
    /// The question under way, or `ask` as a new one. It goes on for as long as anybody waits for it.
    pub(super) fn join(&self, key: Key, ask: impl FnOnce() -> Question) -> Shared<Question> {
        let mut asking = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has its answer is no question any more: what it says may have changed since.
        let found = asking.get(&key).and_then(WeakShared::upgrade).filter(|question| question.peek().is_none());
        if let Some(question) = found {
            return question;
        }
        if asking.len() >= PRUNE_AT {
            asking.retain(|_, question| question.upgrade().is_some());
        }
        let question = ask().shared();
        // Always there before it is first asked.
        if let Some(weak) = question.downgrade() {
            asking.insert(key, weak);
        }
        question
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::poll;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_the_same_share_an_answer_but_not_a_former_one() {
        let (asking, asked, answers) = (Asking::default(), Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
        let ask = |number: u8| {
            asking.join((None, BlobHash::of(&[number])), || {
                let (asked, answers) = (asked.clone(), answers.clone());
                Box::pin(async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    answers.acquire().await.unwrap().forget();
                    Ok(None)
                })
            })
        };
        let (mut first, mut second, mut other) = (ask(1), ask(1), ask(2));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending() && poll!(&mut other).is_pending());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        answers.add_permits(10);
        assert_eq!((first.await, second.await, other.await), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(ask(1).await, Ok(None));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        for _ in 0..3 {
            (0..=255).for_each(|number| drop(ask(number)));
        }
        assert!(asking.0.lock().unwrap().len() <= PRUNE_AT);
    }
}
