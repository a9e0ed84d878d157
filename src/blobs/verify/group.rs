//! A copy of which any part is read by the groups that cover it, each checked by the blob's tree.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::Mutex;

use crate::blobs::tree::{GroupHasher, Tree};
use crate::blobs::{BlobError, BlobRead, Damage};
use crate::model::BlobKey;

/// What is read and hashed at once: some 30 µs on an async thread.
const PIECE_BYTES: usize = 128 << 10;

/// An open copy that may be read from anywhere. No byte of a group is given out before the group was found to be the tree's.
#[derive(Debug)]
pub(super) struct GroupRead {
    key: BlobKey,
    read: Arc<dyn BlobRead>,
    tree: Arc<Tree>,
    /// The group that was read last: whoever reads on in it does not read it again.
    held: Mutex<Option<Group>>,
}

/// A group that was found good.
#[derive(Debug)]
struct Group {
    range: Range<u64>,
    bytes: Bytes,
}

impl GroupRead {
    /// `tree` is that of the key's hash, and of the length of `read`, in which a read may begin anywhere.
    pub(super) fn new(key: BlobKey, read: Arc<dyn BlobRead>, tree: Arc<Tree>) -> Self {
        Self { key, read, tree, held: Mutex::default() }
    }

    /// Reads a group, and looks whether it is the tree's.
    async fn group(&self, range: Range<u64>) -> Result<Group, BlobError> {
        let size_bytes = range.end - range.start;
        let length = usize::try_from(size_bytes).map_err(|_| PAST)?;
        let (mut hasher, mut bytes) = (GroupHasher::new(range.start), BytesMut::with_capacity(length));
        while bytes.len() < length {
            let piece = self.read.read_at(range.start + bytes.len() as u64, PIECE_BYTES.min(length - bytes.len())).await?;
            hasher.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        if !self.tree.is_group(&range, &hasher) {
            return Err(BlobError::Damaged { key: self.key, damage: Damage::Part { offset: range.start, size_bytes } });
        }
        Ok(Group { range, bytes: bytes.freeze() })
    }
}

const PAST: BlobError = BlobError::Internal { reason: "a read past the end of a copy" };

impl Group {
    /// Its bytes from `offset`, at most so many.
    fn from(&self, offset: u64, length: usize) -> Bytes {
        let start = usize::try_from(offset.saturating_sub(self.range.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.slice(start..start.saturating_add(length).min(self.bytes.len()))
    }
}

#[async_trait]
impl BlobRead for GroupRead {
    fn size_bytes(&self) -> u64 {
        self.tree.size_bytes()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        offset.checked_add(length as u64).filter(|end| *end <= self.size_bytes()).ok_or(PAST)?;
        let (mut taken, mut at) = (vec![], offset);
        let mut missing = length;
        let mut held = self.held.lock().await;
        while missing > 0 {
            let group = match held.take().filter(|group| group.range.contains(&at)) {
                Some(group) => group,
                None => self.group(self.tree.group_at(at).ok_or(PAST)?).await?,
            };
            let bytes = group.from(at, missing);
            at += bytes.len() as u64;
            missing -= bytes.len();
            taken.push(bytes);
            *held = Some(group);
        }
        // Not copied where one group has all of it.
        Ok(if let [all] = &taken[..] { all.clone() } else { taken.concat().into() })
    }
}
