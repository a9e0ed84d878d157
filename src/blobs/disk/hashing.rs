//! Hashing of copies that lie whole in memory: two at a time on each thread, which costs less than one after the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::oneshot;

use super::holds::Buffer;
use crate::blobs::BlobError;
use crate::blobs::digest::RunningDigests;
use crate::runtime::{BlockingPool, Gone};

/// So much is hashed until it is asked again whether another copy has come.
const STEP_BYTES: usize = 256 << 10;

/// The copies that wait to be hashed, oldest first.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    waiting: Mutex<VecDeque<Weak<Waiting>>>,
}

/// A copy that waits until a thread takes it. Lives for as long as whoever asked for its digests waits for a thread, so that it is hashed,
/// if nowhere else, there.
struct Waiting(Mutex<Option<Held>>);

struct Held {
    bytes: Buffer,
    digests: RunningDigests,
    answer: oneshot::Sender<(Buffer, RunningDigests)>,
}

impl Hashing {
    /// Takes the bytes' digests on `pool`, one of whose threads may have them done beside other copies.
    ///
    /// # Errors
    /// [`BlobError::Panicked`], [`BlobError::Closed`] or [`BlobError::Unavailable`], as of any work on a pool; the bytes are gone then.
    pub(super) async fn hash(self: &Arc<Self>, pool: &BlockingPool, bytes: Buffer) -> Result<(Buffer, RunningDigests), BlobError> {
        let (own, answered) = self.wait(bytes);
        let hashing = self.clone();
        let work = pool.run(move || hashing.work(&own));
        tokio::select! {
            biased;
            // Gone without an answer: whoever had taken it has panicked.
            answer = answered => answer.map_err(|_| Gone::Panicked.into()),
            Err(gone) = work => Err(gone.into()),
        }
    }

    /// Has a copy wait for whichever thread comes first.
    fn wait(&self, bytes: Buffer) -> (Arc<Waiting>, oneshot::Receiver<(Buffer, RunningDigests)>) {
        let (answer, answered) = oneshot::channel();
        let waiting = Arc::new(Waiting(Mutex::new(Some(Held { bytes, digests: RunningDigests::default(), answer }))));
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(Arc::downgrade(&waiting));
        (waiting, answered)
    }

    /// Hashes this copy, unless another thread has taken it, and whatever else waits, until nothing does.
    fn work(&self, own: &Waiting) {
        let mut lanes = [own.take(), None];
        loop {
            for lane in &mut lanes {
                *lane = lane.take().or_else(|| self.next());
            }
            match &mut lanes {
                [Some(one), Some(other)] => {
                    let ((one, its), (other, others)) = (one.next_step(), other.next_step());
                    // No further than both go: then another takes the place of the one that is done.
                    let both = its.len().min(others.len());
                    RunningDigests::update_both([one, other], [&its[..both], &others[..both]]);
                }
                [Some(alone), None] | [None, Some(alone)] => {
                    let (digests, bytes) = alone.next_step();
                    digests.update(bytes);
                }
                [None, None] => return,
            }
            for done in lanes.iter_mut().filter_map(|lane| lane.take_if(|copy| copy.is_hashed())) {
                // Where nobody waits for it any more the bytes go here.
                let _ = done.answer.send((done.bytes, done.digests));
            }
        }
    }

    /// The copy that has waited longest.
    fn next(&self) -> Option<Held> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| waiting.pop_front()).find_map(|waiting| waiting.upgrade()?.take())
    }
}

impl Waiting {
    /// The copy, where it was not taken and somebody waits for it.
    fn take(&self) -> Option<Held> {
        let copy = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        copy.filter(|copy| !copy.answer.is_closed())
    }
}

impl Held {
    fn next_step(&mut self) -> (&mut RunningDigests, &[u8]) {
        let rest = &self.bytes.as_ref()[self.hashed_bytes()..];
        (&mut self.digests, &rest[..rest.len().min(STEP_BYTES)])
    }

    fn is_hashed(&self) -> bool {
        self.hashed_bytes() == self.bytes.as_ref().len()
    }

    fn hashed_bytes(&self) -> usize {
        usize::try_from(self.digests.size_bytes()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Digests;
    use crate::blobs::disk::holds::Holds;

    fn buffer(holds: &Arc<Holds>, bytes: &[u8]) -> Buffer {
        let mut buffer = holds.whole(bytes.len() as u64).unwrap();
        assert!(buffer.push(bytes));
        buffer
    }

    #[tokio::test]
    async fn every_copy_gets_its_own_digests_whoever_takes_it() {
        let (holds, hashing) = (Holds::new(64 << 20), Arc::new(Hashing::default()));
        for threads in [1, 2, 3] {
            let pool = BlockingPool::new("hashing", threads);
            let copies: Vec<_> = (0..40_usize).map(|n| crate::blobs::contract::bytes(n as u64, n * n * n * 20 % 900_001)).collect();
            let hashed = copies.iter().map(|copy| hashing.hash(&pool, buffer(&holds, copy)));
            for (copy, hashed) in copies.iter().zip(futures_util::future::join_all(hashed).await) {
                let (bytes, digests) = hashed.unwrap();
                assert_eq!((bytes.as_ref(), digests.finish()), (&copy[..], Digests::of(copy)), "{threads} threads");
            }
            assert_eq!(holds.lent_bytes(), 0);
        }
    }

    #[test]
    fn a_thread_takes_whatever_waits() {
        let (holds, hashing) = (Holds::new(64 << 20), Hashing::default());
        let copies: Vec<_> = [700_000, 30_000, 0, 600_001].map(|length| crate::blobs::contract::bytes(length as u64, length)).into();
        let (waiting, answered): (Vec<_>, Vec<_>) = copies.iter().map(|copy| hashing.wait(buffer(&holds, copy))).unzip();
        hashing.work(&waiting[1]);
        for (copy, mut answered) in copies.iter().zip(answered) {
            let (bytes, digests) = answered.try_recv().expect("hashed");
            assert_eq!((bytes.as_ref(), digests.finish()), (&copy[..], Digests::of(copy)));
        }
        assert!(hashing.waiting.lock().unwrap().is_empty());
        waiting.iter().for_each(|waiting| hashing.work(waiting));
    }

    /// Those who wait may go, or lose the thread that took their copy, or the pool: nothing is held here for them.
    #[tokio::test]
    async fn a_copy_that_nobody_waits_for_is_let_go() {
        let (holds, hashing) = (Holds::new(64 << 20), Arc::new(Hashing::default()));
        let pool = BlockingPool::new("hashing", 1);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ending) = std::sync::mpsc::channel::<()>();
        let occupant = pool.clone();
        let busy = crate::runtime::spawn_joined(async move {
            let occupy = move || {
                begun.send(()).unwrap();
                ending.recv().unwrap();
            };
            occupant.run(occupy).await
        });
        while has_begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let mut left = Box::pin(hashing.hash(&pool, buffer(&holds, &[1; 100_000])));
        assert!(futures_util::poll!(&mut left).is_pending());
        assert!(holds.lent_bytes() > 0);
        drop(left);
        assert_eq!(holds.lent_bytes(), 0);
        let mut lost = Box::pin(hashing.hash(&pool, buffer(&holds, &[4; 100_000])));
        assert!(futures_util::poll!(&mut lost).is_pending());
        drop(hashing.next().expect("it waits"));
        assert!(matches!(lost.await, Err(BlobError::Panicked)));
        let mut kept = Box::pin(hashing.hash(&pool, buffer(&holds, &[2; 100_000])));
        assert!(futures_util::poll!(&mut kept).is_pending());
        end.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert_eq!(kept.await.unwrap().1.finish(), Digests::of(&[2; 100_000]));
        pool.close().await;
        assert!(matches!(hashing.hash(&pool, buffer(&holds, &[3; 10])).await, Err(BlobError::Closed)));
        assert_eq!(holds.lent_bytes(), 0);
    }
}
