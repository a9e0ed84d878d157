//! What `/metrics` says. Every metric of the product is defined in this file, in `routes.rs` and in `readings.rs`.
//!
//! The layers that are measured know nothing of this: what happens is told by whoever wires them (`http`'s layers, decorators and
//! observers made in `server`), and what stands (sizes, queues) is read at each scrape and handed in as [`Readings`].
//! Names carry base units (seconds, bytes); every label takes one of a fixed set of values, never an id, a name or a path.

mod events;
mod process;
mod readings;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use events::{BlobCall, BlobFault, RenditionOutcome, RequestEnd, UploadOutcome};
use readings::Gauges;
pub use readings::{
    BackendReading, DecoderReading, EdgeReading, EngineReading, MirrorReading, QueueReading, Readings, RenditionDiskReading, SiteReading,
    SpooledReading,
};
use routes::Routes;

/// Up to a minute: uploads of large photos over slow lines are among them.
const REQUEST_SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Work inside: commits, backend operations, renders.
const WORK_SECONDS: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// A histogram of one set of buckets a family.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    operation: &'static str,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// All metrics of a server. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    routes: Routes,
    uploads: Family<OutcomeLabels, Counter>,
    uploads_refused: Family<ReasonLabels, Counter>,
    upload_bytes: Counter,
    saved_bytes: Counter,
    renditions: Family<OutcomeLabels, Counter>,
    renditions_refused: Family<ReasonLabels, Counter>,
    render_seconds: Histogram,
    blob_seconds: Histograms<OperationLabels>,
    blob_bytes: Family<OperationLabels, Counter>,
    blob_faults: Family<FaultLabels, Counter>,
    metadata_requests: Family<OutcomeLabels, Counter>,
    commit_failures: Counter,
    commit_seconds: Histogram,
    commit_requests: Histogram,
    gauges: Gauges,
}

impl Metrics {
    /// The media type of what [`Metrics::encode`] gives.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Metrics that start at nothing, of a process that started at `started_unix_ms`.
    pub fn new(started_unix_ms: u64) -> Self {
        let mut registry = Registry::default();
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(Duration::from_millis(started_unix_ms).as_secs_f64());
        registry.register_collector(Box::new(process::Process));
        registry.register("process_start_time_seconds", "When the process started, in seconds since 1970", started);
        let own = registry.sub_registry_with_prefix("halidom");
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        own.register("build_info", "The version that runs; always 1", build);

        let blob_seconds = Histograms::new_with_constructor(|| Histogram::new(WORK_SECONDS));
        let inner = Inner {
            routes: Routes::register(own),
            uploads: register(own, "uploads", "Photos that came in, by what became of them", None),
            uploads_refused: register(own, "uploads_refused", "Photos that were refused, by the code of the reason", None),
            upload_bytes: register(own, "upload", "Bytes of the photos that came in, before deduplication", Some(Unit::Bytes)),
            saved_bytes: register(own, "deduplication_saved", "Bytes of incoming photos that were there already", Some(Unit::Bytes)),
            renditions: register(own, "renditions", "Renditions asked for, by where they came from", None),
            renditions_refused: register(own, "renditions_refused", "Renditions that were refused, by the code of the reason", None),
            render_seconds: keep(
                own,
                "render_duration",
                "Time to make a rendition, waiting for its turn and reading the original included",
                Some(Unit::Seconds),
                Histogram::new(WORK_SECONDS),
            ),
            blob_seconds: keep(own, "blob_operation_duration", "Time of the blob store's operations", Some(Unit::Seconds), blob_seconds),
            blob_bytes: register(own, "blob_operation", "Bytes that the blob store wrote and read", Some(Unit::Bytes)),
            blob_faults: register(own, "blob_faults", "Operations of the blob store that failed, by what it means", None),
            metadata_requests: register(
                own,
                "metadata_requests",
                "Requests that the metadata writer evaluated, by what became of them",
                None,
            ),
            commit_failures: register(own, "metadata_commit_failures", "Commits that could not be written and synced", None),
            commit_seconds: keep(
                own,
                "metadata_commit_duration",
                "Time of synced commits",
                Some(Unit::Seconds),
                Histogram::new(WORK_SECONDS),
            ),
            commit_requests: keep(
                own,
                "metadata_commit_requests",
                "Requests gathered by a commit",
                None,
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            gauges: Gauges::register(own),
            registry,
        };
        Self(Arc::new(inner))
    }

    /// A request has begun.
    pub fn request_begins(&self, route: &str, method: &Method) {
        self.0.routes.begins(route, method);
    }

    /// A request that had begun was answered, or given up by its client.
    pub fn request_ended(&self, end: &RequestEnd<'_>) {
        self.0.routes.ended(end);
    }

    /// A photo came in, or was refused.
    pub fn upload(&self, outcome: UploadOutcome) {
        let (name, size_bytes, saved) = match outcome {
            UploadOutcome::New { size_bytes } => ("new", size_bytes, 0),
            UploadOutcome::Known { size_bytes } => ("known", size_bytes, size_bytes),
            UploadOutcome::Linked { size_bytes } => ("linked", size_bytes, size_bytes),
            UploadOutcome::Duplicate { size_bytes } => ("duplicate", size_bytes, size_bytes),
            UploadOutcome::Refused { reason } => {
                self.0.uploads_refused.get_or_create(&ReasonLabels { reason }).inc();
                return;
            }
        };
        self.0.uploads.get_or_create(&OutcomeLabels { outcome: name }).inc();
        self.0.upload_bytes.inc_by(size_bytes);
        self.0.saved_bytes.inc_by(saved);
    }

    /// A rendition was asked for.
    pub fn rendition(&self, outcome: RenditionOutcome) {
        let name = match outcome {
            RenditionOutcome::Hot => "hot",
            RenditionOutcome::Hit => "hit",
            RenditionOutcome::Disk => "disk",
            RenditionOutcome::Joined => "joined",
            RenditionOutcome::Rendered { duration } => {
                self.0.render_seconds.observe(duration.as_secs_f64());
                "rendered"
            }
            RenditionOutcome::Refused { reason } => {
                self.0.renditions_refused.get_or_create(&ReasonLabels { reason }).inc();
                return;
            }
        };
        self.0.renditions.get_or_create(&OutcomeLabels { outcome: name }).inc();
    }

    /// A call of the blob store ended, well or not.
    pub fn blob_call(&self, call: BlobCall) {
        let BlobCall { operation, duration, bytes, fault } = call;
        self.0.blob_seconds.get_or_create(&OperationLabels { operation }).observe(duration.as_secs_f64());
        if bytes > 0 {
            self.0.blob_bytes.get_or_create(&OperationLabels { operation }).inc_by(bytes);
        }
        if let Some(fault) = fault {
            self.0.blob_faults.get_or_create(&FaultLabels { operation, fault: fault.as_str() }).inc();
        }
    }

    /// The metadata writer evaluated a request.
    pub fn metadata_request(&self, outcome: &'static str) {
        self.0.metadata_requests.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// The metadata writer synced a commit that gathered this many requests, or could not.
    pub fn metadata_commit(&self, requests: usize, duration: Duration, written: bool) {
        self.0.commit_seconds.observe(duration.as_secs_f64());
        // Groups are limited far below what a float holds exactly.
        self.0.commit_requests.observe(requests as f64);
        if !written {
            self.0.commit_failures.inc();
        }
    }

    /// The page of a scrape, in Prometheus' text format.
    pub fn encode(&self, readings: &Readings) -> String {
        self.0.gauges.set(readings);
        let mut page = String::new();
        prometheus_text::encode(&mut page, &self.0.registry).expect("writing to a string does not fail");
        page
    }
}

/// Registers a new metric.
fn register<M: prometheus_client::registry::Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
) -> M {
    keep(registry, name, help, unit, M::default())
}

/// Registers `metric`. Help ends without a full stop.
fn keep<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    metric: M,
) -> M {
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, metric.clone()),
        None => registry.register(name, help, metric.clone()),
    }
    metric
}
