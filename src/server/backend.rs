//! The blob backend of a site: which store its settings name, opened and found to be the site's own.

use std::path::PathBuf;
use std::sync::Arc;

use super::ServerError;
use super::claim::Claim;
use super::spooling::{self, Joining, Purpose};
use crate::blobs::{
    BlobError, BlobStore, DerivedStore, DiskPools, DiskReader, DiskSettings, DiskStore, FilerSettings, Home, Marker, S3Settings,
    SpooledStore, UploadChecksum, path as blob_path,
};
use crate::config::{BlobsUrl, Config, S3Checksum, S3Location};
use crate::metadata::{Metadata, MetadataError, Read as _};
use crate::model::{BlobHash, SiteId};
use crate::runtime::{BlockingPool, Runtime};

/// An open store, below what decorates it. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Backend {
    Disk(DiskStore),
    Object(SpooledStore),
}

/// The site that opens a backend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opener {
    pub(super) site: SiteId,
    /// How many blobs its metadata knows.
    pub(super) blobs: u64,
}

impl Opener {
    /// The site with this metadata.
    pub(super) fn of(metadata: &Metadata) -> Result<Self, MetadataError> {
        Ok(Self { site: metadata.site(), blobs: metadata.read().stats()?.blobs })
    }
}

impl Backend {
    /// Opens the backend of these settings and claims it: one of another site is refused, and nothing in it is removed. Gives the claim that stands.
    pub(super) async fn open(config: &Config, runtime: &Runtime, opener: Opener, pools: DiskPools) -> Result<(Self, Marker), ServerError> {
        // A site that has blobs must find its store: a disk that was not mounted, or another bucket, is an error, not an empty one.
        let backend = Self::open_unclaimed(config, runtime, opener, opener.blobs == 0, pools, Purpose::Home(opener.site)).await?;
        let marker = match backend.noted_marker().await? {
            Some(marker) => marker,
            None => backend.claim(config, opener).await?,
        };
        // Only now: in another site's store this would be another's uploads.
        backend.sweep().await?;
        if let Self::Disk(disk) = &backend
            && config.blobs.directories_ahead
        {
            prepare(disk).await;
        }
        Ok((backend, marker))
    }

    /// Opens, or sets up, the backend of these settings for the site's blobs to be put there too. One of another site is refused. It is not claimed, nor
    /// is anything removed in it. `known`: it was opened and claimed before; then one that is not there is an error, be it a disk that was not mounted, and
    /// none is set up.
    pub(super) async fn open_beside(
        config: &Config,
        runtime: &Runtime,
        opener: Opener,
        pools: DiskPools,
        known: bool,
    ) -> Result<Self, ServerError> {
        let site = opener.site;
        let backend = Self::open_unclaimed(config, runtime, opener, !known, pools, Purpose::Beside).await?;
        let place = &config.storage.blobs;
        match backend.store().marker().await? {
            Some(marker) if marker.site != site => {
                Err(ServerError::NotOurs(format!("{place} belongs to the site {}, this is {site}", marker.site)))
            }
            None if known => Err(ServerError::NotOurs(format!("{place} has no {}, though this site had put one there", blob_path::MARKER))),
            None if backend.was_used().await? => {
                Err(ServerError::NotOurs(format!("{place} has no {}, though blobs were put there: another site's?", blob_path::MARKER)))
            }
            _ => {
                if let Self::Object(store) = &backend {
                    spooling::run(store, None);
                }
                Ok(backend)
            }
        }
    }

    /// Puts what waits on a local disk to the service beside all else, and joins one that did not answer at the start.
    pub(super) fn keep_destaging(&self, config: &Config, runtime: &Runtime, opener: Opener, pools: DiskPools, claim: Claim) {
        let (Self::Object(store), BlobsUrl::S3(location)) = (self, &config.storage.blobs) else { return };
        let (config, location, runtime) = (config.clone(), location.clone(), runtime.clone());
        let joining = store.service().is_none().then_some(Joining { config, location, runtime, opener, pools, claim });
        spooling::run(store, joining);
    }

    /// What was claimed last, where the service does not answer and the start goes on without it.
    async fn noted_marker(&self) -> Result<Option<Marker>, BlobError> {
        match self {
            Self::Object(store) if store.service().is_none() => store.local_marker().await,
            _ => Ok(None),
        }
    }

    /// Removes what an earlier process left in staging.
    pub(super) async fn sweep(&self) -> Result<(), BlobError> {
        match self {
            Self::Disk(disk) => disk.sweep().await,
            Self::Object(objects) => objects.sweep().await,
        }
    }

    /// The store, and what is derived from its blobs.
    pub(super) fn home(&self) -> Home {
        Home { blobs: self.store(), derived: self.derived() }
    }

    /// Opens the backend to look at it: no store is set up, and nothing is claimed or removed in it.
    pub(super) async fn open_to_look(config: &Config, runtime: &Runtime, opener: Opener, pool: BlockingPool) -> Result<Self, ServerError> {
        Self::open_unclaimed(config, runtime, opener, false, pool.into(), Purpose::Look).await
    }

    async fn open_unclaimed(
        config: &Config,
        runtime: &Runtime,
        opener: Opener,
        create: bool,
        pools: DiskPools,
        purpose: Purpose,
    ) -> Result<Self, ServerError> {
        let hold_bytes = config.blobs.hold_memory_bytes.as_usize();
        let may_be_empty = opener.blobs == 0;
        let settings = DiskSettings { create, may_be_empty, hold_bytes, filer: filer_settings(config), ..DiskSettings::default() };
        match &config.storage.blobs {
            BlobsUrl::S3(location) => Ok(Self::Object(spooling::open(config, location, runtime, pools, settings, purpose).await?)),
            BlobsUrl::UnderData | BlobsUrl::File(_) | BlobsUrl::Nfs(_) => {
                Ok(Self::Disk(DiskStore::open(&directory(config)?, runtime.clone(), pools, settings).await?))
            }
        }
    }

    async fn claim(&self, config: &Config, Opener { site, blobs }: Opener) -> Result<Marker, ServerError> {
        let store = self.store();
        let place = match &config.storage.blobs {
            BlobsUrl::UnderData => directory(config)?.display().to_string(),
            url => url.to_string(),
        };
        let (expected, new) = match store.marker().await? {
            Some(marker) if marker.site != site => {
                return Err(ServerError::NotOurs(format!(
                    "{place} belongs to the site {}, this is {site}: the metadata beside it is not its own",
                    marker.site
                )));
            }
            // The lock keeps out every other process.
            Some(marker) if self.is_locked() => return Ok(marker),
            // An earlier process of this site's that still runs somewhere finds its claim gone, and deletes nothing any more.
            Some(marker) => (Some(marker), Marker { site, epoch: marker.epoch.saturating_add(1) }),
            // Claimed before its first blob: so somebody took the marker away, or this is another place than it was.
            None if blobs > 0 || self.was_used().await? => {
                return Err(ServerError::NotOurs(format!(
                    "{place} has no {}, though blobs were put there, or this site ({site}, {blobs} blobs) has put some somewhere: it may be another \
                     site's, or a copy in part. See \"A missing marker\" in docs/operating.md",
                    blob_path::MARKER
                )));
            }
            None => (None, Marker { site, epoch: 1 }),
        };
        store.claim(expected, new).await?;
        Ok(new)
    }

    /// Whether no other process can have it open. A filer's lock is lost where its lease runs out.
    fn is_locked(&self) -> bool {
        match self {
            Self::Disk(disk) => !disk.is_on_filer(),
            Self::Object(_) => false,
        }
    }

    async fn was_used(&self) -> Result<bool, BlobError> {
        match self {
            Self::Disk(disk) => disk.was_used().await,
            Self::Object(store) => match store.service() {
                Some(service) => service.was_used().await,
                None => Err(BlobError::Away),
            },
        }
    }

    /// The store of blobs.
    pub(super) fn store(&self) -> Arc<dyn BlobStore> {
        match self {
            Self::Disk(disk) => Arc::new(disk.clone()),
            Self::Object(objects) => Arc::new(objects.clone()),
        }
    }

    /// The store of what is derived from them.
    pub(super) fn derived(&self) -> Arc<dyn DerivedStore> {
        match self {
            Self::Disk(disk) => Arc::new(disk.clone()),
            Self::Object(objects) => Arc::new(objects.clone()),
        }
    }

    /// The store on a disk that uploads go through: itself, or the spool.
    pub(super) fn disk(&self) -> Option<&DiskStore> {
        match self {
            Self::Disk(disk) => Some(disk),
            Self::Object(store) => store.local(),
        }
    }

    /// Whether it is known not to answer.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Disk(disk) => disk.is_away(),
            Self::Object(objects) => objects.is_away(),
        }
    }
}

/// Opens the backend of these settings beside whoever uses it: nothing is locked, written or removed.
pub(super) async fn open_to_read(config: &Config, runtime: &Runtime, pool: BlockingPool) -> Result<Arc<dyn BlobStore>, ServerError> {
    match &config.storage.blobs {
        BlobsUrl::S3(location) => Ok(Arc::new(spooling::connect(config, location, runtime, pool.into(), None, false).await?)),
        BlobsUrl::UnderData | BlobsUrl::File(_) | BlobsUrl::Nfs(_) => {
            Ok(Arc::new(DiskReader::open(&directory(config)?, runtime.clone(), pool, filer_settings(config)).await?))
        }
    }
}

/// Where uploads to this service are received: a place for each service, since two may be used at once.
pub(super) fn spool_directory(config: &Config) -> PathBuf {
    let url = config.storage.blobs.to_string();
    config.s3.spool_directory(&config.storage.data).join(&BlobHash::of(url.as_bytes()).to_string()[..16])
}

/// How the blob store lives with a filer, where it lies on one.
pub(super) fn filer_settings(config: &Config) -> Option<FilerSettings> {
    let is_filer = matches!(config.storage.blobs, BlobsUrl::Nfs(_));
    is_filer.then_some(FilerSettings { deadline: config.nfs.deadline, check_mount: true })
}

/// The directory of a store on a disk.
fn directory(config: &Config) -> Result<PathBuf, ServerError> {
    let unsupported = || ServerError::Unsupported(format!("{}: not in this release; use file:///DIR", config.storage.blobs));
    config.storage.blobs.directory(&config.storage.data).ok_or_else(unsupported)
}

pub(super) fn s3_settings(config: &Config, location: &S3Location) -> S3Settings {
    let s3 = &config.s3;
    let named = |text: &String| (!text.is_empty()).then(|| text.clone());
    S3Settings {
        bucket: location.bucket.clone(),
        endpoint: location.endpoint.clone(),
        region: location.region.clone(),
        credentials_file: (!s3.credentials_file.as_os_str().is_empty()).then(|| s3.credentials_file.clone()),
        checksum: s3.checksum.into(),
        storage_class: named(&s3.storage_class),
        encryption: named(&s3.encryption),
        kms_key: named(&s3.kms_key),
        deadline: s3.deadline,
    }
}

/// Makes the store's directories, as far as that goes: a site that cannot have all of them ahead still has photos to serve.
async fn prepare(store: &DiskStore) {
    match store.prepare().await {
        Ok(Some(0)) => {}
        Ok(Some(made)) => tracing::info!(made, "made the blob store's directories"),
        Ok(None) | Err(BlobError::NoSpace) => {
            tracing::info!(
                "the blob store's directories are not made ahead (too little room, or a filer): each is made when it is first needed"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "the blob store's directories could not all be made ahead: each is made when it is first needed")
        }
    }
}

impl From<S3Checksum> for UploadChecksum {
    fn from(checksum: S3Checksum) -> Self {
        match checksum {
            S3Checksum::Crc64nvme => Self::Crc64Nvme,
            S3Checksum::Sha256 => Self::Sha256,
            S3Checksum::None => Self::None,
        }
    }
}
