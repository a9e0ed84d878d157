//! Renditions of one photo that are asked for while it waits for its turn, or is rendered, are rendered together.
//!
//! Of each photo that anything waits of, one task takes turns, one after the other, and with each renders as many of those that wait as go
//! together. Who is asked for alone waits for nobody; who comes later waits for one job at most, and then goes with all who came with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Rendition;
use super::cache::CacheKey;
use super::disk::Seen;
use super::lane::Place;
use crate::model::BlobHash;
use crate::service::ServiceError;

/// What is waited for of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A rendition of it.
    Rendition(CacheKey),
    /// Its preview, for what is not rendered here: answered with its picture, which is empty where the photo can have none.
    Preview,
}

/// The photos that renditions wait of. Bounded by the places of the queue, one of which each that waits holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Gather(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    begun: u64,
    photos: HashMap<BlobHash, Photo>,
}

/// A photo that a task takes turns for.
#[derive(Debug, Default)]
struct Photo {
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    /// Told when the last that waits has gone.
    emptied: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    wanted: Wanted,
    place: Place,
    begun: oneshot::Sender<Result<Begun, ServiceError>>,
}

/// A rendition that is being rendered: it will be there, whoever waits for it.
#[derive(Debug)]
pub(super) struct Begun {
    /// What the cache on disk had seen when it began.
    pub(super) seen: Option<Seen>,
    answer: oneshot::Receiver<Result<Rendition, ServiceError>>,
}

impl Begun {
    /// Waits until it is there.
    ///
    /// # Errors
    /// As it could not be rendered.
    pub(super) async fn rendered(self) -> Result<Rendition, ServiceError> {
        self.answer.await.unwrap_or(Err(ServiceError::SHUTTING_DOWN))
    }
}

/// A rendition that a task renders. Whoever waits for it is told that it failed where this is dropped without an answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// Kept until it is answered.
    _place: Place,
    answer: oneshot::Sender<Result<Rendition, ServiceError>>,
}

impl Asked {
    /// Answers; gives back what nobody takes any more.
    pub(super) fn answer(self, rendered: Result<Rendition, ServiceError>) -> Option<Rendition> {
        self.answer.send(rendered).err().and_then(Result::ok)
    }
}

/// The right to take turns for a photo. Dropped, whatever still waits is told that nothing comes.
#[derive(Debug)]
pub(super) struct Taking {
    gather: Gather,
    hash: BlobHash,
    emptied: Arc<Notify>,
}

/// One that waits, until it is dropped.
struct Here {
    gather: Gather,
    hash: BlobHash,
    number: u64,
}

impl Gather {
    /// Has something of a photo wait; the answer ends when it begins to be rendered, and dropped it waits no more. Where nobody takes turns for its
    /// photo the caller has to.
    pub(super) fn join(
        &self,
        hash: BlobHash,
        wanted: Wanted,
        place: Place,
    ) -> (impl Future<Output = Result<Begun, ServiceError>> + Send + 'static + use<>, Option<Taking>) {
        let (begun, beginning) = oneshot::channel();
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        let is_first = !state.photos.contains_key(&hash);
        let photo = state.photos.entry(hash).or_default();
        photo.waiting.push(Waiting { number, wanted, place, begun });
        let taking = is_first.then(|| Taking { gather: self.clone(), hash, emptied: photo.emptied.clone() });
        drop(state);
        let here = Here { gather: self.clone(), hash, number };
        let waiting = async move {
            let _here = here;
            beginning.await.unwrap_or(Err(ServiceError::SHUTTING_DOWN))
        };
        (waiting, taking)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taking {
    /// Waits for a `turn`; `None` where nothing waits any more: then somebody else has the right from the next that comes on.
    pub(super) async fn turn<T>(&self, turn: impl Future<Output = T>) -> Option<T> {
        let mut turn = std::pin::pin!(turn);
        while !self.has_ended() {
            tokio::select! {
                biased;
                () = self.emptied.notified() => {}
                turn = &mut turn => return Some(turn),
            }
        }
        None
    }

    /// The photo's.
    pub(super) fn hash(&self) -> BlobHash {
        self.hash
    }

    /// Those that wait now.
    pub(super) fn waiting(&self) -> Vec<Wanted> {
        self.gather
            .state()
            .photos
            .get(&self.hash)
            .map(|photo| photo.waiting.iter().map(|waiting| waiting.wanted).collect())
            .unwrap_or_default()
    }

    /// Begins at most `count` of those that wait and that `goes_along` is true of.
    pub(super) fn begin(&self, count: usize, seen: Option<Seen>, goes_along: impl Fn(&Wanted) -> bool) -> Vec<Asked> {
        let begin = |Waiting { wanted, place, begun, .. }: Waiting| {
            let (answer, answered) = oneshot::channel();
            // Who has just gone is not rendered for.
            begun.send(Ok(Begun { seen, answer: answered })).is_ok().then_some(Asked { wanted, _place: place, answer })
        };
        let mut state = self.gather.state();
        let Some(photo) = state.photos.get_mut(&self.hash) else { return vec![] };
        let (mut asked, mut left) = (vec![], vec![]);
        for waiting in photo.waiting.drain(..) {
            if asked.len() < count && goes_along(&waiting.wanted) {
                asked.extend(begin(waiting));
            } else {
                left.push(waiting);
            }
        }
        photo.waiting = left;
        asked
    }

    /// Tells those that wait and that `fails` is true of that they cannot be had.
    pub(super) fn fail(&self, error: &ServiceError, fails: impl Fn(&Wanted) -> bool) {
        let mut state = self.gather.state();
        let Some(photo) = state.photos.get_mut(&self.hash) else { return };
        let (failed, left): (Vec<_>, Vec<_>) = photo.waiting.drain(..).partition(|waiting| fails(&waiting.wanted));
        photo.waiting = left;
        drop(state);
        failed.into_iter().for_each(|waiting| drop(waiting.begun.send(Err(error.clone()))));
    }

    /// Gives the right back where nothing waits.
    fn has_ended(&self) -> bool {
        let mut state = self.gather.state();
        let is_empty = state.photos.get(&self.hash).is_none_or(|photo| photo.waiting.is_empty());
        if is_empty {
            self.give_back(&mut state);
        }
        is_empty
    }

    /// Not what another has taken since.
    fn give_back(&self, state: &mut State) -> Option<Photo> {
        let is_ours = state.photos.get(&self.hash).is_some_and(|photo| Arc::ptr_eq(&photo.emptied, &self.emptied));
        if is_ours { state.photos.remove(&self.hash) } else { None }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let photo = self.give_back(&mut self.gather.state());
        // Outside of the lock: who is told so may leave at once.
        drop(photo);
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let mut state = self.gather.state();
        let Some(photo) = state.photos.get_mut(&self.hash) else { return };
        let gone = photo.waiting.iter().position(|waiting| waiting.number == self.number).map(|at| photo.waiting.remove(at));
        if gone.is_some() && photo.waiting.is_empty() {
            photo.emptied.notify_one();
        }
        drop(state);
        drop(gone);
    }
}

#[cfg(test)]
mod tests;
