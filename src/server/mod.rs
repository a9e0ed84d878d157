//! The one place that wires it all: stores, service, listeners, background work, and the orderly stop.

mod admin_token;
mod backend;
mod background;
mod beside;
mod claim;
mod cold;
mod connection;
mod edge;
mod logging;
mod maintenance;
mod metrics;
mod mirror;
mod moving;
mod note;
mod observation;
mod offline;
mod open_files;
mod said;
mod serve;
mod site;
mod spooling;
mod spools;
mod streams;

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::blobs::BlobError;
use crate::config::{Config, Role};
use crate::http::{
    self, AnswerMemory, App, AppParts, Entrance, Front, FrontParts, Health, HotRenditions, HttpLimits, JsonMemory, Observer,
};
use crate::metadata::MetadataError;
use crate::runtime::{self, Runtime, Shutdown, ShutdownTrigger, Signals, shutdown_channel};
use crate::service::{Imports, ImportsParts, RenditionService, ServiceError};

use edge::EdgeParts;
pub use logging::init as init_logging;
pub use offline::{Tell, check_offline, inventory_of_backend, inventory_offline};
use site::Site;

/// Works as a decoder process for the server that started it; see [`crate::imaging::decode_for_others`].
///
/// # Errors
/// Where the process cannot be confined, or the server does not keep to what is agreed.
pub fn decode_for_others(memory_bytes: u64, output_bytes: u64, nice: u8) -> std::io::Result<()> {
    crate::imaging::decode_for_others(crate::imaging::DecoderLimits { memory_bytes, output_bytes, nice })
}

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
    /// No process can be had that decodes and can do no harm.
    #[error("photos cannot be decoded in processes of their own: {0}; limits.isolate_decoders = false has the server decode them itself")]
    Decoders(std::io::Error),
    /// Nothing stands where a site should be.
    #[error("there is no site in {}", path.display())]
    NoSite {
        /// The data directory.
        path: std::path::PathBuf,
    },
    /// A check or an inventory could not be made.
    #[error(transparent)]
    Walk(#[from] crate::maintenance::WalkError),
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

/// Cuts the settings to what `open_files`, the most files that this process may have open, allow, and says so.
///
/// # Errors
/// [`ServerError::Unsupported`] where they are too few for any server.
pub fn fit_to_open_files(config: &mut Config, open_files: u64) -> Result<(), ServerError> {
    if open_files::fit(config, open_files).map_err(ServerError::Unsupported)? {
        tracing::warn!(
            open_files,
            max_connections = config.server.max_connections,
            max_concurrent_uploads = config.limits.max_concurrent_uploads,
            max_concurrent_downloads = config.limits.max_concurrent_downloads,
            max_open_files = config.metadata.max_open_files,
            "this process may have too few files open for its settings (ulimit -n, LimitNOFILE=): cut down"
        );
    }
    Ok(())
}

/// Runs a site until SIGTERM or SIGINT, then drains: readiness fails first, then, after a delay, the listener closes, running requests
/// end, and the stores are closed.
///
/// Once both listeners are open, one line goes to stdout: `listening http=ADDR admin=ADDR` (`admin=off` where there is none).
///
/// # Errors
/// See [`ServerError`].
pub async fn run(config: Config) -> Result<(), ServerError> {
    let running = start(&config, Runtime::system()).await?;
    // Not before: a start that hangs can be ended by any signal.
    let mut signals = Signals::install().map_err(ServerError::io("signal handlers"))?;
    let admin_name = running.admin.map_or_else(|| "off".to_owned(), |address| address.to_string());
    announce(&format!("listening http={} admin={admin_name}", running.http));
    signals.next().await;
    // Said before anything is closed, so that load balancers send no more.
    tracing::info!("stopping: not ready any more");
    running.begin_stop();
    // A second signal cuts the wait short.
    let _ = runtime::timeout(config.server.shutdown_delay, signals.next()).await;
    tracing::info!("no new connections; running requests are finished");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// What is open behind the listeners.
enum Open {
    Site(Box<Site>),
    Edge(Box<EdgeParts>),
}

/// A server that serves. Dropped without [`Running::stop`], it begins to stop all the same, and nobody waits for the end.
pub struct Running {
    /// Where clients come in.
    pub http: SocketAddr,
    /// Where `/metrics` stands; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    open: Open,
    trigger: ShutdownTrigger,
    close: ShutdownTrigger,
    grace: Duration,
    /// Comes when the public listener and the uploads that it took have ended.
    ended: BoxFuture<'static, ()>,
    /// And then the admin listener and the work beside the requests.
    beside: BoxFuture<'static, ()>,
}

impl Running {
    /// From here on the site says that it is not ready. It goes on to accept and to serve.
    pub fn begin_stop(&self) {
        self.trigger.stop();
    }

    /// Accepts nothing more, finishes what runs (within the grace), and closes the stores. The admin listener answers until the last
    /// request has ended.
    pub async fn stop(self) {
        self.begin_stop();
        self.close.stop();
        self.ended.await;
        match self.open {
            Open::Site(site) => site.close(self.beside, self.grace).await,
            Open::Edge(edge) => edge.close(self.beside, self.grace).await,
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("http", &self.http).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Opens the site or the edge of these settings and its listeners, and serves.
///
/// # Errors
/// See [`ServerError`].
pub async fn start(config: &Config, runtime: Runtime) -> Result<Running, ServerError> {
    if config.server.peer_listen.address().is_some() {
        return Err(ServerError::Unsupported("server.peer_listen: not in this release; there is no second site yet".to_owned()));
    }
    // Before anything is made or opened: an address that another has taken is mostly a mistake in the settings.
    let public = serve::reserve(config.server.listen)?;
    let admin = config.server.admin_listen.address().map(serve::reserve).transpose()?;
    if config.server.role == Role::Edge {
        return start_edge(config, &runtime, public, admin).await;
    }
    let (trigger, shutdown) = shutdown_channel();
    let site = Site::open(config, &runtime).await?;
    let observer = Arc::new(site.observation(shutdown.clone()));
    let front = front(config, &runtime, shutdown.clone(), site.services.renditions().clone(), site.services.clone(), observer);
    let mover = site.mover(shutdown.clone())?;
    let imports = Arc::new(open_imports(config, &runtime, &site)?);
    let importing = runtime::spawn_joined(imports.clone().work(shutdown.clone()));
    let maintenance = Arc::new(site.maintenance(mover.clone(), shutdown));
    let app = App::new(AppParts { services: site.services.clone(), maintenance, imports, front: front.clone() });
    let Serving { http, admin, close, end, ending, public, beside } =
        serve(config, &runtime, (public, admin), (http::entrance(app), http::admin_entrance(front)))?;
    let at_once = site.previews_at_once();
    let keeping = runtime::spawn_joined(site.keep_whole(ending.clone()));
    let background = background::start(site.services.clone(), site.claim(), config.blobs.delete_grace, at_once, site.cold(), ending);
    runtime::spawn(mover.resume());
    let (services, grace) = (site.services.clone(), config.server.shutdown_grace);
    let ended = async move {
        public.await;
        if !services.finish_uploads(grace).await {
            tracing::warn!("some uploads did not end within the grace; what they wrote may be left over");
        }
        end.stop();
    };
    let importing_limit = grace / 2;
    let beside = async move {
        beside.await;
        background.await;
        let _ = keeping.await;
        // What is on its way comes to its end, so that what was published is named or queued for deletion; a tree that hangs must not keep
        // metadata from being closed, though.
        if runtime::timeout(importing_limit, importing).await.is_none() {
            tracing::warn!("a tree that is imported does not answer; it is left behind");
        }
    };
    let open = Open::Site(Box::new(site));
    Ok(Running { http, admin, open, trigger, close, grace, ended: Box::pin(ended), beside: Box::pin(beside) })
}

/// What was imported, and what is still to be.
fn open_imports(config: &Config, runtime: &Runtime, site: &Site) -> Result<Imports, ServerError> {
    let (services, data) = (site.services.clone(), config.storage.data.clone());
    let mut own = vec![config.s3.spool_directory(&data), config.renditions.disk_directory(&data)];
    own.extend(config.storage.blobs.directory(&data));
    own.extend(config.mirror.place().and_then(|mirror| mirror.directory(&data)));
    let parts = ImportsParts { services, config: config.import.clone(), data, own, runtime: runtime.clone() };
    Imports::open(parts).map_err(ServerError::io("imports.json in the data directory"))
}

async fn start_edge(
    config: &Config,
    runtime: &Runtime,
    public: serve::Reserved,
    admin: Option<serve::Reserved>,
) -> Result<Running, ServerError> {
    let (trigger, shutdown) = shutdown_channel();
    let edge = EdgeParts::open(config, runtime).await?;
    let observer = Arc::new(edge.observation(shutdown.clone()));
    let front = front(config, runtime, shutdown, edge.renditions.clone(), Arc::new(edge.edge.clone()), observer);
    let Serving { http, admin, close, end, ending, public, beside } =
        serve(config, runtime, (public, admin), (http::edge_entrance(front.clone()), http::admin_entrance(front)))?;
    let following = runtime::spawn_joined(edge.edge.clone().follow(edge.renditions.clone(), ending));
    let ended = async move {
        public.await;
        end.stop();
    };
    let beside = async move {
        beside.await;
        let _ = following.await;
    };
    let (open, grace) = (Open::Edge(Box::new(edge)), config.server.shutdown_grace);
    Ok(Running { http, admin, open, trigger, close, grace, ended: Box::pin(ended), beside: Box::pin(beside) })
}

/// Both listeners at work.
struct Serving {
    http: SocketAddr,
    admin: Option<SocketAddr>,
    /// Has the public one accept nothing more.
    close: ShutdownTrigger,
    /// Has the admin one end, and the work beside the requests.
    end: ShutdownTrigger,
    ending: Shutdown,
    /// Comes when the public one has ended.
    public: BoxFuture<'static, ()>,
    /// Comes when the admin one has.
    beside: BoxFuture<'static, ()>,
}

/// Listens, and serves.
fn serve(
    config: &Config,
    runtime: &Runtime,
    (public, admin): (serve::Reserved, Option<serve::Reserved>),
    (entrance, admin_entrance): (Entrance, Entrance),
) -> Result<Serving, ServerError> {
    let public = public.listen()?;
    let admin = admin.map(serve::Reserved::listen).transpose()?;
    let (http, admin_address) = (public.address(), admin.as_ref().map(serve::Bound::address));
    let (close, closing) = shutdown_channel();
    let (end, ending) = shutdown_channel();
    let limits = serve::Limits::new(&config.server, runtime.clock.clone());
    let admin_served = admin.map(|listener| serve::Server::new(listener, admin_entrance, limits.for_admin(), ending.clone()));
    let serving = runtime::spawn_joined(serve::Server::new(public, entrance, limits, closing).run());
    let admin_serving = runtime::spawn_joined(async move {
        if let Some(server) = admin_served {
            server.run().await;
        }
    });
    // A task that panicked has nothing left to drain.
    let public = Box::pin(async move {
        let _ = serving.await;
    });
    let beside = Box::pin(async move {
        let _ = admin_serving.await;
    });
    Ok(Serving { http, admin: admin_address, close, end, ending, public, beside })
}

/// What answers requests at all, as the settings say.
fn front(
    config: &Config,
    runtime: &Runtime,
    shutdown: Shutdown,
    renditions: Arc<RenditionService>,
    health: Arc<dyn Health>,
    observer: Arc<dyn Observer>,
) -> Front {
    Front::new(FrontParts {
        renditions,
        health,
        runtime: runtime.clone(),
        shutdown,
        observer,
        public_url: config.server.public_url.url().map(str::to_owned),
        server_timing: config.renditions.server_timing,
        limits: HttpLimits {
            max_json_bytes: config.limits.max_json_bytes.as_usize(),
            json_memory: JsonMemory::new(config.limits.json_memory_bytes.as_usize()),
            answer_memory: AnswerMemory::new(config.limits.json_memory_bytes.as_usize()),
            max_header_bytes: config.server.max_header_bytes.as_usize(),
            request_timeout: config.server.request_timeout,
            stall_timeout: config.server.stall_timeout,
            min_upload_bytes_per_second: config.limits.min_upload_bytes_per_second.as_u64(),
            default_page: config.limits.default_page as usize,
            max_page: config.limits.max_page as usize,
        },
        hot: HotRenditions::new(&runtime.random),
    })
}

/// The one line on stdout, for scripts that wait for the server.
#[allow(clippy::print_stdout)] // It is data for who started the server, not a log.
fn announce(line: &str) {
    let mut stdout = std::io::stdout().lock();
    // Nobody reading it is no reason to stop serving.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
