//! Walking over everything that lies in the store. Fails closed: a walk that ends without an error has seen all of it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;

use async_trait::async_trait;

use super::Shared;
use super::files::Identity;
use super::lanes::Lanes;
use crate::blobs::error::{INVENTORY_ENDED, failed};
use crate::blobs::{BlobError, Inventory, InventoryItem, path};
use crate::model::{BlobHash, BlobKey};

/// Items given at once, or more where a directory holds more.
const BATCH: usize = 1024;
/// Names that one directory may hold. A petabyte of photos is some 5,000 a directory, so whatever holds more is no longer ours to judge.
const DIRECTORY_LIMIT: usize = 1_000_000;

/// The walk, a batch a hop. Whoever loses it in an error, or in a hop that was given up, cannot go on.
pub(super) struct DiskInventory {
    shared: Arc<Shared>,
    lanes: Lanes,
    walk: Option<Walk>,
}

impl DiskInventory {
    pub(super) fn new(shared: Arc<Shared>, lanes: Lanes) -> Self {
        Self { shared, lanes, walk: Some(Walk::default()) }
    }
}

#[async_trait]
impl Inventory for DiskInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        let walk = self.walk.take().ok_or(INVENTORY_ENDED)?;
        let shared = self.shared.clone();
        let (walk, items) = self.lanes.io.run_long(move || walk.next(&shared)).await?;
        self.walk = Some(walk);
        Ok((!items.is_empty()).then_some(items))
    }
}

/// A walk under way: sorted names that are still to be visited, of both fan-out levels.
#[derive(Debug, Default)]
struct Walk {
    /// What the walk began in.
    blobs: Option<Identity>,
    firsts: IntoIter<OsString>,
    first: u8,
    seconds: IntoIter<OsString>,
}

impl Walk {
    /// The next items; none when all have been given.
    fn next(mut self, shared: &Shared) -> Result<(Self, Vec<InventoryItem>), BlobError> {
        let mut items = Vec::new();
        if self.blobs.is_none() {
            self.blobs = Some(shared.blobs_identity()?);
            self.firsts = shared.list(path::BLOBS.as_ref())?.into_iter();
        }
        while items.len() < BATCH {
            if let Some(name) = self.seconds.next() {
                let at = path::found(path::fan_out(self.first), &name);
                match path::parse_fan_out(&name) {
                    Some(second) => shared.list_leaf(self.first, second, &mut items)?,
                    None => foreign(&at, &mut items),
                }
            } else if let Some(name) = self.firsts.next() {
                let at = path::found(path::BLOBS, &name);
                match path::parse_fan_out(&name).map(|first| (first, shared.list_directory(&at))) {
                    Some((first, listed)) => match listed? {
                        Some(names) => (self.first, self.seconds) = (first, names.into_iter()),
                        None => foreign(&at, &mut items),
                    },
                    None => foreign(&at, &mut items),
                }
            } else {
                break;
            }
        }
        if items.is_empty() && self.blobs != Some(shared.blobs_identity()?) {
            return Err(failed("list the store")(io::Error::other("its directory was replaced meanwhile")));
        }
        Ok((self, items))
    }
}

/// Reports something that is not ours, except what NFS clients leave.
fn foreign(at: &Path, items: &mut Vec<InventoryItem>) {
    if !at.file_name().is_some_and(path::is_silly_rename) {
        items.push(InventoryItem::Foreign { path: at.to_owned() });
    }
}

impl Shared {
    /// All copies under a hash, sorted.
    pub(super) fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let [first, second, ..] = *hash.as_bytes();
        self.see_others(hash);
        match self.files.list(&path::leaf(hash), DIRECTORY_LIMIT) {
            Ok(names) => {
                let keys = names.iter().filter_map(|name| path::parse_copy(first, second, name));
                Ok(keys.filter(|key| key.hash == *hash).collect())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.require_blobs()?;
                Ok(Vec::new())
            }
            Err(error) => Err(BlobError::from_io("list copies", error)),
        }
    }

    /// Adds what lies in a leaf directory.
    fn list_leaf(&self, first: u8, second: u8, items: &mut Vec<InventoryItem>) -> Result<(), BlobError> {
        let leaf = path::leaf_of(first, second);
        let Some(names) = self.list_directory(&leaf)? else {
            foreign(&leaf, items);
            return Ok(());
        };
        let mut vanished = false;
        for name in names {
            let at = path::found(&leaf, &name);
            match path::parse_copy(first, second, &name) {
                Some(key) => match self.files.stat(&at).map_err(failed("look at a copy"))? {
                    Some(status) if status.is_file => items.push(InventoryItem::Copy { key, size_bytes: status.size_bytes }),
                    Some(_) => foreign(&at, items),
                    // Deleted since it was listed.
                    None => vanished = true,
                },
                None => foreign(&at, items),
            }
        }
        // Unless the whole directory went: nothing here ever removes one.
        if vanished && self.files.stat(&leaf).map_err(failed("look at a directory"))?.is_none() {
            return Err(failed("list the store")(io::Error::other("a directory was removed while it was read")));
        }
        Ok(())
    }

    /// The names in a directory; `None` where it is none.
    fn list_directory(&self, at: &Path) -> Result<Option<Vec<OsString>>, BlobError> {
        match self.files.list(at, DIRECTORY_LIMIT) {
            Ok(names) => Ok(Some(names)),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(BlobError::from_io("list the store", error)),
        }
    }

    fn list(&self, at: &Path) -> Result<Vec<OsString>, BlobError> {
        self.files.list(at, DIRECTORY_LIMIT).map_err(failed("list the store"))
    }

    fn blobs_identity(&self) -> Result<Identity, BlobError> {
        match self.files.stat(path::BLOBS.as_ref()).map_err(failed("look at the store's directory"))? {
            Some(status) => Ok(status.identity()),
            None => Err(failed("find the store's directory")(io::ErrorKind::NotFound.into())),
        }
    }
}
