//! Feeds the metrics: what HTTP reports, and what stands when they are scraped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::metrics::{
    BackendReading, EngineReading, Metrics, QueueReading, Readings, RenditionOutcome as RenditionMetric, RequestEnd, SiteReading,
    UploadOutcome as UploadMetric,
};
use crate::blobs::BlobStore;
use crate::http::{ObservedRequest, Observer, RenditionOutcome, UploadOutcome};
use crate::metadata::{Metadata, Read};
use crate::runtime::{BlockingPool, Shutdown};
use crate::service::Services;

/// The server's observer.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) metrics: Metrics,
    pub(super) services: Arc<Services>,
    pub(super) metadata: Metadata,
    pub(super) backend: Arc<dyn BlobStore>,
    pub(super) pool: BlockingPool,
    pub(super) shutdown: Shutdown,
    pub(super) routes: Routes,
}

/// Route templates as labels that live for ever. There are as many as there are routes.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<HashMap<String, &'static str>>);

impl Routes {
    fn label(&self, route: &str) -> &'static str {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(route) {
            return label;
        }
        let label: &'static str = Box::leak(route.to_owned().into_boxed_str());
        known.insert(route.to_owned(), label);
        label
    }
}

#[async_trait]
impl Observer for Observation {
    fn request(&self, request: &ObservedRequest<'_>) {
        self.metrics.request_ended(&RequestEnd {
            route: self.routes.label(request.route),
            method: request.method,
            status: Some(request.status.as_u16()),
            duration: request.elapsed,
            received_bytes: request.received_bytes,
            sent_bytes: request.sent_bytes,
        });
    }

    fn upload(&self, outcome: UploadOutcome) {
        self.metrics.upload(match outcome {
            UploadOutcome::Stored { size_bytes } => UploadMetric::New { size_bytes },
            UploadOutcome::Deduplicated { size_bytes } => UploadMetric::Known { size_bytes },
            UploadOutcome::Existing { size_bytes } => UploadMetric::Duplicate { size_bytes },
            UploadOutcome::Refused(reason) => UploadMetric::Refused { reason },
        });
    }

    fn linked(&self, size_bytes: u64) {
        self.metrics.upload(UploadMetric::Linked { size_bytes });
    }

    fn rendition(&self, outcome: RenditionOutcome) {
        self.metrics.rendition(match outcome {
            RenditionOutcome::Cached => RenditionMetric::Hit,
            RenditionOutcome::Rendered(duration) => RenditionMetric::Rendered { duration },
            RenditionOutcome::Refused(reason) => RenditionMetric::Refused { reason },
        });
    }

    async fn render(&self) -> (&'static str, String) {
        let readings = self.readings().await;
        (Metrics::CONTENT_TYPE, self.metrics.encode(&readings))
    }
}

impl Observation {
    async fn readings(&self) -> Readings {
        let metadata = self.metadata.clone();
        let read = self.pool.run(move || (metadata.read().stats().ok(), metadata.figures())).await;
        let (stats, figures) = read.unwrap_or_default();
        let figure = |name: &str| figures.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value);
        let site = stats.map(|stats| SiteReading {
            photos: stats.photos,
            albums: stats.albums,
            users: stats.users,
            blobs: stats.blobs,
            logical_bytes: stats.logical_bytes,
            stored_bytes: stats.stored_bytes,
            doomed_copies: stats.doomed,
            pins: stats.pins,
        });
        let usage = self.backend.usage().await.ok().flatten();
        let load = self.services.load();
        let queue = |queue, (waiting, running, limit)| QueueReading { queue, waiting, running, limit };
        Readings {
            queues: vec![
                queue("metadata", (figure("queue"), 0, figure("queue_limit"))),
                queue("uploads", (0, load.uploads_running, load.uploads_limit)),
                queue("renders", (load.renders_waiting, 0, load.renders_limit)),
            ],
            engine: figures.iter().map(|(property, value)| engine(property, *value)).collect(),
            site,
            backend: usage.map(|usage| BackendReading { size_bytes: usage.total_bytes, free_bytes: usage.free_bytes }),
            rendition_cache_bytes: Some(load.cached_rendition_bytes),
            ready: !self.shutdown.is_stopping(),
        }
    }
}

/// The engine names what is measured in bytes so.
fn engine(property: &'static str, value: u64) -> EngineReading {
    if property.ends_with("_bytes") { EngineReading::Bytes { property, value } } else { EngineReading::Items { property, value } }
}
