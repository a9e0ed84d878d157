//! The one place that wires it all: stores, service, listeners, background work, and the orderly stop.

mod admin_token;
mod background;
mod logging;
pub mod metrics;
mod observation;
mod offline;
mod serve;
mod site;

use std::io::Write as _;
use std::sync::Arc;

use crate::blobs::BlobError;
use crate::config::Config;
use crate::http::{self, App, AppParts, HttpLimits};
use crate::metadata::MetadataError;
use crate::runtime::{self, Runtime, shutdown_channel};
use crate::service::ServiceError;

pub use logging::init as init_logging;
pub use offline::check_offline;
use site::Site;

/// Why a server did not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or directory of the site cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The setting names something that this release does not do.
    #[error("{0}")]
    Unsupported(String),
    /// Nothing stands where a site should be.
    #[error("there is no site in {}", path.display())]
    NoSite {
        /// The data directory.
        path: std::path::PathBuf,
    },
    /// A check could not be made.
    #[error(transparent)]
    Check(#[from] crate::maintenance::CheckError),
    /// The blob backend belongs to another site, or was claimed since.
    #[error("{0}")]
    NotOurs(String),
    /// The blob store cannot be opened.
    #[error("blob store: {0}")]
    Blobs(#[from] BlobError),
    /// Metadata cannot be opened.
    #[error("metadata: {0}")]
    Metadata(#[from] MetadataError),
    /// The first writes failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl ServerError {
    /// Whether another process has the site open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Metadata(MetadataError::Locked { .. }) | Self::Blobs(BlobError::InUse { .. }))
    }

    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Runs a site until SIGTERM or SIGINT, then drains.
///
/// Once both listeners are open, one line goes to stdout: `listening http=ADDR admin=ADDR` (`admin=off` where there is none).
///
/// # Errors
/// See [`ServerError`].
pub async fn run(config: Config) -> Result<(), ServerError> {
    let runtime = Runtime::system();
    let (trigger, shutdown) = shutdown_channel();
    let site = Site::open(&config, &runtime).await?;
    let observer = Arc::new(site.observation(&runtime, shutdown.clone()));
    let app = App::new(AppParts {
        services: site.services.clone(),
        maintenance: Arc::new(site.maintenance()),
        runtime: runtime.clone(),
        shutdown: shutdown.clone(),
        observer,
        limits: HttpLimits {
            max_json_bytes: config.limits.max_json_bytes.as_usize(),
            request_timeout: config.server.request_timeout,
            idle_timeout: config.server.stall_timeout,
            default_page: config.limits.default_page as usize,
            max_page: config.limits.max_page as usize,
        },
    });
    let public = serve::bind(config.server.listen).await?;
    let admin = match config.server.admin_listen.address() {
        Some(address) => Some(serve::bind(address).await?),
        None => None,
    };
    let admin_name = admin.as_ref().map_or_else(|| "off".to_owned(), |listener| listener.address().to_string());
    announce(&format!("listening http={} admin={admin_name}", public.address()));
    let background = background::start(site.services.clone(), shutdown.clone());
    let limits = serve::Limits::new(&config.server);
    let served = serve::Server::new(public, http::router(app.clone()), limits.clone(), shutdown.clone());
    let admin_served = admin.map(|listener| serve::Server::new(listener, http::admin_router(app), limits, shutdown));

    let serving = runtime::spawn_joined(served.run());
    let admin_serving = runtime::spawn_joined(async move {
        if let Some(server) = admin_served {
            server.run().await;
        }
    });
    runtime::wait_for_signal().await.map_err(ServerError::io("signal handlers"))?;
    tracing::info!("stopping: no new connections, running requests are finished");
    trigger.stop();
    // A task that panicked has nothing left to drain.
    let _ = serving.await;
    let _ = admin_serving.await;
    background.await;
    site.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The one line on stdout, for scripts that wait for the server.
#[allow(clippy::print_stdout)] // It is data for who started the server, not a log.
fn announce(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // Nobody reading it is no reason to stop serving.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
