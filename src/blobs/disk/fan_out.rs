//! Which fan-out directories are known to be durable.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

const LEAVES: usize = path::FAN_OUT * path::FAN_OUT;

/// Makes fan-out directories when they are first needed, and remembers those whose names are durable (one bit each, 8 KiB in all).
///
/// That a directory exists says nothing: it may have been made by a process that died before it synced the parent. So each is synced
/// once a run.
#[derive(Debug)]
pub(super) struct FanOut {
    first: Bits,
    leaves: Bits,
}

impl FanOut {
    pub(super) fn new() -> Self {
        Self { first: Bits::new(path::FAN_OUT), leaves: Bits::new(LEAVES) }
    }

    /// Someone removed the directory: it will be made again.
    pub(super) fn forget(&self, hash: &BlobHash) {
        let [first, second, ..] = *hash.as_bytes();
        self.first.clear(first.into());
        self.leaves.clear(usize::from(first) * path::FAN_OUT + usize::from(second));
    }

    /// Returns once the directory that holds copies under `hash` exists and its name, and its parent's, are durable.
    pub(super) fn ensure(&self, shared: &Shared, hash: &BlobHash) -> Result<(), BlobError> {
        let [first, second, ..] = *hash.as_bytes();
        let leaf = usize::from(first) * path::FAN_OUT + usize::from(second);
        if self.leaves.get(leaf) {
            return Ok(());
        }
        let parent = path::fan_out(first);
        if !self.first.get(first.into()) {
            shared.files.make_directory(&parent).map_err(failed("make a directory"))?;
            shared.sync_directory(path::BLOBS.as_ref())?;
            self.first.set(first.into());
        }
        shared.files.make_directory(&path::leaf(hash)).map_err(failed("make a directory"))?;
        shared.sync_directory(&parent)?;
        self.leaves.set(leaf);
        Ok(())
    }
}

#[derive(Debug)]
struct Bits(Box<[AtomicU64]>);

impl Bits {
    fn new(count: usize) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 64].load(Ordering::Acquire) & (1 << (at % 64)) != 0
    }

    fn clear(&self, at: usize) {
        self.0[at / 64].fetch_and(!(1 << (at % 64)), Ordering::Release);
    }

    fn set(&self, at: usize) {
        self.0[at / 64].fetch_or(1 << (at % 64), Ordering::Release);
    }
}
