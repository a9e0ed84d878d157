//! The directory of the cache: where entries lie, and how they come and go. Everything here blocks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::HashPrefix;
use crate::service::rendition_url::RenditionFormat;

use super::entry::{self, EntryError, EntryName};

/// The layout's folder: another layout gets another, and nothing else in the directory is touched.
const LAYOUT: &str = "v1";
const STAGING: &str = "staging";
const LOCK: &str = "lock";
/// Hex digits of a name that are its folder's.
const FAN_OUT: usize = 3;

/// A directory. One process has it open at a time.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    staged: AtomicU64,
    /// None where it is not open.
    _lock: Option<File>,
}

/// A file that has no name of an entry yet. Where it gets none, it goes.
#[derive(Debug)]
pub(super) struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed goes at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file system's sizes, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Space {
    pub(super) total: u64,
    pub(super) free: u64,
}

impl Files {
    /// Makes what is missing, and removes what a process that was killed had not finished.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let root = directory.join(LAYOUT);
        make(&root)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(root.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(ErrorKind::ResourceBusy, "another server has it open"),
            TryLockError::Error(error) => error,
        })?;
        let staging = root.join(STAGING);
        absent(fs::remove_dir_all(&staging))?;
        make(&staging)?;
        Ok(Self { root, staged: AtomicU64::new(0), _lock: Some(lock) })
    }

    /// A directory that is not used, or cannot be: what lies there can be looked at and removed.
    pub(super) fn closed(directory: &Path) -> Self {
        Self { root: directory.join(LAYOUT), staged: AtomicU64::new(0), _lock: None }
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        let system = rustix::fs::statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        Ok(Space { total: bytes(system.f_blocks), free: bytes(system.f_bavail) })
    }

    /// The entry; `None` where there is none.
    pub(super) fn read(&self, name: &EntryName) -> Result<Option<(Vec<u8>, RenditionFormat)>, EntryError> {
        let mut file = match File::open(self.path(name)) {
            Err(error) if is_absent(&error) => return Ok(None),
            other => other?,
        };
        let size = file.metadata()?.len();
        entry::read(name, size, &mut file).map(Some)
    }

    /// Writes an entry beside the others. It is not synced: what a power cut tears does not fit its check.
    pub(super) fn stage(&self, name: &EntryName, format: RenditionFormat, image: &[u8]) -> io::Result<Staged> {
        let path = self.root.join(STAGING).join(self.staged.fetch_add(1, Ordering::Relaxed).to_string());
        // From here on removed, whatever comes.
        let (staged, mut file) = (Staged(path.clone()), create(&path)?);
        file.write_all(&entry::header(name, format, image))?;
        file.write_all(image)?;
        Ok(staged)
    }

    /// Puts what was staged under its name, in place of another.
    pub(super) fn land(&self, staged: &Staged, name: &EntryName) -> io::Result<()> {
        let path = self.path(name);
        fs::rename(&staged.0, &path).or_else(|error| {
            // Its folder is made when it is first needed.
            let folder = path.parent().filter(|_| is_absent(&error)).ok_or(error)?;
            make(folder)?;
            fs::rename(&staged.0, &path)
        })
    }

    /// It may be gone already. A folder of that name is no entry, and stays.
    pub(super) fn remove(&self, name: &EntryName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(()),
            removed => absent(removed),
        }
    }

    /// The folders that there are.
    pub(super) fn folders(&self) -> io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for folder in present(fs::read_dir(&self.root))?.into_iter().flatten() {
            folders.extend(folder?.file_name().into_string().ok().filter(|name| is_folder(name)));
        }
        Ok(folders)
    }

    /// The names of the entries in a folder. Files of other names are passed over, and so is a folder that is none.
    pub(super) fn names(&self, folder: &str) -> io::Result<Vec<EntryName>> {
        let mut names = Vec::new();
        for file in present(fs::read_dir(self.root.join(folder)))?.into_iter().flatten() {
            names.extend(file?.file_name().to_str().and_then(EntryName::parse));
        }
        Ok(names)
    }

    /// The size of an entry's file; `None` where there is none.
    pub(super) fn size(&self, name: &EntryName) -> io::Result<Option<u64>> {
        Ok(present(fs::symlink_metadata(self.path(name)))?.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    /// Removes the entries of a blob for good: what is gone is gone after a power cut too.
    pub(super) fn forget(&self, blob: &HashPrefix) -> io::Result<Vec<EntryName>> {
        let folder: String = blob.to_string().chars().take(FAN_OUT).collect();
        let mut names = self.names(&folder)?;
        names.retain(|name| name.blob() == *blob);
        names.iter().try_for_each(|name| self.remove(name))?;
        // Also where nothing was found: an earlier call may have removed it and then failed to sync.
        present(File::open(self.root.join(folder)).and_then(|folder| folder.sync_all()))?;
        Ok(names)
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        let name = name.to_string();
        let folder: String = name.chars().take(FAN_OUT).collect();
        self.root.join(folder).join(name)
    }
}

fn is_folder(name: &str) -> bool {
    name.len() == FAN_OUT && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// A new file. Its folder is there, unless an operator emptied the directory.
fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open().or_else(|error| {
        let folder = path.parent().filter(|_| is_absent(&error)).ok_or(error)?;
        make(folder)?;
        open()
    })
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(folder)
}

/// Also where a file stands in a folder's place: nothing lies below it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if is_absent(&error) => Ok(None),
        other => other.map(Some),
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    present(removed).map(|_| ())
}
