//! A directory held open, and what lies beneath it: no link and no `..` leads out. What is mounted beneath it belongs to it, for a filer's tree may
//! be made of several: who may mount there decides what can be read.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often an open is tried anew that a rename elsewhere disturbed (`EAGAIN` of openat2(2)).
const TRIES: usize = 16;

/// A directory and everything beneath it. Paths are relative to it.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

/// What stands in one directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names of directories, sorted.
    pub(super) directories: Vec<OsString>,
    /// Names of regular files, sorted.
    pub(super) files: Vec<OsString>,
    /// Links, pipes, sockets, devices, hidden files and systems' litter.
    pub(super) passed_over: u64,
}

impl Root {
    /// Opens the directory `below`, a path relative to `allowed`, which must be a directory. `allowed` itself may be a link; nothing beneath it
    /// is followed.
    ///
    /// # Errors
    /// What the system says; `ELOOP` where a link stands in the way, `EXDEV` where the path leads out.
    pub fn open(allowed: &Path, below: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, allowed, flags, Mode::empty())?;
        let path = allowed.join(below);
        if below.as_os_str().is_empty() {
            return Ok(Self { directory: top, path });
        }
        Ok(Self { directory: open_beneath(&top, below, flags)?, path })
    }

    /// Where it lies, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's own name; empty for `/`.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Opens a regular file for reading, never waiting for a pipe's other end.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` where it is no regular file.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(open_beneath(&self.directory, path, flags)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(file)
    }

    /// The first bytes of a small file, at most `limit` of them.
    ///
    /// # Errors
    /// As [`Root::file`]; `FileTooLarge` where there are more.
    pub fn small_file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        self.file(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// Whether something of this name stands here, whatever it is.
    pub(super) fn has(&self, path: &Path) -> bool {
        rustix::fs::statat(&self.directory, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// What stands in a directory; an empty path is the root.
    ///
    /// # Errors
    /// What the system says; where it holds more than `limit` names.
    pub(super) fn list(&self, path: &Path, limit: usize) -> io::Result<Listing> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let directory = open_beneath(&self.directory, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        let mut listing = Listing::default();
        let mut names = 0;
        for entry in rustix::fs::Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if name == "." || name == ".." {
                continue;
            }
            names += 1;
            if names > limit {
                return Err(io::Error::other(format!("more than {limit} names in one directory")));
            }
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => match rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                kind => kind,
            };
            match kind {
                _ if is_litter(&name) => listing.passed_over += 1,
                FileType::RegularFile => listing.files.push(name),
                FileType::Directory => listing.directories.push(name),
                _ => listing.passed_over += 1,
            }
        }
        listing.files.sort_unstable();
        listing.directories.sort_unstable();
        Ok(listing)
    }
}

/// What systems leave in folders of photos, and what is hidden.
fn is_litter(name: &OsStr) -> bool {
    // Of Synology's and QNAP's filers the last three: thumbnails and indexes of their own.
    name.as_bytes().starts_with(b".") || ["Thumbs.db", "desktop.ini", "@eaDir", "@Recycle", "#recycle"].iter().any(|litter| name == *litter)
}

/// A path of plain names only: nothing that leads up or begins anew.
pub fn relative(path: &Path) -> Option<&Path> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !path.as_os_str().is_empty()).then_some(path)
}

fn open_beneath(directory: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A kernel before 5.6, or a sandbox that knows no such call.
            Err(Errno::NOSYS | Errno::PERM) => return step_by_step(directory, path, flags),
            other => return Ok(other?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// The same, one name after the other.
fn step_by_step(directory: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = rustix::io::dup(directory)?;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let name = match part {
            Component::Normal(name) => name,
            Component::CurDir => OsStr::new("."),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV.into()),
        };
        let last = parts.peek().is_none();
        let wanted = if last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC };
        at = rustix::fs::openat(&at, name, wanted | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        std::fs::create_dir_all(at("allowed/tree/inner")).unwrap();
        std::fs::create_dir(at("elsewhere")).unwrap();
        std::fs::write(at("elsewhere/secret"), "secret").unwrap();
        std::fs::write(at("allowed/tree/inner/a"), "a").unwrap();
        symlink(at("elsewhere"), at("allowed/out")).unwrap();
        symlink(at("elsewhere/secret"), at("allowed/tree/link")).unwrap();
        symlink("..", at("allowed/tree/up")).unwrap();
        let root = Root::open(&at("allowed"), Path::new("tree")).unwrap();
        assert_eq!(root.small_file(Path::new("inner/a"), 10).unwrap(), b"a");
        assert_eq!(root.name(), "tree");
        for path in ["link", "up/tree/inner/a", "../tree/inner/a", "inner"] {
            assert!(root.file(Path::new(path)).is_err(), "{path}");
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            assert!(path == "inner" || step_by_step(&root.directory, Path::new(path), flags).is_err(), "{path}");
        }
        assert!(Root::open(&at("allowed"), Path::new("out")).is_err());
        assert!(Root::open(&at("allowed"), Path::new("tree/../../elsewhere")).is_err());
        assert!(root.small_file(Path::new("inner/a"), 0).is_err(), "over the limit");
        let listing = root.list(Path::new(""), 10).unwrap();
        assert_eq!((listing.directories, listing.files, listing.passed_over), (vec!["inner".into()], vec![], 2));
        assert!(root.list(Path::new(""), 2).is_err(), "three names");
        let inner = step_by_step(&root.directory, Path::new("inner/a"), OFlags::RDONLY | OFlags::CLOEXEC).unwrap();
        assert_eq!(std::io::read_to_string(File::from(inner)).unwrap(), "a");
    }

    #[test]
    fn a_pipe_holds_nobody_up() {
        let place = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(CWD, place.path().join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let root = Root::open(place.path(), Path::new("")).unwrap();
        assert_eq!(root.file(Path::new("pipe")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(root.list(Path::new(""), 10).unwrap().passed_over, 1);
    }

    #[test]
    fn plain_paths_are_told() {
        for path in ["a", "a/b.jpg", "a//b"] {
            assert!(relative(Path::new(path)).is_some(), "{path}");
        }
        for path in ["", "/a", "../a", "a/../b", "./a"] {
            assert!(relative(Path::new(path)).is_none(), "{path}");
        }
    }
}
