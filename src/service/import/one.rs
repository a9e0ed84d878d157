//! One file of an import.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Record;
use super::places::Places;
use super::texts::{fitting_name, fitting_text};
use crate::api::{ImportCounts, ImportRefusal};
use crate::blobs::{SourceFile, TakeFile, Taken};
use crate::model::{Owner, PhotoId};
use crate::runtime::{self, BlockingPool, Shutdown};
use crate::service::upload::{FileArrival, FileError, FileKept};
use crate::service::{ServiceError, Services};
use crate::trees::{Found, Root, looks_like_photo};

/// How often what is busy or away for the moment is tried again, with pauses that double from a second.
const TRIES: u32 = 6;

/// What all files of an import share.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) services: Arc<Services>,
    pub(super) pool: BlockingPool,
    pub(super) root: Arc<Root>,
    pub(super) places: tokio::sync::Mutex<Places>,
    /// By what photos of this tree are known again.
    source: String,
    /// A manifest may name a file for several albums; elsewhere a file's place is its album.
    by_album: bool,
    how: TakeFile,
    shutdown: Shutdown,
}

/// What came of a file.
#[derive(Debug)]
pub(super) enum Came {
    Imported {
        size_bytes: u64,
        taken: Taken,
        deduplicated: bool,
    },
    Duplicate,
    Existing,
    Unknown,
    Refused(ImportRefusal),
    /// Nothing more can be done: the import ends.
    Fatal(ServiceError),
}

impl Intake {
    pub(super) fn new(services: Arc<Services>, pool: BlockingPool, root: Root, record: &Record, shutdown: Shutdown) -> Self {
        Self {
            services,
            pool,
            root: Arc::new(root),
            places: tokio::sync::Mutex::new(Places::new(record)),
            source: record.request.source.clone().unwrap_or_else(|| record.request.path.clone()),
            by_album: record.request.manifest.is_some(),
            how: if record.request.link { TakeFile::Link } else { TakeFile::Copy },
            shutdown,
        }
    }

    /// Takes a file, or says why not.
    pub(super) async fn take(&self, found: &Found) -> Came {
        let mut pause = Duration::from_secs(1);
        for _ in 1..TRIES {
            match self.attempt(found).await {
                Err(FileError::Service(error @ (ServiceError::Busy(_) | ServiceError::Unavailable(_)))) => {
                    if error == ServiceError::SHUTTING_DOWN {
                        return Came::Fatal(error);
                    }
                    tracing::warn!(%error, "an import waits");
                }
                // Written to at this moment: perhaps for the last time.
                Err(FileError::Changed) => {}
                ended => return self.ended(found, ended),
            }
            let mut shutdown = self.shutdown.clone();
            if runtime::timeout(pause, shutdown.stopping()).await.is_some() {
                return Came::Fatal(ServiceError::SHUTTING_DOWN);
            }
            pause *= 2;
        }
        let ended = self.attempt(found).await;
        self.ended(found, ended)
    }

    fn ended(&self, found: &Found, ended: Result<Came, FileError>) -> Came {
        let refused = |code: &str, detail: String| {
            Came::Refused(ImportRefusal { path: found.path.to_string_lossy().into_owned(), code: code.to_owned(), detail })
        };
        let error = match ended {
            Ok(came) => return came,
            Err(FileError::Unreadable(error)) => return refused("unreadable", error.to_string()),
            Err(FileError::Changed) => return refused("changed", "it was written to while it was read".into()),
            Err(FileError::Service(error)) => error,
        };
        let detail = error.to_string();
        match error {
            ServiceError::NotAnImage(_) if !looks_like_photo(&found.path) => Came::Unknown,
            ServiceError::NotAnImage(_) => refused("not_an_image", detail),
            ServiceError::BrokenImage(_) => refused("broken_image", detail),
            ServiceError::TooLarge(_) => refused("too_large", detail),
            ServiceError::DigestMismatch => refused("digest_mismatch", "its bytes do not have the hash that the manifest names".into()),
            ServiceError::Conflict { code, .. } => refused(code, detail),
            ServiceError::Erased(_) => refused("erased", detail),
            ServiceError::NotFound(what) => refused("not_found", format!("no such {what}")),
            ServiceError::Invalid { .. } => refused("invalid", detail),
            ServiceError::Internal(_) | ServiceError::Damaged => {
                tracing::error!(path = %found.path.display(), %error, "a file could not be imported");
                refused("internal", "a fault of the server, or stored bytes that are damaged; its log says more".into())
            }
            ServiceError::Busy(_)
            | ServiceError::Unavailable(_)
            | ServiceError::NoSpace
            | ServiceError::Unauthenticated
            | ServiceError::Forbidden { .. }
            | ServiceError::BadSignature(_)
            | ServiceError::Interrupted
            | ServiceError::TooSlow
            | ServiceError::TooManyUploads { .. }
            | ServiceError::TooManyDownloads { .. } => Came::Fatal(error),
        }
    }

    async fn attempt(&self, found: &Found) -> Result<Came, FileError> {
        let (root, path, pool) = (self.root.clone(), found.path.clone(), self.pool.clone());
        let opened = self.pool.run(move || root.file(&path).and_then(|file| SourceFile::new(file, pool))).await;
        let source = opened.map_err(ServiceError::from)?.map_err(FileError::Unreadable)?;
        self.services.sniff_file(&source).await?;
        let (owner, album) = self.places.lock().await.find(&self.services, found.user.as_deref(), &found.album).await?;
        let album_name = self.by_album.then_some(found.album.as_str());
        let id = photo_id(owner, &self.source, album_name, &found.path);
        match self.services.imported_bytes(owner, id).await? {
            Some(size_bytes) if size_bytes == source.size_bytes() => return Ok(Came::Existing),
            Some(_) => {
                let detail = "it is another than when it came in; the photo stays as it is".to_owned();
                return Err(ServiceError::Conflict { code: "changed_since", detail }.into());
            }
            None => {}
        }
        let mut facts = found.facts.clone();
        if let Some(sidecar) = found.sidecar.clone() {
            let root = self.root.clone();
            let said = self.pool.run(move || sidecar.read(&root)).await.map_err(ServiceError::from)?;
            if said.trashed {
                return Ok(Came::Unknown);
            }
            facts.taken_at = facts.taken_at.or(said.taken_at);
            facts.caption = facts.caption.or(said.caption);
        }
        let limits = &self.services.limits.config;
        let file = FileArrival {
            owner,
            album,
            id,
            name: fitting_name(&found.name, limits.max_name_bytes as usize),
            caption: facts.caption.and_then(|caption| fitting_text(&caption, limits.max_caption_bytes as usize)),
            taken_at: facts.taken_at,
            expected: facts.hash,
            unless_owned: found.unless_owned,
            how: self.how,
        };
        match self.services.take_file(&source, file).await {
            Ok(FileKept::Owned) => Ok(Came::Duplicate),
            Ok(FileKept::Photo { uploaded, .. }) if uploaded.duplicate => Ok(Came::Duplicate),
            Ok(FileKept::Photo { uploaded, .. }) if !uploaded.created => Ok(Came::Existing),
            Ok(FileKept::Photo { uploaded, taken }) => {
                Ok(Came::Imported { size_bytes: uploaded.size_bytes, taken, deduplicated: uploaded.deduplicated })
            }
            Err(FileError::Service(error @ ServiceError::NotFound("album"))) => {
                // Deleted meanwhile: the next file makes it anew.
                self.places.lock().await.forget(album);
                Err(error.into())
            }
            Err(error) => Err(error),
        }
    }
}

/// The id of the photo that a file of a tree becomes.
fn photo_id(owner: Owner, source: &str, album: Option<&str>, path: &Path) -> PhotoId {
    // A path need not be text; the two forms cannot meet.
    let album = album.map_or_else(String::new, |album| format!("{}/{album}/", album.len()));
    let key = match path.to_str() {
        Some(path) => format!("import/{}/{source}/{album}text/{path}", source.len()),
        None => {
            let hex: String = path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("import/{}/{source}/{album}bytes/{hex}", source.len())
        }
    };
    PhotoId::from_idempotency_key(owner.tenant, owner.user, &key)
}

impl Came {
    /// Counts it; gives a refusal that is to be remembered.
    pub(super) fn count(self, counts: &mut ImportCounts) -> Option<ImportRefusal> {
        match self {
            Self::Imported { size_bytes, taken, deduplicated } => {
                counts.imported += 1;
                counts.bytes += size_bytes;
                counts.deduplicated += u64::from(deduplicated);
                // What was here already needed nothing of the file.
                counts.cloned += u64::from(taken == Taken::Cloned && !deduplicated);
                counts.linked += u64::from(taken == Taken::Linked && !deduplicated);
            }
            Self::Duplicate => counts.duplicates += 1,
            Self::Existing => counts.existing += 1,
            Self::Unknown => counts.unknown += 1,
            Self::Refused(refusal) => {
                counts.refused += 1;
                return Some(refusal);
            }
            Self::Fatal(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_file_of_a_tree_has_an_id_of_its_own() {
        let raw = Path::new(OsStr::from_bytes(b"a\xff"));
        let cases = [
            ("/srv", None, Path::new("a.jpg")),
            ("/srv", None, Path::new("b.jpg")),
            ("/srv/a", None, Path::new("a.jpg")),
            ("/srv", Some("Ski"), Path::new("a.jpg")),
            ("/srv", Some("Snow"), Path::new("a.jpg")),
            ("/srv", None, raw),
            ("/srv", None, Path::new("61ff")),
        ];
        let ids: std::collections::BTreeSet<_> =
            cases.iter().map(|(source, album, path)| photo_id(Owner::DEFAULT, source, *album, path)).collect();
        assert_eq!(ids.len(), cases.len());
        assert_eq!(photo_id(Owner::DEFAULT, "/srv", None, raw), photo_id(Owner::DEFAULT, "/srv", None, raw));
    }
}
