//! What lies there, looked through a folder at a time: what a folder does not tell holds up no other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::HashPrefix;
use crate::runtime::{self, Gone};

use super::entry::EntryName;
use super::{Inner, RenditionDisk, blocks};

/// After how long what could not be counted is tried again, and how often.
const COUNT_AGAIN: Duration = Duration::from_secs(60);
const COUNTED_AT_MOST: usize = 10;

/// What could not be read: these folders, or, where not even they are known, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread(pub(super) Option<Vec<String>>);

impl RenditionDisk {
    /// Counts what lies there, a folder at a time, and puts out what is too much. What cannot be counted holds up nothing else.
    pub(super) async fn list(self) {
        let mut folders = None;
        for round in 1..=COUNTED_AT_MOST {
            let Ok(failed) = self.count(folders.take()).await else {
                tracing::debug!("the renditions on disk were not counted to the end");
                return;
            };
            // Where not even the folders are known, an entry that is not in the index may well be there.
            if failed.is_some() || round == COUNTED_AT_MOST {
                self.0.listed.store(true, Ordering::Release);
            }
            if failed.as_ref().is_some_and(Vec::is_empty) || round == COUNTED_AT_MOST {
                return;
            }
            folders = failed;
            runtime::sleep(COUNT_AGAIN).await;
            // Nobody else has it any more.
            if Arc::strong_count(&self.0) == 1 {
                return;
            }
        }
    }

    /// Counts these folders, or all. Answers which of them could not be counted; `None`: not even what folders there are is known.
    async fn count(&self, folders: Option<Vec<String>>) -> Result<Option<Vec<String>>, Gone> {
        let folders = match folders {
            Some(folders) => folders,
            None => match self.on_disk(|inner| inner.files.folders()).await? {
                Ok(folders) => folders,
                Err(error) => {
                    self.0.failed_to_count(&error);
                    return Ok(None);
                }
            },
        };
        let mut failed = vec![];
        for folder in folders {
            let looked = folder.clone();
            match self.on_disk(move |inner| inner.entries(&looked)).await? {
                Ok(entries) => {
                    for (name, size) in entries {
                        self.0.index.insert(name, blocks(size)).await;
                    }
                    self.0.index.run_pending_tasks().await;
                    self.on_disk(Inner::remove_doomed).await?;
                }
                Err(error) => {
                    self.0.failed_to_count(&error);
                    failed.push(folder);
                }
            }
        }
        Ok(Some(failed))
    }

    /// Of which blobs something lies in all folders, or in those that could not be read before; and which cannot be read now.
    pub(in super::super) async fn blobs(&self, before: Option<Unread>) -> (Vec<HashPrefix>, Option<Unread>) {
        let folders = match before {
            Some(Unread(Some(folders))) => folders,
            Some(Unread(None)) | None => match self.looked(|inner| inner.files.folders()).await {
                Some(folders) => folders,
                None => return (vec![], Some(Unread(None))),
            },
        };
        let (mut blobs, mut unread) = (vec![], vec![]);
        for folder in folders {
            let looked = folder.clone();
            let found = self.looked(move |inner| {
                let mut blobs: Vec<_> = inner.files.names(&looked)?.iter().map(EntryName::blob).collect();
                // Entries of one blob lie in one folder.
                blobs.sort_unstable();
                blobs.dedup();
                Ok(blobs)
            });
            match found.await {
                Some(found) => blobs.extend(found),
                None => unread.push(folder),
            }
        }
        (blobs, (!unread.is_empty()).then_some(Unread(Some(unread))))
    }

    /// What is seen there, where that can be seen in time. Where it cannot, that is logged.
    async fn looked<T: Send + 'static>(&self, look: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static) -> Option<T> {
        let seen = self.in_time(self.on_disk(look)).await.ok()?.ok()?;
        if let Err(error) = &seen {
            self.0.figures.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "some renditions on disk cannot be looked for: they are tried again");
        }
        seen.ok()
    }
}

impl Inner {
    /// The entries in a folder, with the sizes of their files.
    fn entries(&self, folder: &str) -> io::Result<Vec<(EntryName, u64)>> {
        let mut entries = Vec::new();
        for name in self.files.names(folder)? {
            if let Some(size) = self.files.size(&name)? {
                entries.push((name, size));
            }
        }
        Ok(entries)
    }

    fn failed_to_count(&self, error: &io::Error) {
        self.figures.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "some renditions on disk cannot be counted: they are tried again");
    }
}
