//! A copy of which any part is read by the groups that cover it, each checked by the blob's tree.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::blobs::tree::{GroupHasher, Tree};
use crate::blobs::{BlobError, BlobRead, Damage};
use crate::model::BlobKey;
use crate::runtime;

/// What is read and hashed at once: some 30 µs on an async thread.
const PIECE_BYTES: usize = 128 << 10;

/// Groups that lie in memory at once, of all readers together.
pub(super) const ROOM: usize = 256;
/// Of these, what is left to groups that are being read: nobody waits for a client that takes its time with one.
const LEFT: usize = ROOM / 4;
/// How long a group waits for the memory of others.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// What the groups of a blob are checked by, and the memory that they are read into.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    pub(super) tree: Arc<Tree>,
    /// A permit a group.
    pub(super) room: Arc<Semaphore>,
}

impl Groups {
    /// Waits for the memory of a group.
    ///
    /// # Errors
    /// [`BlobError::Busy`] where others have all of it for too long.
    async fn take_room(&self) -> Result<OwnedSemaphorePermit, BlobError> {
        if let Ok(taken) = self.room.clone().try_acquire_owned() {
            return Ok(taken);
        }
        let taken = runtime::timeout(ROOM_WAIT, self.room.clone().acquire_owned()).await;
        taken.ok_or(BlobError::Busy)?.map_err(|_| BlobError::Closed)
    }
}

/// An open copy that may be read from anywhere. No byte of a group is given out before the group was found to be the tree's.
#[derive(Debug)]
pub(super) struct GroupRead {
    key: BlobKey,
    read: Arc<dyn BlobRead>,
    groups: Groups,
    /// The group that was read last, where there is room to hold it: whoever reads on in it does not read it again.
    held: Mutex<Option<Group>>,
}

/// A group that was found good.
#[derive(Debug)]
struct Group {
    range: Range<u64>,
    bytes: BytesMut,
    _room: OwnedSemaphorePermit,
}

impl GroupRead {
    /// The tree is that of the key's hash, and of the length of `read`, in which a read may begin anywhere.
    pub(super) fn new(key: BlobKey, read: Arc<dyn BlobRead>, groups: Groups) -> Self {
        Self { key, read, groups, held: Mutex::default() }
    }

    /// Reads a group, and looks whether it is the tree's.
    async fn group(&self, range: Range<u64>) -> Result<Group, BlobError> {
        let size_bytes = range.end - range.start;
        let length = usize::try_from(size_bytes).map_err(|_| PAST)?;
        let room = self.groups.take_room().await?;
        let (mut hasher, mut bytes) = (GroupHasher::new(range.start), BytesMut::with_capacity(length));
        while bytes.len() < length {
            let piece = self.read.read_at(range.start + bytes.len() as u64, PIECE_BYTES.min(length - bytes.len())).await?;
            hasher.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        if !self.groups.tree.is_group(&range, &hasher) {
            return Err(BlobError::Damaged { key: self.key, damage: Damage::Part { offset: range.start, size_bytes } });
        }
        Ok(Group { range, bytes, _room: room })
    }
}

const PAST: BlobError = BlobError::Internal { reason: "a read past the end of a copy" };

impl Group {
    /// Its bytes from `offset`, at most so many.
    fn from(&self, offset: u64, length: usize) -> &[u8] {
        let start = usize::try_from(offset.saturating_sub(self.range.start)).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }
}

#[async_trait]
impl BlobRead for GroupRead {
    fn size_bytes(&self) -> u64 {
        self.groups.tree.size_bytes()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        offset.checked_add(length as u64).filter(|end| *end <= self.size_bytes()).ok_or(PAST)?;
        let mut held = self.held.lock().await;
        // Copied: what is on its way to a slow client keeps no group in memory.
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            let at = offset + taken.len() as u64;
            let group = match held.take().filter(|group| group.range.contains(&at)) {
                Some(group) => group,
                None => self.group(self.groups.tree.group_at(at).ok_or(PAST)?).await?,
            };
            taken.extend_from_slice(group.from(at, length - taken.len()));
            let has_more = offset + (taken.len() as u64) < group.range.end;
            *held = Some(group).filter(|_| has_more && self.groups.room.available_permits() >= LEFT);
        }
        Ok(taken.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract::{bytes, key};
    use crate::blobs::tree::{GROUP_BYTES, TreeHasher};
    use crate::blobs::{BlobStore as _, MemoryStore};

    #[tokio::test]
    async fn where_there_is_no_room_to_hold_a_group_it_is_read_again() {
        let (store, content) = (MemoryStore::new(), bytes(1, 2_500_000));
        let key = key(&content, 1);
        store.put_raw(key, content.clone());
        let mut hasher = TreeHasher::default();
        hasher.update(&content);
        let tree = Arc::new(hasher.tree().unwrap());
        for (permits, read_bytes) in [(ROOM, 2_500_000), (1, 8 * GROUP_BYTES * 2 + 4 * (2_500_000 - 2 * GROUP_BYTES))] {
            let room = Arc::new(Semaphore::new(permits));
            let read = GroupRead::new(key, store.open(&key).await.unwrap(), Groups { tree: tree.clone(), room: room.clone() });
            let before = store.read_bytes();
            let mut got = vec![];
            while got.len() < content.len() {
                got.extend_from_slice(&read.read_at(got.len() as u64, (128 << 10).min(content.len() - got.len())).await.unwrap());
            }
            assert!(got == content);
            assert_eq!(store.read_bytes() - before, read_bytes, "{permits}");
            assert_eq!(room.available_permits(), permits, "nothing is held of what was given out");
            read.read_at(0, 1).await.unwrap();
            assert_eq!(room.available_permits() < permits, permits == ROOM);
        }
    }
}
