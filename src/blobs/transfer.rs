//! Copying a copy from one store to another, under the same key.

use super::store::{BlobRead, BlobStore, Staged};
use super::{BlobError, Content, Damage};
use crate::model::BlobKey;

/// What is read and written at once.
const PIECE_BYTES: usize = 1 << 20;

/// How a copy came to be in the other store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// It was copied: so many bytes.
    Copied(u64),
    /// It was there, and is whole: so many bytes.
    Present(u64),
}

/// Sees to it that `to` has the copy, whole and durable: where it is there it is synced, read and hashed, else it is copied, and read back. A copy never changes and a
/// key is never used again, so whoever else does the same at the same time does no harm. `content`: what the bytes of the copy are.
///
/// # Errors
/// [`BlobError::Damaged`] where the copy in `from` is not what `content` says, and [`BlobError::NotFound`] where there is none; those of either store.
pub async fn transfer(from: &dyn BlobStore, to: &dyn BlobStore, key: &BlobKey, content: &Content) -> Result<Transfer, BlobError> {
    let is_bad = match look_durably(to, key, content).await? {
        Found::Good(size_bytes) => return Ok(Transfer::Present(size_bytes)),
        Found::Bad => true,
        Found::Missing => false,
    };
    let source = from.open(key).await?;
    let size_bytes = source.size_bytes();
    let mut staged = to.stage(Some(size_bytes)).await?;
    copy_bytes(&*source, &mut *staged).await?;
    let found = staged.digests().await?.hash;
    if found != content.written() {
        staged.discard().await;
        return Err(BlobError::Damaged { key: *key, damage: Damage::Content { found } });
    }
    if is_bad {
        // What a try left that was cut short, or a copy that has gone bad: not before a good one is at hand.
        to.delete(key).await?;
    }
    match staged.publish_as(key, content).await {
        Ok(()) => {}
        // Another transfer of the same copy may have come first.
        Err(error @ BlobError::Internal { .. }) => match look_durably(to, key, content).await? {
            Found::Good(size_bytes) => return Ok(Transfer::Present(size_bytes)),
            Found::Bad | Found::Missing => return Err(error),
        },
        Err(error) => return Err(error),
    }
    let found = to.open(key).await?.content_hash().await?;
    if found == content.written() {
        Ok(Transfer::Copied(size_bytes))
    } else {
        Err(BlobError::Damaged { key: *key, damage: Damage::Content { found } })
    }
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// What should, whole: so many bytes.
    Good(u64),
    /// Something else.
    Bad,
    /// Nothing.
    Missing,
}

impl Found {
    /// Whether it is what it should be.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Good(_))
    }
}

/// Reads the whole copy, whose bytes should be `content`.
///
/// # Errors
/// Where the store does not say.
pub async fn look(store: &dyn BlobStore, key: &BlobKey, content: &Content) -> Result<Found, BlobError> {
    look_at(store, key, content, false).await
}

/// The same, of a copy that whoever wrote it may not have synced: that is made up for before it is read, else it may lie in memory alone.
async fn look_durably(store: &dyn BlobStore, key: &BlobKey, content: &Content) -> Result<Found, BlobError> {
    look_at(store, key, content, true).await
}

async fn look_at(store: &dyn BlobStore, key: &BlobKey, content: &Content, durably: bool) -> Result<Found, BlobError> {
    let read = async {
        let there = store.open(key).await?;
        if durably {
            there.make_durable().await?;
        }
        Ok((there.content_hash().await?, there.size_bytes()))
    };
    match read.await {
        Ok((hash, size_bytes)) if hash == content.written() => Ok(Found::Good(size_bytes)),
        Ok(_) | Err(BlobError::Damaged { .. }) => Ok(Found::Bad),
        Err(BlobError::NotFound) => Ok(Found::Missing),
        Err(error) => Err(error),
    }
}

/// Writes all of a copy to what is being received elsewhere. Nothing is checked: the digests of that say what came.
///
/// # Errors
/// Those of either.
pub async fn copy_bytes(from: &dyn BlobRead, to: &mut dyn Staged) -> Result<(), BlobError> {
    let (mut offset, size_bytes) = (0, from.size_bytes());
    while offset < size_bytes {
        let length = PIECE_BYTES.min(usize::try_from(size_bytes - offset).unwrap_or(usize::MAX));
        to.write(from.read_at(offset, length).await?).await?;
        offset += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract::{bytes, get, key, put};
    use crate::blobs::{MemoryStore, Operation};

    #[tokio::test]
    async fn a_copy_arrives_whole_or_not_at_all() {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        let content = bytes(1, 2_500_000);
        let one = put(&from, &content, 1).await.unwrap();
        assert_eq!(transfer(&from, &to, &one, &Content::raw(one.hash)).await.unwrap(), Transfer::Copied(2_500_000));
        assert_eq!(get(&to, &one).await.unwrap(), content);
        assert_eq!(transfer(&from, &to, &one, &Content::raw(one.hash)).await.unwrap(), Transfer::Present(2_500_000));
        to.corrupt(&one);
        assert_eq!(
            transfer(&from, &to, &one, &Content::raw(one.hash)).await.unwrap(),
            Transfer::Copied(2_500_000),
            "what a former try left is replaced"
        );
        from.corrupt(&one);
        to.corrupt(&one);
        assert!(transfer(&from, &to, &one, &Content::raw(one.hash)).await.is_err());
        assert!(to.open(&one).await.is_ok(), "what may be all that is left of it is not thrown away for nothing");
        to.lose(&one);
        assert!(matches!(transfer(&from, &to, &one, &Content::raw(one.hash)).await, Err(BlobError::Damaged { .. })));
        assert!(matches!(to.open(&one).await, Err(BlobError::NotFound)), "wrong bytes are not passed on");
        assert!(matches!(transfer(&from, &to, &key(b"absent", 1), &Content::raw(one.hash)).await, Err(BlobError::NotFound)));
    }

    #[tokio::test]
    async fn a_recompressed_copy_arrives_as_it_lies() {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        let (photo, lies) = (bytes(1, 3000), bytes(2, 2000));
        let key = key(&photo, 1);
        from.put_raw(key, lies.clone());
        assert!(
            matches!(transfer(&from, &to, &key, &Content::raw(key.hash)).await, Err(BlobError::Damaged { .. })),
            "not as the photo itself"
        );
        let content = Content::named(key.hash, Some(crate::model::BlobHash::of(&lies)));
        assert_eq!(transfer(&from, &to, &key, &content).await.unwrap(), Transfer::Copied(2000));
        assert_eq!(get(&to, &key).await.unwrap(), lies);
        assert_eq!(transfer(&from, &to, &key, &content).await.unwrap(), Transfer::Present(2000));
    }

    #[tokio::test]
    async fn a_failure_anywhere_leaves_nothing_in_staging() {
        for operation in [Operation::Open, Operation::Stage, Operation::Write, Operation::Digests, Operation::Publish, Operation::Read] {
            let (from, to) = (MemoryStore::new(), MemoryStore::new());
            let one = put(&from, &bytes(1, 100_000), 1).await.unwrap();
            to.faults().fail(operation, 0, BlobError::NoSpace);
            assert!(matches!(transfer(&from, &to, &one, &Content::raw(one.hash)).await, Err(BlobError::NoSpace)), "{operation:?}");
            assert_eq!(to.staged(), 0);
            assert!(transfer(&from, &to, &one, &Content::raw(one.hash)).await.is_ok(), "and the next try is good");
        }
    }
}
