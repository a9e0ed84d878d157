//! Which fan-out directories are known to be durable.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

const LEAVES: usize = path::FAN_OUT * path::FAN_OUT;
/// On smaller file systems the directories, 256 MiB of them on ext4, would be felt, so they are made when they are first needed.
const AHEAD_FROM_BYTES: u64 = 64 << 30;
/// So that they are not what fills a disk.
const AHEAD_FROM_FREE_BYTES: u64 = 2 << 30;
/// Names that a directory of directories may have: far more than belong there.
const NAMES_LIMIT: usize = 10_000;

/// Makes fan-out directories, all of them ahead or each when it is first needed, and remembers those whose names are durable (one bit each,
/// 8 KiB in all).
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

    /// Every one of the `first` directory's names is durable.
    fn set_all(&self, first: u8) {
        let leaves = usize::from(first) * path::FAN_OUT;
        (leaves..leaves + path::FAN_OUT).for_each(|leaf| self.leaves.set(leaf));
        self.first.set(first.into());
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

impl Shared {
    /// See [`super::DiskStore::prepare`].
    pub(super) fn prepare(&self) -> Result<Option<usize>, BlobError> {
        let room = self.usage()?;
        if room.total_bytes < AHEAD_FROM_BYTES || room.free_bytes < AHEAD_FROM_FREE_BYTES {
            return Ok(None);
        }
        self.make_fan_out().map(Some)
    }

    /// Makes all directories that are missing, and the names of all durable; answers how many were missing.
    pub(super) fn make_fan_out(&self) -> Result<usize, BlobError> {
        self.standing.require_sound()?;
        let mut made = self.make_missing(path::BLOBS.as_ref(), path::fan_out)?;
        for first in 0..=u8::MAX {
            made += self.make_missing(&path::fan_out(first), |second| path::leaf_of(first, second))?;
            self.fan_out.set_all(first);
        }
        Ok(made)
    }

    /// Makes those of a directory's 256 that are missing, and the names of all durable: whoever made the others may not have synced them.
    fn make_missing(&self, parent: &Path, child: impl Fn(u8) -> PathBuf) -> Result<usize, BlobError> {
        let names = self.files.list(parent, NAMES_LIMIT).map_err(failed("list a directory"))?;
        let mut missing = [true; path::FAN_OUT];
        for byte in names.iter().filter_map(|name| path::parse_fan_out(name)) {
            missing[usize::from(byte)] = false;
        }
        let missing: Vec<u8> = (0..=u8::MAX).filter(|byte| missing[usize::from(*byte)]).collect();
        for byte in &missing {
            self.files.make_directory(&child(*byte)).map_err(failed("make a directory"))?;
        }
        self.sync_directory(parent)?;
        Ok(missing.len())
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
