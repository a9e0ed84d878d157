use std::sync::Mutex;

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::blobs::{ObservedCall, ObservedStore, Operation, StoreObserver};
use crate::http::ClientEnd;
use crate::metadata::Read;
use crate::model::{Owner, TokenId};
use crate::runtime::{Gone, Runtime, ShutdownTrigger, shutdown_channel};
use crate::service::{Caller, ExpectedDigests, PhotoName, Scope, UploadRequest, site_with};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A listener that is to stop, and to cut off what has not ended by then.
struct Served {
    address: SocketAddr,
    stop: ShutdownTrigger,
    ended: BoxFuture<'static, Result<(), Gone>>,
}

impl Served {
    async fn begin(router: Router) -> Self {
        Self::begin_with(router, ServerConfig::for_testing(), Clock::manual(0)).await
    }

    async fn begin_with(router: Router, config: ServerConfig, clock: Clock) -> Self {
        let bound = reserve(([127, 0, 0, 1], 0).into()).unwrap().listen().unwrap();
        let address = bound.address();
        let config = ServerConfig { shutdown_grace: Duration::from_millis(1), ..config };
        let (stop, shutdown) = shutdown_channel();
        let limits = Limits::new(&config, clock);
        Self { address, stop, ended: Box::pin(runtime::spawn_joined(Server::new(bound, router, limits, shutdown).run())) }
    }

    /// A connection with a request that is sent already.
    async fn asked(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    /// Stops it, and waits until it has.
    async fn stop(self) {
        self.stop.stop();
        self.ended.await.unwrap();
    }
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_alone() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    let router = Router::new().route("/", get(|| async { vec![7_u8; 100_000] })).route("/empty", get(|| async {}));
    let config = ServerConfig { stall_timeout: Duration::from_millis(1), ..ServerConfig::for_testing() };
    let served = Served::begin_with(router, config, Runtime::system().clock).await;
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // A window of one byte for each stream: enough for hyper to hand over a piece.
    client.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])).await.unwrap();
    // GET http://x/: indices of the static table (RFC 7541), and an authority.
    let head = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
    client.write_all(&frame(HEADERS, 5, 1, &head)).await.unwrap();
    let next = async |client: &mut TcpStream| {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        client.read_exact(&mut payload).await.unwrap();
        (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]))
    };
    while next(&mut client).await != (RST_STREAM, 1) {}
    // The connection goes on.
    let path = [0x82, 0x86, 0x44, 6, b'/', b'e', b'm', b'p', b't', b'y', 0x41, 1, b'x'];
    client.write_all(&frame(HEADERS, 5, 3, &path)).await.unwrap();
    while next(&mut client).await != (HEADERS, 3) {}
    served.stop().await;
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
    let served = Served::begin(router).await;
    let mut client = served.asked("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nall").await;
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
    let served = Served::begin(Router::new().route("/", get(work))).await;
    let client = served.asked(GET).await;
    assert_eq!(is_told.recv().await, Some("begun"));
    assert!(is_told.try_recv().is_err(), "the client is there");
    drop(client);
    assert_eq!(is_told.recv().await, Some("ended"));
}

/// Routes whose requests say that they have begun and never end, and a channel that closes once none of them is left.
fn endless() -> (Router, mpsc::Receiver<()>) {
    let (told, is_told) = mpsc::channel(1);
    let work = async move || {
        told.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    (Router::new().route("/", get(work)), is_told)
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_off_at_the_graces_end() {
    let (router, mut is_told) = endless();
    let served = Served::begin(router).await;
    let mut client = served.asked(GET).await;
    assert_eq!(is_told.recv().await, Some(()));
    served.stop().await;
    assert_eq!(is_told.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "nothing of it is left");
    let mut answer = Vec::new();
    // An end or a reset, but no answer.
    let _ = client.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn so_are_the_streams_of_http_2() {
    let (router, mut is_told) = endless();
    let served = Served::begin(router).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().tls_certs_only([]).build().unwrap();
    let url = format!("http://{}/", served.address);
    let asking = [client.get(&url), client.get(&url)].map(|request| runtime::spawn_joined(request.send()));
    assert_eq!((is_told.recv().await, is_told.recv().await), (Some(()), Some(())));
    served.stop().await;
    assert_eq!(is_told.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "nothing of them is left");
    for asked in asking {
        assert!(asked.await.unwrap().is_err());
    }
}

/// Holds up what has been published until it is let go.
#[derive(Debug)]
struct HoldsPublished {
    reached: Mutex<Option<oneshot::Sender<()>>>,
    release: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl StoreObserver for HoldsPublished {
    fn called(&self, call: &ObservedCall<'_>) {
        if call.operation == Operation::Publish {
            self.reached.lock().unwrap().take().unwrap().send(()).unwrap();
            self.release.lock().unwrap().recv().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_whole_is_kept_though_its_request_is_cut_off() {
    let ((reached, is_reached), (release, is_released)) = (oneshot::channel(), std::sync::mpsc::channel());
    let holding = HoldsPublished { reached: Mutex::new(Some(reached)), release: Mutex::new(is_released) };
    let (_, metadata, _, services) = site_with(|store| Arc::new(ObservedStore::new(store, Clock::manual(0), Arc::new(holding))));
    let scopes = [Scope::User].into_iter().collect();
    let caller = Caller { owner: Owner::DEFAULT, token: TokenId::from_bytes([1; 16]), scopes, request_id: None };
    let album = services.create_album(&caller, None, "album", None).await.unwrap().0.view.id;
    let request = UploadRequest {
        caller,
        album,
        name: "a.jpg".to_owned(),
        id: PhotoName::Fresh,
        expected: ExpectedDigests::default(),
        size_bytes: None,
    };
    let uploading = services.clone();
    let upload = async move |body: Bytes| drop(uploading.upload(request, stream::iter([Ok(body)])).await);
    let served = Served::begin(Router::new().route("/", post(upload))).await;

    let photo = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/clock.jpg")).unwrap();
    let mut client = served.asked(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", photo.len())).await;
    client.write_all(&photo).await.unwrap();
    is_reached.await.unwrap();
    served.stop().await;
    assert_eq!(metadata.read().stats().unwrap().photos, 0, "it is under way");
    release.send(()).unwrap();
    assert!(services.finish_uploads(Duration::from_secs(60)).await);
    metadata.close();
    let stats = metadata.read().stats().unwrap();
    assert_eq!((stats.photos, stats.blobs, stats.doomed), (1, 1, 0));
}
