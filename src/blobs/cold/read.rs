//! A recompressed copy that is decoded while it is read, from the beginning to the end.

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};

use super::container::{HEAD_BYTES, Head};
use super::{Decoding, lepton};
use crate::blobs::{BlobError, BlobRead, Damage};
use crate::model::{BlobHash, BlobKey};
use crate::runtime;

/// What is read of the stored copy at once.
const STORED_PIECE_BYTES: usize = 1 << 20;
/// What is decoded before it is handed on.
const PIECE_BYTES: usize = 128 << 10;
/// Pieces that may be shorter: the codec ends one after each of its parts, of which there are eight at most.
const ENDS: usize = 64;

/// An open copy that is recompressed.
#[derive(Debug)]
pub(super) struct ColdRead {
    key: BlobKey,
    head: Head,
    /// The copy as it is stored.
    stored: Arc<dyn BlobRead>,
    decoding: Decoding,
    state: Mutex<State>,
}

/// Where reading stands.
#[derive(Debug)]
enum State {
    /// What is stored has been looked at, and nobody has read.
    Loaded(Loaded),
    /// A pass is under way.
    Under(Pass),
    /// The next read begins at the beginning.
    Fresh,
}

/// What is stored, found as it was written.
#[derive(Debug)]
struct Loaded {
    payload: Bytes,
    /// What decoding takes.
    decoding: OwnedSemaphorePermit,
    /// What the original takes.
    original: OwnedSemaphorePermit,
}

/// A pass that is under way.
#[derive(Debug)]
struct Pass {
    pieces: mpsc::Receiver<Result<Bytes, BlobError>>,
    /// The rest of the piece at hand.
    piece: Bytes,
    /// Where the next byte lies in the original.
    at: u64,
    /// For as long as anything of the original lies in memory.
    _memory: OwnedSemaphorePermit,
}

impl ColdRead {
    /// Opens a copy: reads what is stored, and looks whether it is as it was written.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] where it is not.
    pub(super) async fn open(key: BlobKey, head: Head, stored: Arc<dyn BlobRead>, decoding: Decoding) -> Result<Self, BlobError> {
        let opened = Self { key, head, stored, decoding, state: Mutex::new(State::Fresh) };
        *opened.state.lock().await = State::Loaded(opened.load().await?);
        Ok(opened)
    }

    async fn load(&self) -> Result<Loaded, BlobError> {
        let original_kib = u32::try_from(self.head.original_bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let mut decoding = self.decoding.take_memory(self.head.memory_kib.saturating_add(original_kib)).await?;
        let part = decoding.num_permits().min(original_kib as usize);
        let original = decoding.split(part).ok_or(BlobError::Internal { reason: "memory that was taken is not there" })?;
        Ok(Loaded { payload: self.payload().await?, decoding, original })
    }

    /// Begins to decode. All of the original has room where it goes, so that no reader, however slow, holds up a thread.
    fn begin(&self, Loaded { payload, decoding, original }: Loaded) -> Pass {
        let room = usize::try_from(self.head.original_bytes).unwrap_or_default() / PIECE_BYTES + ENDS;
        let (to, pieces) = mpsc::channel(room);
        let (key, head, pool) = (self.key, self.head, self.decoding.pool.clone());
        runtime::spawn(async move {
            let mut sink = Sink { to: to.clone(), gathered: Vec::with_capacity(PIECE_BYTES) };
            let decoded = pool.run(move || {
                // Till here what is stored, and till its end what decoding takes, lies in memory, also where nobody reads any more.
                let _held = decoding;
                if sink.to.is_closed() { Ok(()) } else { lepton::decode(&head, &payload, &mut sink) }
            });
            let failed = match decoded.await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => BlobError::Damaged { key, damage: Damage::Undecodable(why) },
                Err(gone) => gone.into(),
            };
            // Where nobody reads any more, that is why it ended.
            let _ = to.send(Err(failed)).await;
        });
        Pass { pieces, piece: Bytes::new(), at: 0, _memory: original }
    }

    /// What follows the head.
    async fn payload(&self) -> Result<Bytes, BlobError> {
        let too_large = BlobError::Refused { reason: format!("copy {} says that it is larger than any that was ever written", self.key) };
        let length =
            usize::try_from(self.head.payload_bytes).ok().filter(|length| *length <= lepton::MAX_ORIGINAL_BYTES).ok_or(too_large)?;
        let mut payload = BytesMut::with_capacity(length);
        while payload.len() < length {
            let piece = STORED_PIECE_BYTES.min(length - payload.len());
            payload.extend_from_slice(&self.stored.read_at((HEAD_BYTES + payload.len()) as u64, piece).await?);
        }
        let found = BlobHash::of(&payload);
        if found != self.head.payload_hash {
            return Err(BlobError::Damaged { key: self.key, damage: Damage::Content { found } });
        }
        Ok(payload.freeze())
    }
}

impl Pass {
    /// Sees to it that there is a byte at hand.
    async fn fill(&mut self, key: BlobKey) -> Result<(), BlobError> {
        while self.piece.is_empty() {
            let short = || BlobError::Damaged { key, damage: Damage::Undecodable("it ends too soon".to_owned()) };
            self.piece = self.pieces.recv().await.ok_or_else(short)??;
        }
        Ok(())
    }

    async fn skip_to(&mut self, offset: u64, key: BlobKey) -> Result<(), BlobError> {
        while self.at < offset {
            self.fill(key).await?;
            let passed = self.piece.len().min(usize::try_from(offset - self.at).unwrap_or(usize::MAX));
            self.piece.advance(passed);
            self.at += passed as u64;
        }
        Ok(())
    }

    async fn take(&mut self, length: usize, key: BlobKey) -> Result<Bytes, BlobError> {
        self.fill(key).await?;
        if self.piece.len() >= length {
            self.at += length as u64;
            return Ok(self.piece.split_to(length));
        }
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            self.fill(key).await?;
            let part = self.piece.len().min(length - taken.len());
            taken.extend_from_slice(&self.piece.split_to(part));
        }
        self.at += length as u64;
        Ok(taken.freeze())
    }
}

#[async_trait]
impl BlobRead for ColdRead {
    fn size_bytes(&self) -> u64 {
        self.head.original_bytes
    }

    fn is_sequential(&self) -> bool {
        true
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let past = BlobError::Internal { reason: "a read past the end of a copy" };
        offset.checked_add(length as u64).filter(|end| *end <= self.head.original_bytes).ok_or(past)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        // Taken out: where this fails, or is given up half way, the next read begins anew.
        let mut state = self.state.lock().await;
        let mut pass = match std::mem::replace(&mut *state, State::Fresh) {
            State::Under(pass) if pass.at <= offset => pass,
            State::Loaded(loaded) => self.begin(loaded),
            State::Under(_) | State::Fresh => self.begin(self.load().await?),
        };
        pass.skip_to(offset, self.key).await?;
        let taken = pass.take(length, self.key).await?;
        if pass.at < self.head.original_bytes {
            *state = State::Under(pass);
        }
        Ok(taken)
    }
}

/// Where decoded bytes go: to whoever reads, in pieces. Where nobody does any more, or more come than the original has, writing fails, which ends the
/// decoding.
struct Sink {
    to: mpsc::Sender<Result<Bytes, BlobError>>,
    gathered: Vec<u8>,
}

impl Sink {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE_BYTES));
        let sent = if piece.is_empty() { Ok(()) } else { self.to.try_send(Ok(piece.into())) };
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
