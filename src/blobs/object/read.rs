//! Reading a copy: one answer of the service, taken as it comes.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use tokio::sync::Mutex;

use super::calls::{Calls, Reading};
use crate::blobs::{BlobError, BlobRead, Damage, path};
use crate::model::BlobKey;

/// What is fetched of a copy's beginning where a later part of it is asked for: enough to say what it is.
const BEGINNING_BYTES: u64 = 4096;

/// An open copy.
pub(super) struct ObjectRead {
    calls: Arc<Calls>,
    key: BlobKey,
    at: Path,
    size_bytes: u64,
    /// Of the object that was opened: another under its name is not read on.
    tag: Option<String>,
    /// What it was opened for.
    part: Range<u64>,
    answer: Mutex<Option<Answer>>,
}

/// An answer, and how much of it was taken.
struct Answer {
    reading: Reading,
    offset: u64,
    /// No more was asked for, though there may be more.
    until: u64,
    /// Came, and was not yet asked for.
    rest: Bytes,
}

impl std::fmt::Debug for ObjectRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectRead").field("at", &self.at).field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

impl ObjectRead {
    pub(super) async fn open(calls: Arc<Calls>, key: BlobKey) -> Result<Self, BlobError> {
        Self::open_until(calls, key, 0..u64::MAX, u64::MAX).await
    }

    /// For who reads this part: an answer that is for it ends where it does.
    pub(super) async fn open_part(calls: Arc<Calls>, key: BlobKey, part: Range<u64>) -> Result<Self, BlobError> {
        let until = if part.start == 0 { part.end } else { BEGINNING_BYTES };
        Self::open_until(calls, key, part, until).await
    }

    async fn open_until(calls: Arc<Calls>, key: BlobKey, part: Range<u64>, until: u64) -> Result<Self, BlobError> {
        let at = calls.at(&path::copy(&key));
        let reading = calls.get_beginning(&at, until).await?;
        let (size_bytes, tag) = (reading.meta.size, reading.meta.e_tag.clone());
        let answer = Mutex::new(Some(Answer { reading, offset: 0, until, rest: Bytes::new() }));
        Ok(Self { calls, key, at, size_bytes, tag, part, answer })
    }

    /// Goes on with the answer at hand, where it is at `offset` and does not end there; else asks anew.
    async fn answer_from(&self, at_hand: Option<Answer>, offset: u64) -> Result<Answer, BlobError> {
        if let Some(answer) = at_hand.filter(|answer| answer.offset == offset && offset < answer.until) {
            return Ok(answer);
        }
        let until = if self.part.contains(&offset) { self.part.end } else { u64::MAX };
        let reading = self.calls.get(&self.at, offset..until, self.tag.clone()).await?;
        if reading.meta.size != self.size_bytes {
            return Err(BlobError::Damaged { key: self.key, damage: Damage::Written });
        }
        Ok(Answer { reading, offset, until, rest: Bytes::new() })
    }
}

impl Answer {
    /// The next `length` bytes, or fewer where it ends before.
    async fn take(&mut self, calls: &Calls, length: usize) -> Result<Bytes, BlobError> {
        let mut taken = BytesMut::new();
        loop {
            let piece = self.rest.split_to(self.rest.len().min(length - taken.len()));
            self.offset += piece.len() as u64;
            if taken.is_empty() && piece.len() == length {
                return Ok(piece);
            }
            if taken.is_empty() {
                taken.reserve(length);
            }
            taken.extend_from_slice(&piece);
            if taken.len() == length {
                return Ok(taken.freeze());
            }
            match calls.piece(&mut self.reading).await? {
                Some(piece) => self.rest = piece,
                None => return Ok(taken.freeze()),
            }
        }
    }
}

#[async_trait]
impl BlobRead for ObjectRead {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn is_sequential(&self) -> bool {
        true
    }

    fn is_seekable(&self) -> bool {
        true
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let past = BlobError::Internal { reason: "a read past the end of a copy" };
        offset.checked_add(length as u64).filter(|end| *end <= self.size_bytes).ok_or(past)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut at_hand = self.answer.lock().await;
        // Gone after an error, and where the caller goes away half way: then the next one asks anew.
        let mut answer = self.answer_from(at_hand.take(), offset).await?;
        let mut bytes = answer.take(&self.calls, length).await?;
        while bytes.len() < length && answer.offset == answer.until {
            answer = self.answer_from(None, answer.until).await?;
            let more = answer.take(&self.calls, length - bytes.len()).await?;
            bytes = [bytes, more].concat().into();
        }
        if bytes.len() < length {
            let damage = Damage::Short { size_bytes: self.size_bytes, found_bytes: offset + bytes.len() as u64 };
            return Err(BlobError::Damaged { key: self.key, damage });
        }
        *at_hand = Some(answer);
        Ok(bytes)
    }
}
