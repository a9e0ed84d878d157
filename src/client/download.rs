//! Downloads: an original, received into a file, resumable and verified.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use http::{Method, StatusCode, header};
use reqwest::Response;
use rustix::fs::OFlags;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::call::Failure;
use super::retry::Verdict;
use super::send::Progress;
use super::{Client, ClientError};
use crate::api::Photo;
use crate::model::{BlobHash, PhotoId};
use crate::runtime::timeout;

/// Pieces in which a file that is there already is read again.
const PIECE: usize = 256 << 10;

/// An original to fetch, and what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of which photo.
    pub photo: PhotoId,
    /// What the bytes must hash to.
    pub hash: BlobHash,
    /// How many they are.
    pub size_bytes: u64,
}

impl From<&Photo> for Wanted {
    fn from(photo: &Photo) -> Self {
        Self { photo: photo.id, hash: photo.hash, size_bytes: photo.size_bytes }
    }
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that came over the network.
    pub received_bytes: u64,
    /// Bytes of an earlier try that were there already, and right.
    pub resumed_bytes: u64,
}

/// The file that grows, with the hash of all that stands in it.
struct Partial {
    file: File,
    hasher: blake3::Hasher,
    length: u64,
}

impl Client {
    /// Fetches an original into `path`: when this returns, the file holds exactly the wanted bytes, verified and synced. The caller gives
    /// it its name.
    ///
    /// Bytes that stand there from an earlier try are kept and only the rest is asked for (`Range` with `If-Range`). While it is being
    /// written the file is locked against other processes of this program.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] where the bytes were wrong twice (the file is then gone), [`ClientError::Busy`] where another process
    /// receives into the same file, [`ClientError::Target`] where it cannot be written; after the latter and after
    /// [`ClientError::Unreachable`] what came so far stays for a later try.
    pub async fn fetch_original(&self, wanted: Wanted, path: &Path, progress: Progress) -> Result<Fetched, ClientError> {
        let mut partial = Partial::open(path, wanted.size_bytes).await?;
        let mut fetched = Fetched { received_bytes: 0, resumed_bytes: partial.length };
        for again in [false, true] {
            fetched.received_bytes += self.fill(&mut partial, wanted, &progress).await?;
            let found = BlobHash::from(partial.hasher.finalize());
            if found == wanted.hash {
                partial.sync().await?;
                return Ok(fetched);
            }
            // An old beginning that was wrong, or bytes that were damaged on the way: once more, from nothing.
            partial.clear().await?;
            fetched.resumed_bytes = 0;
            if again {
                // Its emptiness is harmless, so is a failure to take it away.
                let _ = tokio::fs::remove_file(path).await;
                return Err(ClientError::Damaged { expected: wanted.hash, found });
            }
        }
        unreachable!("the second round returns")
    }

    /// Appends until the file is as long as the original; answers how many bytes came.
    async fn fill(&self, partial: &mut Partial, wanted: Wanted, progress: &Progress) -> Result<u64, ClientError> {
        let mut attempts = self.attempts();
        let mut received = 0;
        progress(partial.length);
        while partial.length < wanted.size_bytes {
            let before = partial.length;
            let once = self.fill_once(partial, wanted, progress, &mut received).await;
            if let Err(failure) = once {
                if partial.length > before {
                    attempts.progressed();
                }
                attempts.pause(failure).await?;
            }
        }
        Ok(received)
    }

    async fn fill_once(&self, partial: &mut Partial, wanted: Wanted, progress: &Progress, received: &mut u64) -> Result<(), Failure> {
        let idle = self.settings.idle_timeout;
        let mut request = self.request(Method::GET, &format!("/v1/photos/{}/original", wanted.photo));
        if partial.length > 0 {
            request = request
                .header(header::RANGE, format!("bytes={}-", partial.length))
                .header(header::IF_RANGE, format!("\"{}\"", wanted.hash));
        }
        let sent = timeout(idle, request.send()).await.ok_or_else(|| self.silent(true))?;
        let response = sent.map_err(|error| self.broken(&error, true))?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Not the file that this is the beginning of: once more, from nothing, which this answer does not fit.
            let again = if partial.length > 0 { Verdict::Again { retry_after: None } } else { Verdict::Final };
            partial.clear().await.map_err(Failure::last)?;
            let mut failure = self.judged(response, true).await.map(drop).err().unwrap_or_else(|| self.silent(true));
            failure.verdict = again;
            return Err(failure);
        }
        let mut response = self.judged(response, true).await?;
        let begins = self.first_byte(&response, wanted).map_err(Failure::last)?;
        if begins != partial.length {
            if begins != 0 {
                return Err(Failure::last(self.protocol(format!("asked from byte {}, it answered from {begins}", partial.length))));
            }
            partial.clear().await.map_err(Failure::last)?;
        }
        loop {
            let chunk = timeout(idle, response.chunk()).await.ok_or_else(|| self.silent(true))?;
            let Some(chunk) = chunk.map_err(|error| self.broken(&error, true))? else { break };
            if partial.length + chunk.len() as u64 > wanted.size_bytes {
                return Err(Failure::last(self.protocol(format!("more than the {} bytes of the original", wanted.size_bytes))));
            }
            partial.append(&chunk).await.map_err(Failure::last)?;
            *received += chunk.len() as u64;
            progress(partial.length);
        }
        partial.file.flush().await.map_err(|error| Failure::last(ClientError::Target(error)))?;
        if partial.length < wanted.size_bytes {
            return Err(Failure::last(self.protocol(format!("only {} of {} bytes came", partial.length, wanted.size_bytes))));
        }
        Ok(())
    }

    /// Which byte of the original an answer begins with.
    fn first_byte(&self, response: &Response, wanted: Wanted) -> Result<u64, ClientError> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match response.content_length() {
                Some(length) if length != wanted.size_bytes => {
                    Err(self.protocol(format!("the original has {length} bytes, not {}", wanted.size_bytes)))
                }
                _ => Ok(0),
            };
        }
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let parsed = range.strip_prefix("bytes ").and_then(|range| {
            let (span, total) = range.split_once('/')?;
            let (first, last) = span.split_once('-')?;
            Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, total.parse::<u64>().ok()?))
        });
        match parsed {
            Some((first, last, total)) if total == wanted.size_bytes && last.checked_add(1) == Some(total) => Ok(first),
            _ => Err(self.protocol(format!("a part `{range}` that was not asked for"))),
        }
    }
}

impl Partial {
    /// Opens or makes the file, locks it, and hashes what stands in it; what is longer than `size_bytes` cannot be right and is cut away.
    async fn open(path: &Path, size_bytes: u64) -> Result<Self, ClientError> {
        let mut options = tokio::fs::OpenOptions::new();
        // Whoever may write into the directory must not send the bytes elsewhere by a link, or hold this up by a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.read(true).write(true).create(true).truncate(false).custom_flags(flags.bits().cast_signed());
        let file = options.open(path).await.map_err(ClientError::Target)?.into_std().await;
        let found = file.metadata().map_err(ClientError::Target)?;
        if !found.is_file() || found.nlink() != 1 {
            let reason = format!("{} is no file of its own: take it away", path.display());
            return Err(ClientError::Target(std::io::Error::other(reason)));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClientError::Busy),
            // A file system without locks: two downloads into one directory are then the user's own care.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(ClientError::Target(error)),
        }
        let mut partial = Self { file: File::from_std(file), hasher: blake3::Hasher::new(), length: 0 };
        partial.file.set_max_buf_size(PIECE);
        if partial.file.metadata().await.map_err(ClientError::Target)?.len() > size_bytes {
            partial.clear().await?;
            return Ok(partial);
        }
        let mut piece = vec![0; PIECE];
        loop {
            match partial.file.read(&mut piece).await.map_err(ClientError::Target)? {
                0 => return Ok(partial),
                read => {
                    partial.hasher.update(&piece[..read]);
                    partial.length += read as u64;
                }
            }
        }
    }

    async fn append(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        self.file.write_all(chunk).await.map_err(ClientError::Target)?;
        self.hasher.update(chunk);
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Begins again from nothing.
    async fn clear(&mut self) -> Result<(), ClientError> {
        self.file.rewind().await.map_err(ClientError::Target)?;
        self.file.set_len(0).await.map_err(ClientError::Target)?;
        self.hasher.reset();
        self.length = 0;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), ClientError> {
        self.file.flush().await.map_err(ClientError::Target)?;
        self.file.sync_all().await.map_err(ClientError::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_received_through_a_link_or_into_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let [diary, part] = ["diary", ".halidom-part"].map(|name| directory.path().join(name));
        std::fs::write(&diary, "kept").unwrap();
        std::os::unix::fs::symlink(&diary, &part).unwrap();
        assert!(matches!(Partial::open(&part, 100).await, Err(ClientError::Target(_))), "a symbolic link");
        std::fs::remove_file(&part).unwrap();
        std::fs::hard_link(&diary, &part).unwrap();
        assert!(matches!(Partial::open(&part, 2).await, Err(ClientError::Target(_))), "a hard link");
        assert_eq!(std::fs::read(&diary).unwrap(), b"kept");
        std::fs::remove_file(&part).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &part, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR, 0)
            .unwrap();
        assert!(matches!(Partial::open(&part, 100).await, Err(ClientError::Target(_))), "a pipe");
        std::fs::remove_file(&part).unwrap();
        std::fs::write(&part, "begun").unwrap();
        assert_eq!(Partial::open(&part, 100).await.unwrap().length, 5);
    }
}
