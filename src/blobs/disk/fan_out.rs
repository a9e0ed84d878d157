//! Which fan-out directories are known to be durable.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::files::Room;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, path};
use crate::model::BlobHash;

const LEAVES: usize = path::FAN_OUT * path::FAN_OUT;
/// On smaller file systems the directories, 256 MiB of them on ext4, would be felt, so they are made when they are first needed.
const AHEAD_FROM_BYTES: u64 = 64 << 30;
/// So that they are not what fills a disk.
const AHEAD_FROM_FREE_BYTES: u64 = 2 << 30;
/// Each takes an inode, of which some file systems have a fixed number: ext4 made for large files may have fewer than there are directories.
const AHEAD_FROM_FREE_INODES: u64 = 1_000_000;
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

    /// Nothing is known to be there any more.
    fn forget_all(&self) {
        self.first.clear_all();
        self.leaves.clear_all();
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

/// Whether all directories would not be felt on a file system like this.
fn has_room_ahead(room: &Room) -> bool {
    let has_inodes = room.free_inodes.is_none_or(|free| free >= AHEAD_FROM_FREE_INODES);
    room.total_bytes >= AHEAD_FROM_BYTES && room.free_bytes >= AHEAD_FROM_FREE_BYTES && has_inodes
}

impl Shared {
    /// See [`super::DiskStore::prepare`].
    pub(super) fn prepare(&self) -> Result<Option<usize>, BlobError> {
        if !has_room_ahead(&self.files.room().map_err(failed("ask for the file system's room"))?) {
            return Ok(None);
        }
        self.make_fan_out().map(Some)
    }

    /// Makes all directories that are missing, and the names of all durable; answers how many were missing. One that cannot be read does
    /// not keep the others from it. Where there is no room for all (a quota, which no file system tells of), those that were made are taken
    /// away again, so that they are not what used it up.
    pub(super) fn make_fan_out(&self) -> Result<usize, BlobError> {
        self.standing.require_sound()?;
        let mut made = vec![];
        let done = self.make_all_missing(&mut made);
        if matches!(done, Err(BlobError::NoSpace)) {
            self.fan_out.forget_all();
            // The inner ones first. What is not empty stays.
            made.iter().rev().for_each(|directory| drop(self.files.remove_directory(directory)));
        }
        done.map(|()| made.len())
    }

    fn make_all_missing(&self, made: &mut Vec<PathBuf>) -> Result<(), BlobError> {
        self.make_missing(path::BLOBS.as_ref(), path::fan_out, made)?;
        let mut failed = None;
        for first in 0..=u8::MAX {
            match self.make_missing(&path::fan_out(first), |second| path::leaf_of(first, second), made) {
                Ok(()) => self.fan_out.set_all(first),
                Err(error @ BlobError::NoSpace) => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
            self.standing.require_sound()?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Makes those of a directory's 256 that are missing, and the names of all durable: whoever made the others may not have synced them.
    fn make_missing(&self, parent: &Path, child: impl Fn(u8) -> PathBuf, made: &mut Vec<PathBuf>) -> Result<(), BlobError> {
        let names = self.files.list(parent, NAMES_LIMIT).map_err(failed("list a directory"))?;
        let mut missing = [true; path::FAN_OUT];
        for byte in names.iter().filter_map(|name| path::parse_fan_out(name)) {
            missing[usize::from(byte)] = false;
        }
        for byte in (0..=u8::MAX).filter(|byte| missing[usize::from(*byte)]) {
            let directory = child(byte);
            self.files.make_directory(&directory).map_err(failed("make a directory"))?;
            made.push(directory);
        }
        self.sync_directory(parent)
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

    fn clear_all(&self) {
        self.0.iter().for_each(|bits| bits.store(0, Ordering::Release));
    }

    fn set(&self, at: usize) {
        self.0[at / 64].fetch_or(1 << (at % 64), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_full_disks_make_each_directory_when_it_is_needed() {
        const GIB: u64 = 1 << 30;
        for (total_bytes, free_bytes, free_inodes, expected) in [
            (64 * GIB, 2 * GIB, None, true),
            (64 * GIB - 1, 60 * GIB, None, false),
            (1_000 * GIB, 2 * GIB - 1, None, false),
            (1_000 * GIB, 900 * GIB, Some(1_000_000), true),
            (1_000 * GIB, 900 * GIB, Some(999_999), false),
        ] {
            let room = Room { total_bytes, free_bytes, free_inodes };
            assert_eq!(has_room_ahead(&room), expected, "{room:?}");
        }
    }
}
