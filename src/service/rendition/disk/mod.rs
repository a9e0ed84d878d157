//! The cache of renditions on disk: a file an entry, below the one in memory. TinyLFU (moka's) says which entries stay, so that a crawler
//! that asks for everything once does not wash out what is asked for again.
//!
//! Nothing that happens to it fails a request: what cannot be read is rendered, what cannot be written is not kept.

mod count;
pub(super) mod entry;
mod files;
mod forget;
mod forgettings;
mod pause;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::runtime::{self, BlockingPool, Clock, Gone};
use crate::service::rendition_url::RenditionFormat;

use super::Rendition;
pub use count::Unread;
pub(super) use entry::EntryName;
use entry::{EntryError, HEADER_BYTES, MAX_IMAGE_BYTES};
use files::{Files, Space};
use forgettings::Forgettings;
pub(super) use forgettings::Seen;
use pause::Pause;

/// Entries are counted in whole blocks of the file system, and one more for what the file system and the index keep of each.
const BLOCK_BYTES: u64 = 4_096;
/// Entries that may wait to be written: more are not kept.
const WRITES: u32 = 32;
/// Entries that may be read or wait for it: more are rendered.
const READS: usize = 32;
/// A disk that has not answered by then is not waited for: rendering anew takes no longer.
const READ_WAIT: Duration = Duration::from_secs(1);
/// Of its file system the cache takes a tenth at most,
const SHARE: u64 = 10;
/// and nothing where less than a twentieth is free,
const RESERVE_SHARE: u64 = 20;
/// or, on a large one, less than this: photos come first.
const MAX_RESERVE_BYTES: u64 = 16 << 30;

type Index = moka::future::Cache<EntryName, u64>;

/// The cache on disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RenditionDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    max_bytes: u64,
    /// Where it is not, nothing is read or written, and what lies there is removed when its blob is forgotten.
    is_open: bool,
    threads: DiskThreads,
    /// What lies there, with the bytes that each is counted as. Before all was found (`listed`), some of it.
    index: Index,
    listed: AtomicBool,
    /// What the index put out, to be removed before anything else is written.
    doomed: Arc<Mutex<Vec<EntryName>>>,
    forgettings: Forgettings,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    reading: Pause,
    writing: Pause,
    forgetting: Pause,
    /// How long what can be asked again waits for the disk.
    patience: Duration,
    figures: Figures,
}

/// Where the disk is asked: somebody waits for what is read, nobody for the rest.
#[derive(Debug, Clone)]
pub struct DiskThreads {
    /// For reading.
    pub reading: BlockingPool,
    /// For writing, counting and removing.
    pub writing: BlockingPool,
}

/// What has become of what was asked.
#[derive(Debug, Default)]
struct Figures {
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
    failed: AtomicU64,
}

/// What the cache on disk holds, and what has come of it since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Entries.
    pub entries: u64,
    /// Their bytes, in whole blocks.
    pub bytes: u64,
    /// More are put out.
    pub max_bytes: u64,
    /// Renditions that were found.
    pub hits: u64,
    /// That were not there.
    pub misses: u64,
    /// That were not what had been written: dropped.
    pub damaged: u64,
    /// Reads and writes that the system failed.
    pub failed: u64,
}

impl RenditionDisk {
    /// Opens or makes the cache in a directory of its own, of at most `max_bytes` and a tenth of the file system. What lies there is
    /// found and counted meanwhile.
    ///
    /// # Errors
    /// Where the directory cannot be used, or another server has it. The server does without.
    pub async fn open(directory: &Path, max_bytes: u64, threads: DiskThreads, clock: Clock) -> std::io::Result<Self> {
        let directory = directory.to_owned();
        let opening = move || -> std::io::Result<(Files, Space)> {
            let files = Files::open(&directory)?;
            let space = files.space()?;
            Ok((files, space))
        };
        let (files, space) = threads.writing.run(opening).await.map_err(std::io::Error::other)??;
        let disk = Self::over(files, Some(max_bytes.min(space.total / SHARE)), threads, clock);
        let listing = disk.clone();
        runtime::spawn(async move { listing.list().await });
        Ok(disk)
    }

    /// The same directory where it is not used, or cannot be: nothing is read or written, but what lies there of a blob that is forgotten is
    /// removed.
    pub fn closed(directory: &Path, threads: DiskThreads, clock: Clock) -> Self {
        Self::over(Files::closed(directory), None, threads, clock)
    }

    fn over(files: Files, max_bytes: Option<u64>, threads: DiskThreads, clock: Clock) -> Self {
        let (is_open, max_bytes) = (max_bytes.is_some(), max_bytes.unwrap_or(0));
        let doomed: Arc<Mutex<Vec<EntryName>>> = Arc::default();
        let going = doomed.clone();
        let index = moka::future::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, bytes: &u64| u32::try_from(*bytes).unwrap_or(u32::MAX))
            .eviction_listener(move |name: Arc<EntryName>, _, cause| {
                if cause.was_evicted() {
                    going.lock().unwrap_or_else(PoisonError::into_inner).push(*name);
                }
            })
            .build();
        Self(Arc::new(Inner {
            files,
            max_bytes,
            is_open,
            threads,
            index,
            listed: AtomicBool::new(false),
            doomed,
            forgettings: Forgettings::default(),
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITES as usize)),
            reading: Pause::new(clock.clone()),
            writing: Pause::new(clock.clone()),
            forgetting: Pause::new(clock),
            patience: forget::PATIENCE,
            figures: Figures::default(),
        }))
    }

    /// The image that lies there, read and checked.
    pub(super) async fn get(&self, name: EntryName) -> Option<(Vec<u8>, RenditionFormat)> {
        let Inner { index, figures, reading, is_open, .. } = &*self.0;
        if !is_open {
            return None;
        }
        // Asked in every case: that is how it learns what is asked for again.
        let known = index.get(&name).await;
        if reading.holds() {
            return None;
        }
        if known.is_none() && self.0.listed.load(Ordering::Acquire) {
            figures.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let Ok(place) = self.0.reads.clone().try_acquire_owned() else {
            figures.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let (begin, begun) = oneshot::channel();
        let inner = self.0.clone();
        let read = self.0.threads.reading.run(move || {
            let _ = begin.send(());
            let read = inner.files.read(&name);
            if matches!(read, Err(EntryError::Damaged)) {
                let _ = inner.files.remove(&name);
            }
            drop(place);
            read
        });
        let mut read = std::pin::pin!(read);
        // That others are read first is not the disk's fault, but no reason to wait either.
        let turn = async {
            tokio::select! {
                biased;
                read = &mut read => Some(read),
                _ = begun => None,
            }
        };
        let Some(read_already) = runtime::timeout(READ_WAIT, turn).await else {
            figures.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let read = match read_already {
            Some(read) => Some(read),
            None => runtime::timeout(READ_WAIT, read).await,
        };
        let Some(read) = read else {
            figures.failed.fetch_add(1, Ordering::Relaxed);
            reading.begin();
            tracing::warn!("the disk of the renditions does not answer: for a minute nothing is read from it");
            return None;
        };
        match read.ok()? {
            Ok(Some((image, format))) => {
                figures.hits.fetch_add(1, Ordering::Relaxed);
                if known.is_none() {
                    index.insert(name, blocks((image.len() + HEADER_BYTES) as u64)).await;
                }
                return Some((image, format));
            }
            Ok(None) => figures.misses.fetch_add(1, Ordering::Relaxed),
            Err(EntryError::Damaged) => {
                tracing::warn!(%name, "a rendition on disk is damaged: it is dropped");
                figures.damaged.fetch_add(1, Ordering::Relaxed)
            }
            Err(EntryError::Io(error)) => {
                reading.begin();
                tracing::warn!(%error, "renditions on disk cannot be read: for a minute they are rendered");
                figures.failed.fetch_add(1, Ordering::Relaxed);
                // It may be good: what failed may be the system. Where it is not, what is rendered now takes its place.
                return None;
            }
        };
        if let Some(counted) = known {
            self.strike_off(name, counted).await;
        }
        None
    }

    /// Takes an entry off the index that did not lie there, or lies there no more. Where nobody can say, it stays as what it is `counted` as.
    async fn strike_off(&self, name: EntryName, counted: u64) {
        let index = &self.0.index;
        index.invalidate(&name).await;
        // Who wrote it meanwhile looks into the index afterwards: either that one sees that it was struck off, or this sees the file. One that is
        // in no index would never go.
        let inner = self.0.clone();
        let look = self.0.threads.reading.run(move || inner.files.size(&name));
        match runtime::timeout(READ_WAIT, look).await {
            Some(Ok(Ok(None))) => {}
            Some(Ok(Ok(Some(size)))) => index.insert(name, blocks(size)).await,
            None | Some(Err(_) | Ok(Err(_))) => index.insert(name, counted).await,
        }
    }

    /// Whether it lies there, as far as is known without reading: before all was counted, some of it is not.
    pub(super) fn knows(&self, name: &EntryName) -> bool {
        self.0.index.contains_key(name) && !self.0.reading.holds()
    }

    /// Says that a rendition was served from memory: here it shall outlive what nobody asks for.
    pub(super) async fn touch(&self, name: EntryName) {
        self.0.index.get(&name).await;
    }

    /// To be asked before a render begins.
    pub(super) fn seen(&self) -> Seen {
        self.0.forgettings.seen()
    }

    /// Keeps a rendition, behind the caller's back. One whose blob was forgotten since is not kept, nor one that is too large, nor
    /// one behind too many others.
    pub(super) fn keep(&self, name: EntryName, rendition: Rendition, seen: Seen) {
        if !self.0.is_open || self.0.writing.holds() || rendition.bytes.len() > MAX_IMAGE_BYTES {
            return;
        }
        let Ok(place) = self.0.writes.clone().try_acquire_owned() else {
            return;
        };
        let disk = self.clone();
        runtime::spawn(async move {
            disk.write(name, rendition, seen).await;
            drop(place);
        });
    }

    async fn write(&self, name: EntryName, rendition: Rendition, seen: Seen) {
        let (index, bytes) = (&self.0.index, blocks((rendition.bytes.len() + HEADER_BYTES) as u64));
        index.insert(name, bytes).await;
        // Now it says which is worth more: this one, or some of those that it would take the place of.
        index.run_pending_tasks().await;
        let stays = index.contains_key(&name);
        let written = self.on_disk(move |inner| {
            inner.remove_doomed();
            if stays { inner.write(&name, &rendition, seen) } else { Ok(false) }
        });
        match written.await {
            Ok(Ok(true)) => {
                // Who looked for it before it was there has struck it off: a file that is not in the index would never go.
                if !index.contains_key(&name) {
                    index.insert(name, bytes).await;
                }
                return;
            }
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => {
                self.0.figures.failed.fetch_add(1, Ordering::Relaxed);
                self.0.writing.begin();
                tracing::warn!(%error, "renditions cannot be kept on disk: for a minute nothing is written there");
            }
        }
        self.strike_off(name, bytes).await;
    }

    /// Waits until what was to be kept is written or given up.
    pub async fn settle(&self) {
        let _ = self.0.writes.acquire_many(WRITES).await;
    }

    /// What it holds, and what has come of it; `None` where it is not open.
    pub fn figures(&self) -> Option<DiskFigures> {
        self.0.is_open.then(|| self.counted())
    }

    fn counted(&self) -> DiskFigures {
        let Inner { index, figures, max_bytes, .. } = &*self.0;
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        DiskFigures {
            entries: index.entry_count(),
            bytes: index.weighted_size(),
            max_bytes: *max_bytes,
            hits: of(&figures.hits),
            misses: of(&figures.misses),
            damaged: of(&figures.damaged),
            failed: of(&figures.failed),
        }
    }

    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, Gone> {
        let inner = self.0.clone();
        self.0.threads.writing.run(move || work(&inner)).await
    }
}

impl Inner {
    fn remove_doomed(&self) {
        let doomed = std::mem::take(&mut *self.doomed.lock().unwrap_or_else(PoisonError::into_inner));
        for name in doomed {
            if let Err(error) = self.files.remove(&name) {
                self.figures.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, %name, "a rendition that was put out stays on disk until the next start");
            }
        }
    }

    /// Whether it was written: not where there is no room, or it was forgotten meanwhile.
    fn write(&self, name: &EntryName, rendition: &Rendition, seen: Seen) -> std::io::Result<bool> {
        let Space { total, free } = self.files.space()?;
        let reserve = (total / RESERVE_SHARE).min(MAX_RESERVE_BYTES);
        if free < reserve.saturating_add(blocks(rendition.bytes.len() as u64)) {
            self.writing.begin();
            tracing::warn!(free_bytes = free, "too little room on the disk of the renditions: for a minute nothing is kept there");
            return Ok(false);
        }
        let staged = self.files.stage(name, rendition.format, &rendition.bytes)?;
        let landed = self.forgettings.unless_since(seen, name.blob(), || self.files.land(&staged, name));
        Ok(landed.transpose()?.is_some())
    }
}

/// What a file of so many bytes is counted as.
fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_add(1).saturating_mul(BLOCK_BYTES)
}
