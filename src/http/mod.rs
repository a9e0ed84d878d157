//! HTTP: every route, extractors, errors to status codes. Knows the service and the wire types; no metadata, no blobs, no pixels.

mod accept;
mod admin;
mod albums;
mod answers;
mod base_url;
mod caching;
mod client_end;
pub mod conditional;
pub mod content_disposition;
mod cors;
mod cursor;
pub mod digest_header;
mod edges;
mod entrance;
mod error;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod hot;
mod idle;
mod iiif;
mod json_body;
mod layers;
mod me;
mod measure;
mod openapi;
mod original;
mod photos;
pub mod range;
mod read_on;
mod rendered;
mod renditions;
mod request_id;
mod routes;
mod sendfile;
mod sending;
mod server_timing;
mod similar;
mod upload;
mod urls;
mod views;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use futures_util::stream::BoxStream;

use crate::api::InventoryPart;
use crate::runtime::{Runtime, Shutdown};
use crate::service::{Imports, RenditionService, ServiceError, Services};

pub use answers::AnswerMemory;
pub use client_end::ClientEnd;
pub use entrance::Entrance;
pub use error::ErrorCode;
pub use hot::HotRenditions;
pub use json_body::JsonMemory;
pub use openapi::document as openapi_document;
pub use routes::{admin_entrance, edge_entrance, entrance};
pub use sendfile::{Outgoing, SendfileStream};

/// What happened, told to whoever measures. `http` knows no metrics.
#[async_trait::async_trait]
pub trait Observer: Send + Sync + fmt::Debug {
    /// A request has begun. `route` is the route's template, `unmatched` where none matched.
    fn begins(&self, route: &str, method: &http::Method);
    /// A request that had begun ended: its answer was handed to the network to the last byte, or its client has gone.
    fn ended(&self, request: &ObservedRequest<'_>);
    /// An upload was acknowledged, or refused with a code.
    fn upload(&self, outcome: UploadOutcome);
    /// A rendition was answered, or refused with a code.
    fn rendition(&self, outcome: RenditionOutcome);
    /// The text of `/metrics`, with its media type.
    async fn render(&self) -> (&'static str, String);
}

/// Where a rendition came from.
#[derive(Debug, Clone, Copy)]
pub enum RenditionOutcome {
    /// From what was answered a moment ago.
    Hot,
    /// From the cache.
    Cached,
    /// From the cache on disk.
    Disk,
    /// From a render that another request had begun, or what it found on disk.
    Joined,
    /// From a render of its own.
    Rendered(Duration),
    /// Refused, with the problem's code.
    Refused(&'static str),
}

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct ObservedRequest<'a> {
    /// The route's template.
    pub route: &'a str,
    /// The method.
    pub method: &'a http::Method,
    /// The status; `None` where the client had gone before there was one.
    pub status: Option<http::StatusCode>,
    /// From the head of the request to the last byte of the answer.
    pub elapsed: Duration,
    /// Bytes of its body that arrived.
    pub received_bytes: u64,
    /// Bytes of the answer's body that were handed to the network.
    pub sent_bytes: u64,
}

/// How an upload ended.
#[derive(Debug, Clone, Copy)]
pub enum UploadOutcome {
    /// New bytes were stored.
    Stored {
        /// How many.
        size_bytes: u64,
    },
    /// A photo was made of bytes that were here already.
    Deduplicated {
        /// How many.
        size_bytes: u64,
    },
    /// A photo was made of bytes that were here already, and did not have to be sent.
    Linked {
        /// How many.
        size_bytes: u64,
    },
    /// Nothing was made: the photo stood there already.
    Existing {
        /// How many.
        size_bytes: u64,
    },
    /// Refused, with the problem's code.
    Refused(&'static str),
}

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<AppParts>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct AppParts {
    /// What Halidom does.
    pub services: Arc<Services>,
    /// Runs the check: wired by the server, since `http` knows no stores.
    pub maintenance: Arc<dyn Maintenance>,
    /// Trees of photos that are taken in.
    pub imports: Arc<Imports>,
    /// What an edge has as well.
    pub front: Front,
}

/// What shows renditions and answers requests at all, at a site and at an edge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Front(Arc<FrontParts>);

/// The parts of a [`Front`].
#[derive(Debug)]
pub struct FrontParts {
    /// Renditions.
    pub renditions: Arc<RenditionService>,
    /// Says whether requests can be served.
    pub health: Arc<dyn Health>,
    /// Clock and randomness.
    pub runtime: Runtime,
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// Who measures.
    pub observer: Arc<dyn Observer>,
    /// Scheme and host that clients see, without a slash at the end; `None`: as each request says.
    pub public_url: Option<String>,
    /// Whether answers say where the time for a rendition went, and whether it was there.
    pub server_timing: bool,
    /// What HTTP bounds.
    pub limits: HttpLimits,
    /// What was answered a moment ago.
    pub hot: HotRenditions,
}

/// What HTTP bounds.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Bytes of a JSON body.
    pub max_json_bytes: usize,
    /// Memory for all of them together.
    pub json_memory: JsonMemory,
    /// Memory for answers that lie whole in it until they are taken.
    pub answer_memory: AnswerMemory,
    /// Bytes of a request's head: its line and all its fields.
    pub max_header_bytes: usize,
    /// How long a request may take, but for the streaming of bodies.
    pub request_timeout: Duration,
    /// How long a body may make no progress.
    pub stall_timeout: Duration,
    /// The rate that a photo has to come with on average; 0: any.
    pub min_upload_bytes_per_second: u64,
    /// Items of a page where none are named.
    pub default_page: usize,
    /// Items of a page at most.
    pub max_page: usize,
}

/// An inventory as it is made, only as fast as it is taken: some parts at a time. It is whole where it ends with [`InventoryPart::End`]; an error ends it.
pub type InventoryParts = BoxStream<'static, Result<Vec<InventoryPart>, ServiceError>>;

/// Long work on the whole site.
#[async_trait::async_trait]
pub trait Maintenance: Send + Sync + fmt::Debug {
    /// Checks metadata and blobs.
    async fn check(&self, request: crate::api::CheckRequest) -> Result<crate::api::CheckReport, ServiceError>;

    /// Lists everything that lies in the backend, or should. It ends when it is dropped.
    async fn inventory(&self, read_data: bool) -> Result<InventoryParts, ServiceError>;

    /// Where the blobs are, and how far a move has come.
    async fn move_status(&self) -> Result<crate::api::MoveStatus, ServiceError>;

    /// Begins to move the blobs, or goes on with it.
    async fn start_move(&self, request: crate::api::MoveRequest) -> Result<crate::api::MoveStatus, ServiceError>;

    /// Calls a move off, or goes back on one.
    async fn move_back(&self) -> Result<crate::api::MoveStatus, ServiceError>;

    /// Lets go of where the blobs were.
    async fn finish_move(&self) -> Result<crate::api::MoveStatus, ServiceError>;
}

/// Whether this server can do its work.
#[async_trait::async_trait]
pub trait Health: Send + Sync + fmt::Debug {
    /// Nothing where it can; else what hinders.
    async fn ready(self: Arc<Self>) -> Result<(), ServiceError>;
}

impl Front {
    /// Wires the parts together.
    pub fn new(parts: FrontParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Front {
    type Target = FrontParts;

    fn deref(&self) -> &FrontParts {
        &self.0
    }
}

impl FromRef<App> for Front {
    fn from_ref(app: &App) -> Self {
        app.front.clone()
    }
}

impl App {
    /// Wires the handlers' parts together.
    pub fn new(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

impl std::ops::Deref for AppParts {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}
