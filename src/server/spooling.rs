//! The object store of a site and the local disk before it: opening them, also while the service is away, and putting there what waits.

use std::path::{Path, absolute};
use std::time::Duration;

use super::ServerError;
use super::backend::{Opener, s3_settings, spool_directory};
use super::claim::Claim;
use super::said::Said;
use super::spools::Spools;
use crate::blobs::{
    BlobError, BlobStore as _, Connection, Destaged, DiskPools, DiskSettings, DiskStore, Marker, ObjectSettings, ObjectStore,
    SpooledSettings, SpooledStore, WeakSpooledStore, path as blob_path,
};
use crate::config::{Config, S3Location};
use crate::model::SiteId;
use crate::runtime::{self, Runtime};

/// How often it is looked whether anything waits.
const EVERY: Duration = Duration::from_secs(1);
/// Pause before a service is asked again that did not answer at the start, or was not the site's.
const JOIN_AGAIN: Duration = Duration::from_secs(1);

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// As the store that this site relies on.
    Home(SiteId),
    /// To be put to beside another: what it does not take is made up for from there, so nothing new waits before it.
    Beside,
    /// To be looked at.
    Look,
}

/// How a service that did not answer at the start is joined later.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) config: Config,
    pub(super) location: S3Location,
    pub(super) runtime: Runtime,
    pub(super) opener: Opener,
    pub(super) pools: DiskPools,
    pub(super) claim: Claim,
}

/// Opens the store at this place. A home whose service does not answer begins without it, where the settings allow uploads to wait and what lies
/// beside the spool says that the service is this site's.
pub(super) async fn open(
    config: &Config,
    location: &S3Location,
    runtime: &Runtime,
    pools: DiskPools,
    settings: DiskSettings,
    purpose: Purpose,
) -> Result<SpooledStore, ServerError> {
    let directory = spool_directory(config);
    let create = settings.create;
    let takes = config.s3.spooled && matches!(purpose, Purpose::Home(_));
    let (data, spool) = (config.storage.data.clone(), directory.clone());
    let found = pools.io.run(move || find(&data, &spool, purpose)).await.map_err(BlobError::from)?;
    let local = if found? || purpose != Purpose::Look {
        // Whatever waits in it lies in its directory of copies: where that is missing, nothing does.
        let create = purpose != Purpose::Look;
        let settings = DiskSettings { create, may_be_empty: true, staging_bytes: config.s3.spool_bytes.as_u64(), ..settings };
        Some(DiskStore::open(&directory, runtime.clone(), pools.clone(), settings).await?)
    } else {
        None
    };
    if takes {
        let (data, spool) = (config.storage.data.clone(), directory.clone());
        let noted = pools.io.run(move || Spools::load(&data)?.add(&data, &absolute(&spool)?)).await.map_err(BlobError::from)?;
        noted.map_err(ServerError::io(format!("that photos may wait in {}", directory.display())))?;
    }
    let spooled = SpooledSettings { takes, max_bytes: config.s3.spooled_bytes.as_u64() };
    let store = SpooledStore::open(local.clone(), runtime.clock.clone(), spooled).await?;
    let noted = store.local_marker().await?;
    if let (Purpose::Home(site), Some(noted)) = (purpose, noted)
        && noted.site != site
    {
        let directory = directory.display();
        return Err(ServerError::NotOurs(format!("what waits in {directory} belongs to the site {}, this is {site}", noted.site)));
    }
    match connect(config, location, runtime, pools, local, create).await {
        Ok(service) => store.join(service),
        Err(ServerError::Blobs(error @ (BlobError::Away | BlobError::Unavailable { .. }))) if takes && noted.is_some() => {
            tracing::error!(%error, "the object store does not answer: the server begins without it, and serves what waits on the local disk");
        }
        Err(error) => return Err(error),
    }
    Ok(store)
}

/// Whether a spool is there. One that photos may wait in, and that is not there, is never set up anew: what waits would pass for lost.
fn find(data: &Path, directory: &Path, purpose: Purpose) -> Result<bool, ServerError> {
    let noted = Spools::load(data).and_then(|spools| Ok(spools.has(&absolute(directory)?)));
    let may_have_photos = noted.map_err(ServerError::io("which spools there are"))?;
    let is_there = directory.join(blob_path::FORMAT).is_file();
    if may_have_photos && !is_there && purpose != Purpose::Beside {
        return Err(ServerError::NotOurs(format!(
            "{} is not there, and photos may wait in it: is its disk mounted? Where it is lost for good, so are they: take it out of blobs-spools.json in the data directory",
            directory.display()
        )));
    }
    Ok(is_there)
}

pub(super) async fn connect(
    config: &Config,
    location: &S3Location,
    runtime: &Runtime,
    pools: DiskPools,
    spool: Option<DiskStore>,
    create: bool,
) -> Result<ObjectStore, ServerError> {
    let s3 = s3_settings(config, location);
    let connection = pools.io.run(move || Connection::s3(&s3)).await.map_err(BlobError::from)??;
    let settings = ObjectSettings { prefix: location.prefix.clone(), create, deadline: config.s3.deadline };
    Ok(ObjectStore::open(connection, spool, runtime.clone(), &settings).await?)
}

/// Puts what waits to the service as long as somebody has the store open; before that joins the service, where it was away at the start.
pub(super) fn run(store: &SpooledStore, joining: Option<Joining>) {
    let store = store.downgrade();
    runtime::spawn(async move {
        if let Some(joining) = joining {
            joining.run(&store).await;
        }
        let mut waited = false;
        loop {
            runtime::sleep(EVERY).await;
            let Some(store) = store.upgrade() else { return };
            let Destaged { copies, failed, .. } = store.destage().await;
            if copies + failed > 0 {
                tracing::info!(copies, failed, "put what waited on the local disk to the object store");
            }
            let waits = store.backlog().is_some_and(|backlog| backlog.figures().copies > 0);
            if waited && !waits {
                tracing::info!("nothing waits on the local disk any more");
            }
            waited = waits;
        }
    });
}

impl Joining {
    /// Until it has, or nobody has the store open any more.
    async fn run(self, store: &WeakSpooledStore) {
        let said = Said::default();
        loop {
            runtime::sleep(JOIN_AGAIN).await;
            let Some(store) = store.upgrade() else { return };
            match self.join(&store).await {
                Ok(()) => return tracing::info!("the object store answers: what waits is put there"),
                Err(error) if said.is_news(&error) => {
                    tracing::warn!(%error, "the object store cannot be opened: tried again, and said once")
                }
                Err(_) => {}
            }
        }
    }

    async fn join(&self, store: &SpooledStore) -> Result<(), ServerError> {
        let Self { config, location, runtime, opener, pools, claim } = self;
        let service = connect(config, location, runtime, pools.clone(), store.local().cloned(), false).await?;
        let found = service.marker().await?;
        let Some(found) = found.filter(|found| found.site == opener.site) else {
            return Err(ServerError::NotOurs(format!("{}: it is not this site's any more: {found:?}", config.storage.blobs)));
        };
        let new = Marker { site: opener.site, epoch: found.epoch.saturating_add(1) };
        service.claim(Some(found), new).await?;
        store.note_claim(new).await;
        claim.set(new);
        store.join(service);
        Ok(())
    }
}
