//! Listeners: bounded connections, bounded heads, and a stop that lets running requests end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use super::ServerError;
use super::connection::{self, Patience};
use super::streams::Streams;
use crate::config::ServerConfig;
use crate::http::Entrance;
use crate::runtime::{self, Clock, Shutdown, Tasks};

/// Pause after an accept failed (no file descriptor left, mostly), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of the admin listener at once.
const ADMIN_CONNECTIONS: usize = 64;
/// Connections that wait to be accepted, at most.
const BACKLOG: u32 = 1024;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;

/// An address where nothing listens, ours not yet either: who connects is refused. Of two that take the same at the same moment one fails
/// when it is to listen.
#[derive(Debug)]
pub(super) struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
}

/// Takes an address.
pub(super) fn reserve(address: SocketAddr) -> Result<Reserved, ServerError> {
    let bound = || {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        // A server that has just ended must not keep the next one from its port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    let socket = bound().map_err(ServerError::io(format!("listening on {address}")))?;
    Ok(Reserved { socket, address })
}

impl Reserved {
    /// Lets clients connect.
    pub(super) fn listen(self) -> Result<Bound, ServerError> {
        let listening = || {
            let listener = self.socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Bound { listener, address })
        };
        listening().map_err(ServerError::io(format!("listening on {}", self.address)))
    }
}

/// A socket that listens.
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
    entrance: Entrance,
    limits: Limits,
    shutdown: Shutdown,
}

impl Server {
    pub(super) fn new(bound: Bound, entrance: impl Into<Entrance>, limits: Limits, shutdown: Shutdown) -> Self {
        Self { bound, entrance: entrance.into(), limits, shutdown }
    }

    /// Accepts until the stop begins, then waits for running requests, at most the grace. What has not ended by then is given up where it
    /// waits: when this ends, nothing runs but what was begun in tasks of its own, such as uploads whose bytes are whole.
    pub(super) async fn run(mut self) {
        let graceful = GracefulShutdown::new();
        let tasks = Tasks::default();
        let builder = self.builder(&tasks);
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
                    let entrance = self.entrance.clone();
                    let builder = builder.clone();
                    let watcher = graceful.watcher();
                    let (clock, patience) = (self.limits.clock.clone(), self.limits.patience);
                    tasks.spawn(async move {
                        let _permit = permit;
                        connection::serve(stream, entrance, &builder, watcher, clock, patience).await;
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
        tasks.cut().await;
    }

    fn builder(&self, tasks: &Tasks) -> auto::Builder<Streams> {
        let mut builder = auto::Builder::new(Streams::new(tasks.clone(), self.limits.clock.clone(), self.limits.patience.stall));
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
            // Handed to HTTP/2 and not yet to the socket, of each stream.
            .max_send_buf_size(64 << 10)
            // For clients that are gone without a word. A ping waits behind all that is on its way to a slow one.
            .keep_alive_interval(Some(Duration::from_secs(60)))
            .keep_alive_timeout(Duration::from_secs(10 * 60));
        builder
    }
}

#[cfg(test)]
mod tests;
