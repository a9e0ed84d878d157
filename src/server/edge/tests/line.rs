//! A line to a server that can be cut or led elsewhere, and counts what comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

use crate::runtime::Tasks;

pub(super) struct Line {
    address: SocketAddr,
    tasks: Tasks,
    server: Arc<Mutex<Option<SocketAddr>>>,
    carried: Arc<AtomicU64>,
}

impl Line {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let line = Self::nowhere().await;
        line.lead_to(server);
        line
    }

    /// One whose connections end at once.
    pub(super) async fn nowhere() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line =
            Self { address: listener.local_addr().unwrap(), tasks: Tasks::default(), server: Arc::default(), carried: Arc::default() };
        let (connections, server, carried) = (line.tasks.clone(), line.server.clone(), line.carried.clone());
        line.tasks.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(server) = *server.lock().unwrap() else { continue };
                let carried = carried.clone();
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    if let Ok((_, back)) = tokio::io::copy_bidirectional(&mut near, &mut far).await {
                        carried.fetch_add(back, Ordering::Relaxed);
                    }
                });
            }
        });
        line
    }

    /// Where new connections lead from here on.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = Some(server);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that came back by connections that have ended.
    pub(super) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    pub(super) async fn cut(&self) {
        self.tasks.cut().await;
    }
}
