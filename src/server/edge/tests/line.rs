//! A line to a server that can be cut or led elsewhere, breaks off at questions that it is told not to carry, and counts what comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::Tasks;

pub(super) struct Line {
    address: SocketAddr,
    tasks: Tasks,
    server: Arc<Mutex<Option<SocketAddr>>>,
    carried: Arc<AtomicU64>,
    /// What a question begins with that breaks its connection off.
    refused: Arc<Mutex<Option<&'static str>>>,
}

impl Line {
    pub(super) async fn to(server: SocketAddr) -> Self {
        let line = Self::nowhere().await;
        line.lead_to(server);
        line
    }

    /// One whose connections end at once.
    pub(super) async fn nowhere() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Another at the same place, after this was cut.
    pub(super) async fn mended(self, server: SocketAddr) -> Self {
        let line = Self::at(TcpListener::bind(self.address).await.unwrap());
        line.lead_to(server);
        line
    }

    fn at(listener: TcpListener) -> Self {
        let line = Self {
            address: listener.local_addr().unwrap(),
            tasks: Tasks::default(),
            server: Arc::default(),
            carried: Arc::default(),
            refused: Arc::default(),
        };
        let (connections, server, carried) = (line.tasks.clone(), line.server.clone(), line.carried.clone());
        let refused = line.refused.clone();
        line.tasks.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(server) = *server.lock().unwrap() else { continue };
                let (carried, refused) = (carried.clone(), refused.clone());
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    let ((mut from, mut to), (mut back, mut there)) = (near.split(), far.split());
                    let asking = async {
                        let mut piece = vec![0; 16 << 10];
                        while let Ok(length @ 1..) = from.read(&mut piece).await {
                            // A question comes in one piece.
                            let is_refused = refused.lock().unwrap().is_some_and(|refused| piece[..length].starts_with(refused.as_bytes()));
                            if is_refused || there.write_all(&piece[..length]).await.is_err() {
                                return true;
                            }
                        }
                        let _ = there.shutdown().await;
                        false
                    };
                    let answering = tokio::io::copy(&mut back, &mut to);
                    tokio::pin!(asking, answering);
                    let answered = tokio::select! {
                        answered = &mut answering => answered,
                        broken = &mut asking => if broken { return } else { answering.await },
                    };
                    carried.fetch_add(answered.unwrap_or_default(), Ordering::Relaxed);
                });
            }
        });
        line
    }

    /// Where new connections lead from here on.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = Some(server);
    }

    /// Questions that begin so, such as `GET /v1/me`, break off from here on; `None`: none does.
    pub(super) fn refuse(&self, beginning: Option<&'static str>) {
        *self.refused.lock().unwrap() = beginning;
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
