//! A site in memory that speaks `/v1` far enough to test clients against, and misbehaves on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use crate::api::{self, Album, CreateAlbum, LinkRequest, Linked, Me, Missing, MissingRequest, Page, Photo, PhotoUrls, Problem};
use crate::client::{Client, ClientSettings, RetrySettings};
use crate::model::{AlbumId, BlobHash, PhotoId, TenantId, UserId};
use crate::runtime::{self, Runtime};

/// One misbehaviour, for the next request whose `METHOD /path` holds the text.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status, with a problem and `Retry-After`.
    Status(u16, &'static str),
    /// This status with a problem of this code.
    Problem(u16, &'static str),
    /// The request is carried out, and never answered.
    Silent,
    /// This status as a proxy answers it: without a problem.
    Proxy(u16),
    /// This status, and of its body nothing ever comes.
    HeadOnly(u16),
    /// The request is carried out; the answer breaks off.
    Cut,
    /// The original breaks off after so many bytes.
    CutAfter(usize),
    /// The original comes with its first byte wrong.
    Corrupt,
    /// The whole original comes, though a part was asked for.
    IgnoreRange,
}

#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) albums: BTreeMap<AlbumId, String>,
    /// `None` for the album: in the trash.
    pub(crate) photos: BTreeMap<PhotoId, (Option<AlbumId>, String, BlobHash)>,
    pub(crate) blobs: BTreeMap<BlobHash, Bytes>,
    pub(crate) faults: VecDeque<(&'static str, Fault)>,
    /// What was asked, in order: `PUT /v1/albums/…`.
    pub(crate) asked: Vec<String>,
    pub(crate) ranges: Vec<String>,
    pub(crate) bytes_received: u64,
    pub(crate) items_a_page: usize,
    /// What is answered where an inventory is asked for, in these pieces; `None`: it breaks off.
    pub(crate) inventory: Vec<Option<&'static str>>,
}

/// The site and where it listens; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    site: Arc<Mutex<Site>>,
    pub(crate) url: String,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let site = Arc::new(Mutex::new(Site { items_a_page: 2, ..Site::default() }));
        let router = Router::new()
            .route("/v1/me", get(me))
            .route("/v1/albums", get(albums).post(create_album))
            .route("/v1/albums/{album}", get(album))
            .route("/v1/albums/{album}/photos", get(photos))
            .route("/v1/albums/{album}/photos/link", post(link))
            .route("/v1/albums/{album}/photos/{photo}", put(upload))
            .route("/v1/blobs/missing", post(missing))
            .route("/v1/admin/inventory", get(inventory))
            .route("/v1/photos/{photo}/original", get(original))
            .layer(DefaultBodyLimit::disable())
            .layer(middleware::from_fn_with_state(site.clone(), misbehave))
            .with_state(site.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { site, url }
    }

    pub(crate) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap()
    }

    pub(crate) fn fault(&self, at: &'static str, fault: Fault) {
        self.site().faults.push_back((at, fault));
    }

    /// How many photos (those in the trash too) and albums there are, and how many bytes were ever received.
    pub(crate) fn totals(&self) -> (usize, usize, u64) {
        let site = self.site();
        (site.photos.len(), site.albums.len(), site.bytes_received)
    }

    /// A client that does not wait between its attempts.
    pub(crate) fn client(&self) -> Client {
        let retry = RetrySettings { attempts: 3, first_delay: Duration::ZERO, longest_delay: Duration::ZERO, ..RetrySettings::default() };
        let settings = ClientSettings { retry, ..ClientSettings::default() };
        Client::new(&self.url, Some("secret"), settings, Runtime::simulated(1, 1_800_000_000_000)).unwrap()
    }

    /// How often something was asked.
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.site().asked.iter().filter(|asked| asked.contains(what)).count()
    }

    /// Puts a photo there.
    pub(crate) fn photo(&self, album: AlbumId, name: &str, bytes: &[u8]) -> Photo {
        let hash = BlobHash::of(bytes);
        let id = PhotoId::from_idempotency_key(TenantId::DEFAULT, UserId::DEFAULT, &format!("{name}{hash}"));
        let mut site = self.site();
        site.blobs.insert(hash, Bytes::copy_from_slice(bytes));
        site.photos.insert(id, (Some(album), name.into(), hash));
        site.view(id)
    }
}

impl Site {
    fn view(&self, id: PhotoId) -> Photo {
        let (album, name, hash) = &self.photos[&id];
        let size_bytes = self.blobs[hash].len() as u64;
        Photo {
            id,
            album: album.unwrap_or(AlbumId::ROOT),
            name: name.clone(),
            caption: None,
            hash: *hash,
            size_bytes,
            format: "jpeg".into(),
            width: 1,
            height: 1,
            taken_at: None,
            camera: None,
            gps: None,
            placeholder: None,
            uploaded_at: "2026-11-24T00:00:00Z".into(),
            duplicate: None,
            trashed: album.is_none(),
            durability: None,
            urls: PhotoUrls {
                original: String::new(),
                thumbnail: String::new(),
                preview: String::new(),
                srcset: String::new(),
                iiif: String::new(),
            },
        }
    }

    fn album(&self, id: AlbumId) -> Album {
        let inside = || self.photos.values().filter(|(album, ..)| *album == Some(id));
        Album {
            id,
            name: self.albums[&id].clone(),
            description: None,
            photo_count: inside().count() as u64,
            bytes: inside().map(|(_, _, hash)| self.blobs[hash].len() as u64).sum(),
            created_at: "2026-11-24T00:00:00Z".into(),
        }
    }

    fn owns(&self, hash: &BlobHash) -> bool {
        self.photos.values().any(|(.., other)| other == hash)
    }

    /// As the protocol says: a row of this id, live or trashed, is answered as it is.
    fn make(&mut self, id: PhotoId, album: AlbumId, name: &str, hash: BlobHash) -> (StatusCode, Photo) {
        let existing = self.photos.iter().find(|(_, (place, _, other))| *place == Some(album) && *other == hash).map(|(id, _)| *id);
        match existing {
            Some(existing) => (StatusCode::OK, Photo { duplicate: Some(true), ..self.view(existing) }),
            None if self.photos.contains_key(&id) => (StatusCode::OK, self.view(id)),
            None => {
                self.photos.insert(id, (Some(album), name.into(), hash));
                (StatusCode::CREATED, self.view(id))
            }
        }
    }
}

type Shared = State<Arc<Mutex<Site>>>;

pub(crate) fn problem(status: u16, code: &str) -> Response {
    let problem =
        Problem { kind: "about:blank".into(), title: "No".into(), status, code: code.into(), detail: None, request_id: Some("r1".into()) };
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::from_u16(status).unwrap(), headers, serde_json::to_vec(&problem).unwrap()).into_response()
}

/// The rest of the misbehaviour, for the handler of originals.
#[derive(Clone)]
struct Mangle(Fault);

async fn misbehave(State(site): Shared, mut request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri());
    let fault = {
        let mut site = site.lock().unwrap();
        site.asked.push(what.clone());
        if request.headers().get(header::AUTHORIZATION).is_none_or(|token| token != "Bearer secret") {
            return problem(401, "unauthenticated");
        }
        let place = site.faults.iter().position(|(at, _)| what.contains(at));
        place.and_then(|place| site.faults.remove(place)).map(|(_, fault)| fault)
    };
    match fault {
        None => next.run(request).await,
        Some(Fault::Status(status, retry_after)) => {
            let mut response = problem(status, "injected");
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.parse().unwrap());
            response
        }
        Some(Fault::Problem(status, code)) => problem(status, code),
        Some(Fault::Silent) => {
            next.run(request).await;
            std::future::pending().await
        }
        Some(Fault::HeadOnly(status)) => {
            let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Some(Fault::Proxy(status)) => (StatusCode::from_u16(status).unwrap(), "<html>").into_response(),
        Some(Fault::Cut) => {
            let status = next.run(request).await.status();
            (status, [(header::CONTENT_LENGTH, "100")], broken_off(Bytes::from_static(b"{"))).into_response()
        }
        Some(fault) => {
            request.extensions_mut().insert(Mangle(fault));
            next.run(request).await
        }
    }
}

async fn inventory(State(site): State<Arc<Mutex<Site>>>) -> Body {
    let pieces = site.lock().unwrap().inventory.clone();
    let piece =
        |piece: Option<&'static str>| piece.map(|piece| Bytes::from_static(piece.as_bytes())).ok_or_else(|| std::io::Error::other("cut"));
    Body::from_stream(futures_util::stream::iter(pieces.into_iter().map(piece)))
}

/// A body that ends in the middle.
fn broken_off(beginning: Bytes) -> Body {
    let pieces = [Ok(beginning), Err(std::io::Error::other("cut"))];
    Body::from_stream(futures_util::stream::iter(pieces))
}

async fn me() -> axum::Json<Me> {
    axum::Json(Me { tenant: TenantId::DEFAULT, user: UserId::DEFAULT, scopes: vec![api::Scope::User] })
}

/// Pages of a few items; the cursor is the number of the first.
fn page<T: Clone>(all: &[T], query: &BTreeMap<String, String>, limit: usize) -> axum::Json<Page<T>> {
    let from: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let until = (from + limit).min(all.len());
    axum::Json(Page { items: all[from..until].to_vec(), next: (until < all.len()).then(|| until.to_string()) })
}

async fn albums(State(site): Shared, Query(query): Query<BTreeMap<String, String>>) -> axum::Json<Page<Album>> {
    let site = site.lock().unwrap();
    let named = site.albums.iter().filter(|(_, name)| query.get("name").is_none_or(|wanted| wanted == *name));
    let all: Vec<_> = named.map(|(id, _)| site.album(*id)).collect();
    page(&all, &query, site.items_a_page)
}

async fn create_album(State(site): Shared, axum::Json(request): axum::Json<CreateAlbum>) -> Response {
    let mut site = site.lock().unwrap();
    let id = request.id.unwrap_or_else(|| AlbumId::from_name(TenantId::DEFAULT, UserId::NONE, &request.name));
    if site.albums.get(&id).is_some_and(|name| *name != request.name) {
        return problem(409, "conflict");
    }
    let status = if site.albums.insert(id, request.name).is_none() { StatusCode::CREATED } else { StatusCode::OK };
    (status, axum::Json(site.album(id))).into_response()
}

async fn album(State(site): Shared, Path(album): Path<AlbumId>) -> Response {
    let site = site.lock().unwrap();
    if site.albums.contains_key(&album) { axum::Json(site.album(album)).into_response() } else { problem(404, "not_found") }
}

async fn photos(State(site): Shared, Path(album): Path<AlbumId>, Query(query): Query<BTreeMap<String, String>>) -> axum::Json<Page<Photo>> {
    let site = site.lock().unwrap();
    let inside = site.photos.iter().filter(|(_, (place, ..))| *place == Some(album));
    let all: Vec<_> = inside.map(|(id, _)| site.view(*id)).collect();
    page(&all, &query, site.items_a_page)
}

async fn missing(State(site): Shared, axum::Json(request): axum::Json<MissingRequest>) -> axum::Json<Missing> {
    let site = site.lock().unwrap();
    axum::Json(Missing { missing: request.hashes.into_iter().filter(|hash| !site.owns(hash)).collect() })
}

async fn link(State(site): Shared, Path(album): Path<AlbumId>, axum::Json(request): axum::Json<LinkRequest>) -> axum::Json<Linked> {
    let mut site = site.lock().unwrap();
    let mut linked = Linked { items: Vec::new(), missing: Vec::new() };
    let mut seen = BTreeSet::new();
    for photo in request.photos {
        assert!(seen.insert(photo.hash), "a blob is linked once a call");
        if site.owns(&photo.hash) {
            linked.items.push(site.make(photo.id.unwrap(), album, &photo.name, photo.hash).1);
        } else {
            linked.missing.push(photo.hash);
        }
    }
    axum::Json(linked)
}

async fn upload(
    State(site): Shared,
    Path((album, photo)): Path<(AlbumId, PhotoId)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(text("content-length"), Some(body.len().to_string()), "the length goes ahead");
    let mut site = site.lock().unwrap();
    site.bytes_received += body.len() as u64;
    let hash = BlobHash::of(&body);
    let sha256 = format!("sha-256=:{}:", STANDARD.encode(sha2::Sha256::digest(&body)));
    if text(api::X_BLAKE3).is_some_and(|sent| sent != hash.to_string()) || text("content-digest").is_some_and(|sent| sent != sha256) {
        return problem(400, "digest_mismatch");
    }
    if !body.starts_with(b"IMG") {
        return problem(415, "not_an_image");
    }
    site.blobs.insert(hash, body);
    let (status, photo) = site.make(photo, album, &query["name"], hash);
    (status, axum::Json(photo)).into_response()
}

async fn original(State(site): Shared, Path(photo): Path<PhotoId>, headers: HeaderMap, request: Request) -> Response {
    let mut site = site.lock().unwrap();
    let Some((_, _, hash)) = site.photos.get(&photo).cloned() else { return problem(404, "not_found") };
    let (bytes, etag) = (site.blobs[&hash].clone(), format!("\"{hash}\""));
    let mangle = request.extensions().get::<Mangle>().map(|mangle| mangle.0.clone());
    let range = headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
    let fresh = headers.get(header::IF_RANGE).is_none_or(|tag| tag.to_str().unwrap() == etag);
    let mut from = 0;
    if let Some(range) = range.filter(|_| fresh && !matches!(mangle, Some(Fault::IgnoreRange))) {
        from = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
        site.ranges.push(range);
    }
    let mut part = bytes.slice(from..);
    if matches!(mangle, Some(Fault::Corrupt)) {
        let mut wrong = part.to_vec();
        wrong[0] ^= 1;
        part = wrong.into();
    }
    let mut response = axum::http::Response::builder().header(header::ETAG, etag).header(header::CONTENT_LENGTH, part.len());
    if from > 0 {
        let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    let body = match mangle {
        Some(Fault::CutAfter(length)) => broken_off(part.slice(..length)),
        _ => Body::from(part),
    };
    response.body(body).unwrap()
}
