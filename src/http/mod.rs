//! HTTP: every route, extractors, errors to status codes. Knows the service and the wire types; no metadata, no blobs, no pixels.

mod accept;
mod admin;
mod albums;
pub mod conditional;
pub mod content_disposition;
mod cursor;
pub mod digest_header;
mod error;
mod extract;
mod health;
mod idle;
mod layers;
mod me;
mod openapi;
mod original;
mod photos;
pub mod range;
mod read_on;
mod renditions;
mod request_id;
mod routes;
mod sending;
mod upload;
mod urls;
mod views;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Runtime, Shutdown};
use crate::service::Services;

pub use error::ErrorCode;
pub use openapi::document as openapi_document;
pub use routes::{admin_router, router};

/// What happened, told to whoever measures. `http` knows no metrics.
#[async_trait::async_trait]
pub trait Observer: Send + Sync + fmt::Debug {
    /// A request was answered. `route` is the route's template, `unmatched` where none matched.
    fn request(&self, request: &ObservedRequest<'_>);
    /// An upload was acknowledged, or refused with a code.
    fn upload(&self, outcome: UploadOutcome);
    /// A rendition was answered, or refused with a code.
    fn rendition(&self, outcome: RenditionOutcome);
    /// Photos were made without bytes being sent.
    fn linked(&self, size_bytes: u64);
    /// The text of `/metrics`, with its media type.
    async fn render(&self) -> (&'static str, String);
}

/// Where a rendition came from.
#[derive(Debug, Clone, Copy)]
pub enum RenditionOutcome {
    /// From the cache, or from a render that another request had begun.
    Cached,
    /// From a render of its own.
    Rendered(Duration),
    /// Refused, with the problem's code.
    Refused(&'static str),
}

/// An answered request.
#[derive(Debug, Clone, Copy)]
pub struct ObservedRequest<'a> {
    /// The route's template.
    pub route: &'a str,
    /// The method.
    pub method: &'a http::Method,
    /// The status.
    pub status: http::StatusCode,
    /// From the head of the request to the head of the answer.
    pub elapsed: Duration,
    /// `Content-Length` of the request, where known.
    pub received_bytes: u64,
    /// `Content-Length` of the answer, where known.
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
    /// Clock and randomness.
    pub runtime: Runtime,
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// Who measures.
    pub observer: Arc<dyn Observer>,
    /// What HTTP bounds.
    pub limits: HttpLimits,
}

/// What HTTP bounds.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Bytes of a JSON body.
    pub max_json_bytes: usize,
    /// How long a request may take, but for the streaming of bodies.
    pub request_timeout: Duration,
    /// How long a body may make no progress.
    pub idle_timeout: Duration,
    /// Items of a page where none are named.
    pub default_page: usize,
    /// Items of a page at most.
    pub max_page: usize,
}

/// Long work on the whole site.
#[async_trait::async_trait]
pub trait Maintenance: Send + Sync + fmt::Debug {
    /// Checks metadata and blobs.
    async fn check(&self, request: crate::api::CheckRequest) -> Result<crate::api::CheckReport, crate::service::ServiceError>;
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
