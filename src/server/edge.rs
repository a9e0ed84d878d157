//! An edge's parts, put together from the settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::ServerError;
use super::backend::{filer_settings, s3_settings};
use super::metrics::Metrics;
use super::observation::{EdgeStanding, Observation};
use super::site::{decoders, make_private_dir, open_rendition_disk, renders_at_once, rendition_threads};
use crate::blobs::{BlobError, Connection, DiskPools, DiskReader, ObjectSettings, ObjectStore, ReaderPools, S3Settings, StoreReader};
use crate::client::{Client, ClientSettings, RetrySettings};
use crate::config::{BlobsUrl, Config, S3Location};
use crate::edge::{Edge, EdgeSettings};
use crate::http::Health;
use crate::imaging::{Decoders, Priority};
use crate::runtime::{self, BlockingPool, Runtime, Shutdown, cores};
use crate::service::{RenditionBasis, RenditionDisk, RenditionPools, RenditionService, Secret, ServiceError};

/// How patient an edge is with its sites: somebody waits, and another site may answer.
const PATIENCE: ClientSettings = ClientSettings {
    connect_timeout: Duration::from_secs(1),
    answer_timeout: Duration::from_secs(3),
    idle_timeout: Duration::from_secs(5),
    long_timeout: Duration::from_secs(5),
    retry: RetrySettings {
        attempts: 1,
        first_delay: Duration::from_millis(50),
        longest_delay: Duration::from_millis(500),
        total: Duration::from_secs(1),
        turn: Duration::from_secs(5),
    },
};
/// The longest file that a token is read from, in bytes.
const MAX_TOKEN_FILE: u64 = 4_096;

#[async_trait::async_trait]
impl Health for Edge {
    async fn ready(self: Arc<Self>) -> Result<(), ServiceError> {
        Self::ready(&self)
    }
}

/// An open edge.
#[derive(Debug)]
pub(super) struct EdgeParts {
    pub(super) renditions: Arc<RenditionService>,
    pub(super) edge: Edge,
    pools: Vec<(&'static str, BlockingPool)>,
    decoders: Vec<(&'static str, Decoders)>,
    rendition_disk: RenditionDisk,
    metrics: Metrics,
}

impl EdgeParts {
    /// Opens an edge of these settings. Nothing is asked of its sites yet.
    pub(super) async fn open(config: &Config, runtime: &Runtime) -> Result<Self, ServerError> {
        let data = &config.storage.data;
        make_private_dir(data)?;
        let token = read_token(&config.edge.token_file)?;
        let client = |site: &String| Client::new(site, Some(token.as_str()), PATIENCE, runtime.clone());
        let sites = config.edge.sites.as_slice().iter().map(client).collect::<Result<Vec<_>, _>>();
        let sites = sites.map_err(|error| ServerError::Unsupported(format!("edge.sites: {error}")))?;

        let at_once = renders_at_once(config.renditions.concurrency);
        let imaging_pool = BlockingPool::new("imaging", at_once);
        let slow_pool = BlockingPool::new("slow imaging", (at_once / 2).max(1));
        let imaging = decoders(config, &imaging_pool, Priority::Awaited)?;
        let slow = decoders(config, &slow_pool, Priority::Slow)?;
        let rendition_threads = rendition_threads();
        let blobs_pool = BlockingPool::new("blobs", config.blobs.io_threads as usize);
        let hashing_pool = BlockingPool::new("hashing", cores());
        let disk_pools = DiskPools { io: blobs_pool.clone(), verifying: blobs_pool.clone(), hashing: hashing_pool.clone() };

        let decoding_pool = BlockingPool::new("decoding", cores());
        let decoding_bytes = config.cold.decode_memory_bytes.as_u64();
        let reading = ReaderPools { decoding: decoding_pool.clone(), decoding_bytes, hashing: hashing_pool.clone() };
        let backend = match &config.storage.blobs {
            BlobsUrl::UnderData => None,
            BlobsUrl::File(root) | BlobsUrl::Nfs(root) => {
                let disk = DiskReader::open(root, runtime.clone(), disk_pools, filer_settings(config)).await?;
                Some(StoreReader::of_disk(disk, reading))
            }
            BlobsUrl::S3(location) => Some(StoreReader::of_store(open_service(config, location, runtime, &blobs_pool).await?, reading)),
        };
        let basis = RenditionBasis {
            quality: config.renditions.default_quality,
            max_side: config.renditions.max_side,
            previews: config.renditions.previews,
            max_embedded_bytes: config.limits.max_embedded_bytes.as_u64(),
        };
        let max_photo_bytes = config.limits.max_upload_bytes.as_u64();
        let settings = EdgeSettings { remember: config.edge.remember, answers: config.edge.answers.into(), basis, max_photo_bytes };
        let edge = Edge::new(settings, sites, backend, hashing_pool.clone(), runtime.clone());
        let rendition_disk = open_rendition_disk(config, runtime, &rendition_threads).await;
        let all_decoders = vec![("imaging", imaging.clone()), ("slow_imaging", slow.clone())];
        // Of no photo it is told when it is new: previews are made by who is asked for something that they serve.
        let previews = slow.clone();
        let renditions = RenditionService::new(
            Arc::new(edge.clone()),
            Arc::new(edge.clone()),
            Some(rendition_disk.clone()),
            runtime.clone(),
            RenditionPools { imaging, slow, previews },
            config,
        );
        let pools = vec![
            ("pool_blobs", blobs_pool),
            ("pool_decoding", decoding_pool),
            ("pool_hashing", hashing_pool),
            ("pool_imaging", imaging_pool),
            ("pool_slow_imaging", slow_pool),
            ("pool_renditions", rendition_threads.writing),
            ("pool_rendition_reads", rendition_threads.reading),
        ];
        let metrics = Metrics::new(runtime.clock.unix_ms());
        Ok(Self { renditions: Arc::new(renditions), edge, pools, decoders: all_decoders, rendition_disk, metrics })
    }

    /// What feeds the metrics.
    pub(super) fn observation(&self, shutdown: Shutdown) -> Observation {
        let standing = EdgeStanding {
            renditions: self.renditions.clone(),
            edge: self.edge.clone(),
            pools: self.pools.clone(),
            decoders: self.decoders.clone(),
            shutdown,
        };
        Observation { metrics: self.metrics.clone(), standing: Box::new(standing) }
    }

    /// Waits for what is about to end, and for all blocking work that was begun, no longer than `limit`.
    pub(super) async fn close(self, beside: impl Future<Output = ()>, limit: Duration) {
        let closing = async {
            beside.await;
            self.rendition_disk.settle().await;
            for (_, pool) in &self.pools {
                pool.close().await;
            }
        };
        if runtime::timeout(limit, closing).await.is_none() {
            tracing::warn!("work on a disk or a picture does not end; it is left behind");
        }
    }
}

/// The object store of a site, to be read. One that does not answer now is asked again by who needs it.
async fn open_service(config: &Config, location: &S3Location, runtime: &Runtime, pool: &BlockingPool) -> Result<ObjectStore, ServerError> {
    // Somebody waits, and the site may answer.
    let deadline = config.s3.deadline.min(PATIENCE.answer_timeout);
    let s3 = S3Settings { deadline, ..s3_settings(config, location) };
    let connection = pool.run(move || Connection::s3(&s3)).await.map_err(BlobError::from)??;
    let settings = ObjectSettings { prefix: location.prefix.clone(), create: false, deadline };
    let service = ObjectStore::to_read(connection, runtime.clone(), &settings);
    match service.require_layout().await {
        Ok(()) => {}
        Err(error @ (BlobError::Away | BlobError::Unavailable { .. })) => {
            tracing::warn!(%error, "the object store does not answer: photos are fetched from the site until it does");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(service)
}

/// The token in a file: nothing else stands there.
fn read_token(path: &Path) -> Result<String, ServerError> {
    use std::io::Read as _;
    let read = || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_TOKEN_FILE).read_to_string(&mut text)?;
        Ok(text)
    };
    let text: String = read().map_err(ServerError::io(format!("edge.token_file: {}", path.display())))?;
    let token = text.trim();
    if !Secret::is_well_formed(token) {
        return Err(ServerError::Unsupported(format!("edge.token_file: {} holds no token", path.display())));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests;
