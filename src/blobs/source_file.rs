//! A file of somebody else's that is to become a copy.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use bytes::Bytes;

use super::{BlobError, Staged};
use crate::runtime::{BlockingPool, Gone};

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// An open file outside of the store. It is opened once: whatever gets its name later is not it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SourceFile {
    file: Arc<File>,
    as_opened: Shape,
    /// Where it is read: it may lie on a filer that hangs.
    pool: BlockingPool,
}

/// What changes where somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    size_bytes: u64,
    written: (i64, i64),
}

/// How a file may become a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TakeFile {
    /// Its bytes are copied; on a file system that can, its blocks are shared instead (a reflink), which are copied once somebody writes to them.
    #[default]
    Copy,
    /// The file itself gets another name (a hard link), and is made read-only, where that can be: whoever says so promises that nobody
    /// writes to it any more.
    Link,
}

/// How a file has become a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Its bytes were written again.
    Copied,
    /// The copy shares its blocks.
    Cloned,
    /// The copy is the file.
    Linked,
}

/// Why a file did not become a copy.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The file cannot be read: look at it.
    #[error("the file cannot be read: {0}")]
    Source(io::Error),
    /// Somebody wrote to it while it was read: take it again.
    #[error("the file was written to while it was read")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] BlobError),
}

impl From<Gone> for TakeError {
    fn from(gone: Gone) -> Self {
        Self::Store(gone.into())
    }
}

impl Shape {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { size_bytes: metadata.len(), written: (metadata.mtime(), metadata.mtime_nsec()) })
    }
}

impl SourceFile {
    /// An open regular file, to be read on `pool`. Blocks for a moment.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(file: File, pool: BlockingPool) -> io::Result<Self> {
        Ok(Self { as_opened: Shape::of(&file)?, file: Arc::new(file), pool })
    }

    /// Its length when it was opened.
    pub fn size_bytes(&self) -> u64 {
        self.as_opened.size_bytes
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Up to `length` bytes from `offset`; fewer only at its end.
    ///
    /// # Errors
    /// [`TakeError::Source`].
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, TakeError> {
        let file = self.file.clone();
        self.pool.run(move || read(&file, offset, length)).await?.map_err(TakeError::Source)
    }

    /// Whether nobody has written to it since it was opened, as far as the file system tells. What was read before is then what it was.
    ///
    /// # Errors
    /// [`TakeError::Changed`], [`TakeError::Source`].
    pub async fn require_unchanged(&self) -> Result<(), TakeError> {
        let file = self.file.clone();
        let now = self.pool.run(move || Shape::of(&file)).await?.map_err(TakeError::Source)?;
        if now == self.as_opened { Ok(()) } else { Err(TakeError::Changed) }
    }

    /// Writes all of it to `staged`, which is discarded where that fails.
    ///
    /// # Errors
    /// See [`TakeError`].
    pub(super) async fn copy_to(&self, mut staged: Box<dyn Staged>) -> Result<Box<dyn Staged>, TakeError> {
        match self.write_to(&mut *staged).await {
            Ok(()) => Ok(staged),
            Err(error) => {
                staged.discard().await;
                Err(error)
            }
        }
    }

    async fn write_to(&self, staged: &mut dyn Staged) -> Result<(), TakeError> {
        let mut offset = 0;
        while offset < self.size_bytes() {
            let wanted = PIECE_BYTES.min(self.size_bytes() - offset);
            let piece = self.read(offset, usize::try_from(wanted).unwrap_or(usize::MAX)).await?;
            if piece.is_empty() {
                return Err(TakeError::Changed);
            }
            offset += piece.len() as u64;
            staged.write(piece).await?;
        }
        self.require_unchanged().await
    }
}

fn read(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}
