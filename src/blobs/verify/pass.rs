//! A copy that is checked while it is read, once, from the beginning to the end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;

use crate::blobs::{BlobError, BlobRead, Damage};
use crate::model::{BlobHash, BlobKey};

/// What is read and hashed at once: some 30 µs on an async thread.
const PIECE_BYTES: usize = 128 << 10;
/// So many bytes at the end are withheld until all have hashed to the key. A copy that has no more is checked before its first byte is given out.
const WITHHELD_BYTES: u64 = 64 << 10;

/// An open copy whose reads are passes. Nobody gets all of a copy that is not what its key says.
#[derive(Debug)]
pub(super) struct PassRead {
    key: BlobKey,
    read: Arc<dyn BlobRead>,
    pass: Mutex<Pass>,
}

/// How far a pass has come.
#[derive(Debug, Default)]
struct Pass {
    hasher: Box<blake3::Hasher>,
    /// How much was read and hashed.
    hashed: u64,
    /// What was read and not yet given out: the bytes before `hashed`.
    ahead: BytesMut,
    /// It has come to its end, and all was good.
    is_good: bool,
    /// An error ends a pass: the next read begins another.
    has_failed: bool,
}

impl PassRead {
    pub(super) fn new(key: BlobKey, read: Arc<dyn BlobRead>) -> Self {
        Self { key, read, pass: Mutex::default() }
    }

    /// Goes on to `end`, and where that is among the withheld bytes to the end of the copy. What lies before `from` is dropped.
    async fn advance(&self, pass: &mut Pass, from: u64, end: u64) -> Result<(), BlobError> {
        let size = self.read.size_bytes();
        let goal = if end > size.saturating_sub(WITHHELD_BYTES) { size } else { end };
        while pass.hashed < goal {
            let length = PIECE_BYTES.min(usize::try_from(goal - pass.hashed).unwrap_or(usize::MAX));
            let piece = self.read.read_at(pass.hashed, length).await?;
            pass.hasher.update(&piece);
            pass.ahead.extend_from_slice(&piece);
            pass.hashed += piece.len() as u64;
            pass.drop_before(from);
        }
        if goal == size && !pass.is_good {
            let found = BlobHash::from(pass.hasher.finalize());
            if found != self.key.hash {
                return Err(BlobError::Damaged { key: self.key, damage: Damage::Content { found } });
            }
            pass.is_good = true;
        }
        Ok(())
    }
}

impl Pass {
    /// Where the first byte that is held lies.
    fn held_from(&self) -> u64 {
        self.hashed - self.ahead.len() as u64
    }

    fn drop_before(&mut self, from: u64) {
        let passed_over = usize::try_from(from.saturating_sub(self.held_from())).unwrap_or(usize::MAX);
        let _ = self.ahead.split_to(passed_over.min(self.ahead.len()));
    }
}

#[async_trait]
impl BlobRead for PassRead {
    fn size_bytes(&self) -> u64 {
        self.read.size_bytes()
    }

    fn is_sequential(&self) -> bool {
        true
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let past = BlobError::Internal { reason: "a read past the end of a copy" };
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.read.size_bytes()).ok_or(past)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut pass = self.pass.lock().await;
        if pass.has_failed || offset < pass.held_from() {
            *pass = Pass::default();
        }
        // Also where the caller goes away half way.
        pass.has_failed = true;
        pass.drop_before(offset);
        let missing = length.saturating_sub(pass.ahead.len());
        pass.ahead.reserve(missing);
        self.advance(&mut pass, offset, end).await?;
        pass.has_failed = false;
        pass.drop_before(offset);
        Ok(pass.ahead.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blobs::contract::{bytes, key};

    /// Bytes that come in passes, and how many bytes were read of them in all.
    #[derive(Debug)]
    struct Remote(Bytes, std::sync::atomic::AtomicU64);

    #[async_trait]
    impl BlobRead for Remote {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn is_sequential(&self) -> bool {
            true
        }

        async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
            self.1.fetch_add(length as u64, std::sync::atomic::Ordering::Relaxed);
            Ok(self.0.slice(offset as usize..offset as usize + length))
        }
    }

    fn remote(content: Bytes) -> Arc<Remote> {
        Arc::new(Remote(content, Default::default()))
    }

    #[tokio::test]
    async fn a_download_is_one_pass() {
        for size in [0, 1, 65_536, 65_537, 300_000, 1_000_003] {
            let content = bytes(1, size);
            let inner = remote(content.clone());
            let read = PassRead::new(key(&content, 1), inner.clone());
            let mut got = BytesMut::new();
            while got.len() < size {
                got.extend_from_slice(&read.read_at(got.len() as u64, 100_000.min(size - got.len())).await.unwrap());
            }
            assert_eq!((got.freeze(), inner.1.load(std::sync::atomic::Ordering::Relaxed)), (content, size as u64));
        }
    }

    #[tokio::test]
    async fn the_end_of_wrong_bytes_is_never_given_out() {
        let content = bytes(1, 500_000);
        for wrong_at in [0, 250_000, 499_999] {
            let mut wrong = content.to_vec();
            wrong[wrong_at] ^= 1;
            let read = PassRead::new(key(&content, 1), remote(wrong.into()));
            let last = 500_000 - WITHHELD_BYTES;
            assert!(read.read_at(0, last as usize).await.is_ok(), "what came before could not be known");
            for (offset, length) in [(last, 1), (last, 1), (499_999, 1), (0, 500_000), (last - 1, 2)] {
                assert!(matches!(read.read_at(offset, length).await, Err(BlobError::Damaged { .. })), "{length} from {offset}");
            }
        }
        let small = bytes(2, 1000);
        let read = PassRead::new(key(&small, 1), remote(bytes(3, 1000)));
        assert!(matches!(read.read_at(0, 1).await, Err(BlobError::Damaged { .. })), "not even the first byte");
    }

    proptest! {
        #[test]
        fn any_order_gives_the_right_bytes(size in 0usize..400_000, reads in proptest::collection::vec((0.0..1.0f64, 0usize..300_000), 1..8)) {
            let content = bytes(7, size);
            let read = PassRead::new(key(&content, 1), remote(content.clone()));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for (at, length) in reads {
                let offset = (at * size as f64) as usize;
                let length = length.min(size - offset);
                prop_assert_eq!(&runtime.block_on(read.read_at(offset as u64, length)).unwrap(), &content[offset..offset + length]);
            }
            prop_assert!(runtime.block_on(read.read_at(size as u64, 1)).is_err());
        }
    }
}
