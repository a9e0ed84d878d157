//! A file of the server's own disks becomes a photo: looked at as an upload is, and kept by the same protocol.
//!
//! Only for administrators: what stands at the site is looked at, whoever has it, and made a photo without another copy (`upload`, invariant 9).

use super::{Arrival, INSPECTION_WAIT, Uploaded};
use crate::blobs::{BlobStore, Digests, SourceFile, Staged, TakeError, TakeFile, Taken};
use crate::imaging::{self, Inspection, SNIFF_BYTES};
use crate::metadata::Read;
use crate::model::{AlbumId, BlobHash, Owner, PhotoId, TakenAt};
use crate::runtime;
use crate::service::{ServiceError, Services};

/// A file on its way in.
#[derive(Debug, Clone)]
pub(in crate::service) struct FileArrival {
    pub(in crate::service) owner: Owner,
    pub(in crate::service) album: AlbumId,
    pub(in crate::service) id: PhotoId,
    /// Within the limits.
    pub(in crate::service) name: String,
    /// Within the limits.
    pub(in crate::service) caption: Option<String>,
    /// Where its bytes do not say.
    pub(in crate::service) taken_at: Option<TakenAt>,
    /// What it must hash to.
    pub(in crate::service) expected: Option<BlobHash>,
    /// It is not to be taken where its owner has these bytes already.
    pub(in crate::service) unless_owned: bool,
    pub(in crate::service) how: TakeFile,
}

/// What came of a file.
#[derive(Debug)]
pub(in crate::service) enum FileKept {
    /// A photo was made, or one was there.
    Photo { uploaded: Box<Uploaded>, taken: Taken },
    /// Its owner has it, which was reason enough.
    Owned,
}

/// Why a file was not taken.
#[derive(Debug)]
pub(in crate::service) enum FileError {
    /// As of an upload.
    Service(ServiceError),
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// Somebody wrote to it meanwhile.
    Changed,
}

impl<E: Into<ServiceError>> From<E> for FileError {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

impl FileError {
    fn of(error: TakeError) -> Self {
        match error {
            TakeError::Source(error) => Self::Unreadable(error),
            TakeError::Changed => Self::Changed,
            TakeError::Store(error) => Self::Service(error.into()),
        }
    }
}

impl Services {
    /// How many bytes this photo has, where it is there, in the trash or not.
    pub(in crate::service) async fn imported_bytes(&self, owner: Owner, id: PhotoId) -> Result<Option<u64>, ServiceError> {
        self.look_up(move |at| Ok(at.photo_or_trashed(owner, id)?.map(|photo| photo.size_bytes))).await
    }

    /// Refuses what does not begin as a photo does, before any more of it is read.
    pub(in crate::service) async fn sniff_file(&self, source: &SourceFile) -> Result<(), FileError> {
        let head = source.read(0, SNIFF_BYTES).await.map_err(FileError::of)?;
        match imaging::sniff(&head) {
            Some(_) => Ok(()),
            None => Err(ServiceError::NotAnImage("not an image of a kind that is taken".into()).into()),
        }
    }

    /// Takes a file. Where that fails nothing is left.
    pub(in crate::service) async fn take_file(&self, source: &SourceFile, file: FileArrival) -> Result<FileKept, FileError> {
        if source.size_bytes() > self.limits.config.max_upload_bytes.as_u64() {
            return Err(self.too_many_bytes().into());
        }
        if self.metadata.is_closed() {
            return Err(ServiceError::Unavailable("metadata").into());
        }
        let (mut staged, taken) = self.blobs.stage_file(source, file.how).await.map_err(FileError::of)?;
        match self.look_at(&mut *staged, &file).await {
            Ok(Some((digests, inspection))) => {
                let FileArrival { owner, album, id, name, caption, .. } = file;
                let arrival = Arrival { owner, album, name, id, own_id: true, digests, inspection, caption, by_admin: true };
                Ok(FileKept::Photo { uploaded: Box::new(self.keep(staged, arrival).await?), taken })
            }
            Ok(None) => {
                staged.discard().await;
                Ok(FileKept::Owned)
            }
            Err(error) => {
                staged.discard().await;
                Err(error.into())
            }
        }
    }

    /// Looks at what is staged; `None` where it is not to be taken.
    async fn look_at(&self, staged: &mut dyn Staged, file: &FileArrival) -> Result<Option<(Digests, Inspection)>, ServiceError> {
        let digests = staged.digests().await?;
        if file.expected.is_some_and(|expected| expected != digests.hash) {
            return Err(ServiceError::DigestMismatch);
        }
        let owner = file.owner;
        if file.unless_owned && self.look_up(move |at| Ok(at.owns(owner, &digests.hash)?)).await? {
            return Ok(None);
        }
        let memory = self.limits.import_memory.take(digests.size_bytes).await?;
        let bytes = staged.contents().await?;
        // Where nobody waits: everything else is decoded first.
        let decoders = &self.pools.previews.of_tenant(Some(owner.tenant));
        let (inspection, memory) = decoders.inspect(bytes.clone(), memory).await?;
        let mut inspection = inspection?;
        if inspection.placeholder.is_none() {
            match runtime::timeout(INSPECTION_WAIT, decoders.placeholder(bytes, memory)).await {
                Some(Ok(Ok(impression))) => {
                    inspection.perceptual_hash = impression.perceptual_hash;
                    inspection.placeholder = Some(impression.placeholder);
                }
                Some(Ok(Err(error))) => tracing::debug!(%error, "no placeholder"),
                Some(Err(error)) => tracing::debug!(%error, "no placeholder"),
                None => tracing::debug!("no placeholder in time"),
            }
        }
        inspection.taken_at = inspection.taken_at.or(file.taken_at);
        Ok(Some((digests, inspection)))
    }
}
