//! The contract of a blob store.

use std::fmt::Debug;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Backlog, BlobError, BlobSource, Content, Digests, SourceFile, TakeError, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey, SiteId};

/// Bytes that the default [`BlobRead::content_hash`] asks for at once.
const HASH_PIECE_BYTES: usize = 256 * 1024;

/// Where copies of blobs lie.
///
/// A copy never changes: it is absent, then, once [`Staged::publish`] has answered, whole and durable under its key, then deleted. What lies
/// under a key of which that was never answered may be torn: only its hash says that it is whole. Every call may be repeated.
/// Errors are named for what the caller does next, see [`BlobError`]; in particular a failure of the backend is never told as absence.
#[async_trait]
pub trait BlobStore: Send + Sync + Debug + 'static {
    /// Begins to receive a copy of `expected_bytes`, where that is known: more or fewer may come. Nothing of it is visible until
    /// [`Staged::publish`].
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError>;

    /// Receives the whole of a file: as [`BlobStore::stage`] and [`Staged::write`] do, without writing its bytes again where `how` and the
    /// store allow that. What is staged may be other bytes than the file's at any moment, where somebody writes to it meanwhile; its digests
    /// are always those of what is staged.
    ///
    /// # Errors
    /// See [`TakeError`]; nothing is left in staging then.
    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        let _ = how;
        let staged = self.stage(Some(source.size_bytes())).await?;
        Ok((source.copy_to(staged).await?, Taken::Copied))
    }

    /// Opens the copy with this key. Its bytes are not checked here: [`super::VerifyStore`] does that.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] where the store answers that there is none.
    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError>;

    /// Opens the copy for who reads this part of it alone, which may reach past its end. All of it can be read; what lies outside costs more. Of a
    /// copy that comes over a network no more is fetched than the part and some of its beginning, unless more is read.
    ///
    /// # Errors
    /// As of [`BlobStore::open`].
    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        let _ = part;
        self.open(key).await
    }

    /// Where else its copies may be had from, where one turns out bad or cannot be had: in the order in which they are to be asked.
    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        vec![]
    }

    /// How many bytes the store holds under this key. It looks whether the copy is there, and reads nothing of it.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] as of [`BlobStore::open`].
    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        Ok(self.open(key).await?.size_bytes())
    }

    /// The keys of all copies under `hash`, in ascending order; none is an empty list.
    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError>;

    /// Deletes exactly this copy. The deletion is durable when it answers, also where the copy was absent already (an earlier call
    /// may have been cut short between removing and syncing).
    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError>;

    /// A walk over everything that is stored. It begins when it is first asked.
    fn inventory(&self) -> Box<dyn Inventory>;

    /// Who collects in this store; `None` where nobody ever claimed it.
    async fn marker(&self) -> Result<Option<Marker>, BlobError>;

    /// Writes `new` if the marker is `expected`, and durably so. Of several concurrent claims from one state exactly one succeeds.
    ///
    /// # Errors
    /// [`BlobError::ClaimLost`] where it is another; [`BlobError::Refused`] where the epoch would go backwards. After any other
    /// error the marker may be either: read it again.
    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError>;

    /// Writes, syncs, reads back and removes a small object in staging: says whether uploads would work right now.
    ///
    /// # Errors
    /// [`BlobError::NoSpace`] also where the object had room but a photo would hardly have.
    async fn probe(&self) -> Result<(), BlobError>;

    /// Room on the backend, where it can be known.
    async fn usage(&self) -> Result<Option<Usage>, BlobError>;

    /// Which copies lie on a local disk and wait to be put where they belong, for stores that have such a place: what was published to it is as
    /// safe as that disk until then.
    fn backlog(&self) -> Option<Backlog> {
        None
    }
}

/// A walk over everything that is stored, in bounded memory: each item once, keys in ascending order, whatever else lies there as foreign.
/// What is stored or deleted while it goes on may be given or not.
#[async_trait]
pub trait Inventory: Send {
    /// The next items, at least one; `None` where all have been given.
    ///
    /// # Errors
    /// Anything unreadable ends the walk: what was given until then must not be taken for the whole. After an error, or after a call that was
    /// given up half way, every later call fails.
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError>;
}

/// A copy being received. Dropping it discards it.
#[async_trait]
pub trait Staged: Send {
    /// Takes the next bytes. Small chunks are gathered, so an error may belong to an earlier chunk. After an error, or after a call
    /// that was given up half way, the copy can only be discarded: every later call fails.
    ///
    /// # Errors
    /// [`BlobError::NoSpace`] among others, now or at [`Staged::publish`]; the room that the copy took is given back at once.
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError>;

    /// The digests of everything written so far.
    async fn digests(&mut self) -> Result<Digests, BlobError>;

    /// Everything written so far, in memory, for a decoder. The caller bounds how many are held at once.
    async fn contents(&mut self) -> Result<Bytes, BlobError>;

    /// Makes the copy durable under `key`, which must be fresh and carry the hash of what was written. When this answers `Ok`, a power
    /// cut takes nothing away.
    ///
    /// # Errors
    /// Nothing is left in staging. Nothing stands under the key either, unless the backend failed in taking it back or its answer got
    /// lost: so the caller dooms the key, as after every upload that came to nothing. What may stand there may be torn.
    async fn publish(self: Box<Self>, key: &BlobKey) -> Result<(), BlobError> {
        self.publish_as(key, &Content::raw(key.hash)).await
    }

    /// [`Staged::publish`] of what may be written in another form: what was written is `content`, and `key` carries the hash of the blob in it.
    ///
    /// # Errors
    /// As of [`Staged::publish`]; [`BlobError::Internal`] where the bytes, or the key, are others than `content` says.
    async fn publish_as(self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError>;

    /// Removes what was received. Best effort: what is left is swept at the next opening.
    async fn discard(self: Box<Self>);
}

/// An open copy. It stays readable while it is held, also when it is deleted meanwhile; one that [`BlobRead::is_sequential`] may be gone then.
#[async_trait]
pub trait BlobRead: Send + Sync + Debug {
    /// Length of the copy in bytes.
    fn size_bytes(&self) -> u64;

    /// Which file this is and when it was last changed, for stores of files: the same twice means that nobody wrote to it in between, as
    /// far as the file system tells.
    fn version(&self) -> Option<FileVersion> {
        None
    }

    /// Whether nobody has written to the file since it was opened, for stores of files, as far as the file system tells. A copy never
    /// changes, so whoever did was none of us, and what was found good then says nothing now.
    fn is_unchanged(&self) -> bool {
        true
    }

    /// Whether reading is a pass from the beginning to the end: any other offset than where the last read ended begins a new one, which costs
    /// what lies before it, and no two passes need give the same bytes. So what is read is checked in the pass in which it is given out, see
    /// [`super::VerifyStore`].
    fn is_sequential(&self) -> bool {
        false
    }

    /// Whether a read may begin anywhere without costing what lies before it.
    fn is_seekable(&self) -> bool {
        !self.is_sequential()
    }

    /// Exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] where fewer are there than [`BlobRead::size_bytes`] says, or [`BlobRead::is_unchanged`] is not so;
    /// [`BlobError::Internal`] where the range reaches
    /// past that size.
    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError>;

    /// The file that holds exactly these bytes, for stores that keep a file a copy: they can then go out by sendfile(2).
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Reads `length` bytes from `offset` into the page cache, where they are not there, so that whoever reads the file of
    /// [`BlobRead::as_fd`] does not wait for the device (unless memory is so short that they are dropped at once). Nothing to do for
    /// stores without files.
    ///
    /// # Errors
    /// As [`BlobRead::read_at`].
    async fn warm(&self, _offset: u64, _length: usize) -> Result<(), BlobError> {
        Ok(())
    }

    /// Sees to it that the copy outlives a power cut, and that what is read of it next is read from the device. A copy whose publishing was answered does so
    /// already; one that was found may be of somebody who never came to that. Nothing to do for stores in which nothing is seen before it is durable.
    ///
    /// # Errors
    /// [`BlobError::Suspect`] among others: then it may be gone after one.
    async fn make_durable(&self) -> Result<(), BlobError> {
        Ok(())
    }

    /// Reads the whole copy and hashes it.
    async fn content_hash(&self) -> Result<BlobHash, BlobError> {
        let mut hasher = blake3::Hasher::new();
        let (mut offset, size_bytes) = (0, self.size_bytes());
        while offset < size_bytes {
            let length = HASH_PIECE_BYTES.min(usize::try_from(size_bytes - offset).unwrap_or(usize::MAX));
            let piece = self.read_at(offset, length).await?;
            hasher.update(&piece);
            offset += piece.len() as u64;
        }
        Ok(hasher.finalize().into())
    }
}

/// A file as it was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// When its bytes or its attributes were last changed (`st_ctime`): seconds and nanoseconds. Not trusted to say that all is well, only that
    /// something has happened.
    pub changed: (i64, i64),
}

/// What [`BlobStore::delete`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The copy was there and is gone.
    Deleted,
    /// There was none: already deleted, or never published.
    Absent,
    /// There is none now; whether there was one the store does not tell.
    Gone,
}

/// One thing that lies in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InventoryItem {
    /// A copy.
    Copy {
        /// Its key.
        key: BlobKey,
        /// Its length in bytes.
        size_bytes: u64,
    },
    /// Something that this store did not put there: reported, never touched.
    Foreign {
        /// Where it lies, relative to the store's root.
        path: PathBuf,
    },
}

/// Who collects in a store: no other may delete in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The site.
    pub site: SiteId,
    /// Counts the claims; never goes backwards.
    pub epoch: u64,
}

impl Marker {
    /// Decides a claim: `found` has to be `expected`, and the epoch must not go backwards.
    pub(super) fn check_claim(found: Option<Self>, expected: Option<Self>, new: Self) -> Result<(), BlobError> {
        if found != expected {
            return Err(BlobError::ClaimLost { found });
        }
        match found {
            Some(found) if new.epoch < found.epoch => {
                Err(BlobError::Refused { reason: format!("epoch {} is behind the marker's {}", new.epoch, found.epoch) })
            }
            _ => Ok(()),
        }
    }
}

/// Room on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Size of the file system in bytes.
    pub total_bytes: u64,
    /// What may still be written, in bytes.
    pub free_bytes: u64,
}

/// A shared store is a store.
#[async_trait]
impl<S: BlobStore + ?Sized> BlobStore for Arc<S> {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        (**self).stage(expected_bytes).await
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        (**self).stage_file(source, how).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        (**self).open(key).await
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        (**self).open_part(key, part).await
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        (**self).elsewhere()
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        (**self).stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        (**self).copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        (**self).delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        (**self).inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        (**self).marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        (**self).claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        (**self).probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        (**self).usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        (**self).backlog()
    }
}
