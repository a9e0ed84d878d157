//! The system calls of the disk store, relative to its root: one method each, so that tests can make any one of them fail.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, StatxFlags};
use rustix::io::{Errno, ReadWriteFlags};

#[cfg(test)]
use super::faults::Faults;
use super::holds::ALIGNMENT_BYTES;
use crate::blobs::{FileVersion, path};

/// A call, as faults and traces name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Link,
    Clone,
    SetDirect,
    Write,
    SyncFile,
    Move,
    Replace,
    SyncDirectory,
    MakeDirectory,
    Remove,
    Open,
    Read,
    List,
    Stat,
}

/// What identifies a file for as long as someone holds it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }
}

/// What [`Files::stat`] tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) is_file: bool,
    pub(super) size_bytes: u64,
    /// When its bytes were last written (`st_mtime`): seconds and nanoseconds.
    pub(super) written: (i64, i64),
    pub(super) version: FileVersion,
}

/// What [`Files::room`] tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    /// How many more files there can be; `None` where the file system has no such limit.
    pub(super) free_inodes: Option<u64>,
}

impl From<rustix::fs::Stat> for Status {
    fn from(stat: rustix::fs::Stat) -> Self {
        Self {
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            size_bytes: stat.st_size.try_into().unwrap_or(0),
            written: (stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
            version: FileVersion { device: stat.st_dev, inode: stat.st_ino, changed: (stat.st_ctime, stat.st_ctime_nsec.cast_signed()) },
        }
    }
}

impl Status {
    pub(super) fn identity(&self) -> Identity {
        Identity::new(self.version.device, self.version.inode)
    }
}

/// The file system under a root. The root is held open, so that a directory mounted or moved over it is never mistaken for it.
#[derive(Debug)]
pub(super) struct Files {
    root: OwnedFd,
    #[cfg(test)]
    faults: Faults,
}

impl Files {
    /// Holds `root`, which must be a directory.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::openat(CWD, root, flags, Mode::empty())?,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every call goes through here.
    #[cfg(not(test))]
    #[inline]
    fn call<T>(&self, _call: Call, _path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        act()
    }

    /// Every call goes through here, and fails where the test has asked for it.
    #[cfg(test)]
    fn call<T>(&self, call: Call, path: &Path, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.faults.apply(call, path, act)
    }

    /// Makes a file that must not exist, for reading and writing.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.call(Call::Create, path, || Ok(rustix::fs::openat(&self.root, path, flags, Mode::RUSR | Mode::WUSR)?.into()))
    }

    /// Gives the open file `source` another name, which must not exist, and makes it read-only; gives it as that is opened.
    pub(super) fn link_new(&self, source: &File, path: &Path) -> io::Result<File> {
        self.call(Call::Link, path, || {
            // By the descriptor, not by a name: that may be another file's by now (linkat(2), proc(5)).
            rustix::fs::linkat(CWD, path::held(source), &self.root, path, AtFlags::SYMLINK_FOLLOW)?;
            let linked = || -> io::Result<File> {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = File::from(rustix::fs::openat(&self.root, path, flags, Mode::empty())?);
                let (ours, its) = (rustix::fs::fstat(&file)?, rustix::fs::fstat(source)?);
                if Status::from(ours).identity() != Status::from(its).identity() {
                    return Err(io::Error::other("a link leads to another file"));
                }
                // Nobody may do more with it than before.
                rustix::fs::fchmod(&file, Mode::from_raw_mode(ours.st_mode & 0o555) | Mode::RUSR)?;
                Ok(file)
            };
            linked().inspect_err(|_| {
                // Best effort: what is left is swept at the next opening.
                let _ = rustix::fs::unlinkat(&self.root, path, AtFlags::empty());
            })
        })
    }

    /// Has an empty file share all blocks of `source` (FICLONE, ioctl_ficlone(2)).
    pub(super) fn clone_blocks(&self, path: &Path, file: &File, source: BorrowedFd<'_>) -> io::Result<()> {
        self.call(Call::Clone, path, || Ok(rustix::fs::ioctl_ficlone(file, source)?))
    }

    /// Opens a file for reading; never through a symbolic link, never blocking on a pipe.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        self.call(Call::Open, path, || Ok(rustix::fs::openat(&self.root, path, flags, Mode::empty())?.into()))
    }

    /// Opens the lock's file, making it where there is none.
    pub(super) fn open_lock(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.call(Call::Open, path, || Ok(rustix::fs::openat(&self.root, path, flags, Mode::RUSR | Mode::WUSR)?.into()))
    }

    /// Appends all of `bytes`.
    pub(super) fn write(&self, path: &Path, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        self.call(Call::Write, path, || file.write_all(bytes))
    }

    /// Writes all of `bytes`, which must begin at a multiple of [`ALIGNMENT_BYTES`] in memory, to an empty file: past the page cache
    /// (O_DIRECT, see open(2)) where the file system knows such writes, all but the last bytes, which are no whole block.
    pub(super) fn write_direct(&self, path: &Path, file: &File, bytes: &[u8]) -> io::Result<()> {
        let blocks = &bytes[..bytes.len() - bytes.len() % ALIGNMENT_BYTES];
        let mut written = 0;
        if !blocks.is_empty() && self.call(Call::SetDirect, path, || set_direct(file, true)).is_ok() {
            written = write_blocks(blocks, |bytes, offset| self.call(Call::Write, path, || file.write_at(bytes, offset)))?;
            self.call(Call::SetDirect, path, || set_direct(file, false))?;
        }
        match &bytes[written..] {
            [] => Ok(()),
            rest => self.call(Call::Write, path, || file.write_all_at(rest, written as u64)),
        }
    }

    /// Fills `into` from `offset`, as far as the file goes; answers how many bytes there were.
    pub(super) fn read(&self, path: &Path, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Call::Read, path, || {
            let mut filled = 0;
            while filled < into.len() {
                match file.read_at(&mut into[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(filled)
        })
    }

    /// As [`Files::read`], of so many bytes into memory of their own, which is not cleared before.
    pub(super) fn read_new(&self, path: &Path, file: &File, length: usize, offset: u64) -> io::Result<Vec<u8>> {
        self.call(Call::Read, path, || {
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                let at = offset + bytes.len() as u64;
                match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
                    Ok(0) => break,
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // There may be more room than was asked for.
            bytes.truncate(length);
            Ok(bytes)
        })
    }

    /// Reads what lies in the page cache without waiting for the device; `EAGAIN` where nothing does.
    pub(super) fn read_cached(&self, path: &Path, file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Call::Read, path, || Ok(rustix::io::preadv2(file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT)?))
    }

    /// Makes the file's bytes and length durable. After a failure the kernel has dropped what could not be written, and a second call on
    /// the same file would lie: the file has to be given up.
    pub(super) fn sync_file(&self, path: &Path, file: &File) -> io::Result<()> {
        self.call(Call::SyncFile, path, || Ok(rustix::fs::fdatasync(file)?))
    }

    /// Moves `from` to `to`, which must not exist: never over a file.
    pub(super) fn move_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Move, to, || match rustix::fs::renameat_with(&self.root, from, &self.root, to, RenameFlags::NOREPLACE) {
            // The file system knows no such rename (NFS): a link does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.root, from, &self.root, to, AtFlags::empty())?;
                // The name in staging is then superfluous, and swept at the next opening if it cannot be removed now.
                let _ = rustix::fs::unlinkat(&self.root, from, AtFlags::empty());
                Ok(())
            }
            other => Ok(other?),
        })
    }

    /// Moves `from` to `to`, replacing what is there. Only for the marker.
    pub(super) fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Replace, to, || Ok(rustix::fs::renameat(&self.root, from, &self.root, to)?))
    }

    /// Opens a directory, to sync it; an empty path is the root.
    pub(super) fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.directory(path)
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_directory(&self, path: &Path, directory: &OwnedFd) -> io::Result<()> {
        self.call(Call::SyncDirectory, path, || Ok(rustix::fs::fsync(directory)?))
    }

    /// Makes a directory; one that exists will do.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::MakeDirectory, path, || match rustix::fs::mkdirat(&self.root, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Removes a directory that is empty.
    pub(super) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, || Ok(rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR)?))
    }

    /// Removes a file; answers whether it was there.
    pub(super) fn remove(&self, path: &Path) -> io::Result<bool> {
        self.call(Call::Remove, path, || match rustix::fs::unlinkat(&self.root, path, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        })
    }

    /// Looks at a name without following it; `None` where there is nothing.
    pub(super) fn stat(&self, path: &Path) -> io::Result<Option<Status>> {
        self.call(Call::Stat, path, || match rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Looks at an open file.
    pub(super) fn stat_file(&self, path: &Path, file: &File) -> io::Result<Status> {
        self.call(Call::Stat, path, || Ok(rustix::fs::fstat(file)?.into()))
    }

    /// Has the file system ask its server about a directory, whatever it remembers (`AT_STATX_FORCE_SYNC`, see statx(2)).
    pub(super) fn refresh(&self, path: &Path) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        self.call(Call::Stat, path, || Ok(rustix::fs::statx(&self.root, path, flags, StatxFlags::BASIC_STATS).map(drop)?))
    }

    /// Looks at the root itself.
    pub(super) fn root_identity(&self) -> io::Result<Identity> {
        Ok(Status::from(rustix::fs::fstat(&self.root)?).identity())
    }

    /// Room on the file system.
    pub(super) fn room(&self) -> io::Result<Room> {
        let room = rustix::fs::fstatvfs(&self.root)?;
        Ok(Room {
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            free_inodes: (room.f_files > 0).then_some(room.f_favail),
        })
    }

    /// The names in a directory, sorted; at most `limit`.
    ///
    /// # Errors
    /// Where the directory is missing, cannot be read to its end, holds more than `limit` names, or was removed or replaced meanwhile
    /// (a removed directory reads as an empty one).
    pub(super) fn list(&self, path: &Path, limit: usize) -> io::Result<Vec<OsString>> {
        self.call(Call::List, path, || {
            let directory = self.directory(path)?;
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&directory)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    if names.len() == limit {
                        return Err(io::Error::other("too many entries in one directory"));
                    }
                    names.push(OsString::from_vec(name));
                }
            }
            let (held, named) = (rustix::fs::fstat(&directory)?, rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)?);
            if Status::from(held).identity() != Status::from(named).identity() {
                return Err(io::Error::other("the directory was replaced while it was read"));
            }
            names.sort_unstable();
            Ok(names)
        })
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.root, path, flags, Mode::empty())?)
    }
}

fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    Ok(rustix::fs::fcntl_setfl(file, if direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT })?)
}

/// Writes until all is written, or what is left has to be written in another way; answers how much was written.
fn write_blocks(blocks: &[u8], mut write: impl FnMut(&[u8], u64) -> io::Result<usize>) -> io::Result<usize> {
    let mut written = 0;
    while written < blocks.len() && written.is_multiple_of(ALIGNMENT_BYTES) {
        match write(&blocks[written..], written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Larger blocks than ours, or no such writes after all.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_as_far_as_they_can_be() {
        const BLOCKS: usize = 8 * ALIGNMENT_BYTES;
        let blocks = crate::blobs::contract::bytes(1, BLOCKS);
        // What the system answers, write by write; how much is written then, or with which error it ends.
        type Answers<'a> = &'a [Result<usize, Errno>];
        let cases: [(Answers<'_>, Result<usize, Option<Errno>>); 8] = [
            (&[Ok(BLOCKS)], Ok(BLOCKS)),
            (&[Ok(ALIGNMENT_BYTES), Ok(2 * ALIGNMENT_BYTES), Ok(5 * ALIGNMENT_BYTES)], Ok(BLOCKS)),
            (&[Ok(ALIGNMENT_BYTES), Err(Errno::INTR), Ok(7 * ALIGNMENT_BYTES)], Ok(BLOCKS)),
            (&[Ok(ALIGNMENT_BYTES), Ok(512)], Ok(ALIGNMENT_BYTES + 512)),
            (&[Err(Errno::INVAL)], Ok(0)),
            (&[Ok(ALIGNMENT_BYTES), Err(Errno::INVAL)], Ok(ALIGNMENT_BYTES)),
            (&[Ok(ALIGNMENT_BYTES), Err(Errno::NOSPC)], Err(Some(Errno::NOSPC))),
            (&[Ok(0)], Err(None)),
        ];
        for (answers, expected) in cases {
            let (mut answers_left, mut on_disk) = (answers.iter(), vec![]);
            let written = write_blocks(&blocks, |bytes, offset| {
                assert_eq!(offset, on_disk.len() as u64);
                let count = (*answers_left.next().unwrap())?;
                on_disk.extend_from_slice(&bytes[..count]);
                Ok(count)
            });
            assert_eq!(written.as_ref().map_err(Errno::from_io_error), expected.as_ref().map_err(|errno| *errno), "{answers:?}");
            assert!(answers_left.next().is_none() && blocks.starts_with(&on_disk), "{answers:?}");
        }
    }
}
