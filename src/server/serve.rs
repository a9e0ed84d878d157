//! Listeners: bounded connections, bounded heads, and a stop that lets running requests end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::ServerError;
use super::connection::{self, Patience};
use crate::config::ServerConfig;
use crate::runtime::{self, Clock, Shutdown};

/// Pause after an accept failed (no file descriptor left, mostly), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of the admin listener at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Where it listens, with the port that the system gave where none was named.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds a socket.
pub(super) async fn bind(address: SocketAddr) -> Result<Bound, ServerError> {
    let listener = TcpListener::bind(address).await.map_err(ServerError::io(format!("listening on {address}")))?;
    let address = listener.local_addr().map_err(ServerError::io(format!("listening on {address}")))?;
    Ok(Bound { listener, address })
}

/// What a listener bounds.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    connections: Arc<Semaphore>,
    patience: Patience,
    clock: Clock,
    max_header_bytes: usize,
    grace: Duration,
}

impl Limits {
    pub(super) fn new(config: &ServerConfig, clock: Clock) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(config.max_connections as usize)),
            patience: Patience { header: config.header_timeout, idle: config.idle_timeout, stall: config.stall_timeout },
            clock,
            max_header_bytes: config.max_header_bytes.as_usize(),
            grace: config.shutdown_grace,
        }
    }

    /// The same for the admin listener, with connections of its own: when clients take all of theirs, somebody has to be able to look.
    pub(super) fn for_admin(&self) -> Self {
        Self { connections: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)), ..self.clone() }
    }
}

/// A listener with what it serves.
#[derive(Debug)]
pub(super) struct Server {
    bound: Bound,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
}

impl Server {
    pub(super) fn new(bound: Bound, router: Router, limits: Limits, shutdown: Shutdown) -> Self {
        Self { bound, router, limits, shutdown }
    }

    /// Accepts until the stop begins, then waits for running requests, at most the grace.
    pub(super) async fn run(mut self) {
        let graceful = GracefulShutdown::new();
        let builder = self.builder();
        loop {
            let permit = tokio::select! {
                permit = self.limits.connections.clone().acquire_owned() => permit,
                () = self.shutdown.stopping() => break,
            };
            let Ok(permit) = permit else { break };
            let accepted = tokio::select! {
                accepted = self.bound.listener.accept() => accepted,
                () = self.shutdown.stopping() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let router = self.router.clone();
                    let builder = builder.clone();
                    let watcher = graceful.watcher();
                    let (clock, patience) = (self.limits.clock.clone(), self.limits.patience);
                    runtime::spawn(async move {
                        let _permit = permit;
                        connection::serve(stream, router, &builder, watcher, clock, patience).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    runtime::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.bound);
        if runtime::timeout(self.limits.grace, graceful.shutdown()).await.is_none() {
            tracing::warn!("some requests did not end within the grace; they are cut off");
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // A client may close its side once its request is sent, and wait for the answer.
            .half_close(true)
            // Hyper's counts from the end of the last request: `connection` has the patience instead.
            .header_read_timeout(None)
            // The head's own limit is kept by `http`. Also the read buffer of bodies, so not smaller than a useful piece.
            .max_buf_size(self.limits.max_header_bytes.max(128 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(self.limits.max_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(Some(Duration::from_secs(20)));
        builder
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::http::ClientEnd;
    use crate::runtime::shutdown_channel;

    /// Serves these routes, and connects to them with a request that is sent already.
    async fn asked(router: Router, request: &str) -> TcpStream {
        let bound = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = bound.address();
        let limits = Limits::new(&ServerConfig::for_testing(), Clock::manual(0));
        let (trigger, shutdown) = shutdown_channel();
        runtime::spawn(async move {
            let _trigger = trigger;
            Server::new(bound, router, limits, shutdown).run().await;
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    #[tokio::test]
    async fn a_client_that_closes_its_side_gets_its_answer() {
        let (entered, mut is_entered) = mpsc::channel(1);
        let (release, released) = mpsc::channel::<()>(1);
        let released = Arc::new(tokio::sync::Mutex::new(released));
        let answer = async move |body: String| {
            entered.send(()).await.unwrap();
            released.lock().await.recv().await.unwrap();
            format!("{body} came")
        };
        let router = Router::new().route("/", post(answer));
        let mut client = asked(router, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nall").await;
        client.shutdown().await.unwrap();
        is_entered.recv().await.unwrap();
        release.send(()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("all came"), "{answer}");
    }

    #[tokio::test]
    async fn work_that_asks_for_it_ends_with_its_client() {
        let (told, mut is_told) = mpsc::channel(2);
        let work = async move |client: ClientEnd| {
            told.send("begun").await.unwrap();
            client.awaited().await;
            told.send("ended").await.unwrap();
        };
        let client = asked(Router::new().route("/", get(work)), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(is_told.recv().await, Some("begun"));
        assert!(is_told.try_recv().is_err(), "the client is there");
        drop(client);
        assert_eq!(is_told.recv().await, Some("ended"));
    }
}
