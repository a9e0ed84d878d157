//! The service over stores in memory, where every call of the backend can be seen and made to fail.

mod clearing;
mod crowd;
mod kept_previews;
mod lookups;
mod previews;
mod reading;
mod renders;
mod scans;
mod signatures;
mod stalls;
mod upload;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;

use super::*;
use crate::blobs::{BlobError, DerivedStore, Marker, MemoryStore, ObservedCall, ObservedStore, Operation, StoreObserver, VerifySettings};
use crate::imaging::Decoders;
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{Metadata, MetadataError, MetadataSettings, Read};
use crate::model::{AlbumId, BlobHash, BlobKey, Owner, PhotoId, SiteId, TenantId, TokenId};

const START_MS: u64 = 1_800_000_000_000;

/// A call of the backend and the bytes that it carried.
type Called = (Operation, u64);

#[derive(Debug, Default)]
struct Calls(Mutex<Vec<Called>>);

impl StoreObserver for Calls {
    fn called(&self, call: &ObservedCall<'_>) {
        self.0.lock().unwrap().push((call.operation, call.bytes));
    }
}

struct Site {
    store: MemoryStore,
    calls: Arc<Calls>,
    engine: MemoryEngine,
    metadata: Metadata,
    runtime: Runtime,
    services: Arc<Services>,
}

impl Site {
    fn new(seed: u64) -> Self {
        Self::with_cache(seed, None)
    }

    fn with_cache(seed: u64, cache: Option<RenditionDisk>) -> Self {
        let store = MemoryStore::new();
        let derived = Derived { previews: Arc::new(store.clone()), cache };
        Self::assembled(seed, store, derived, &Config::for_testing("/nowhere"))
    }

    /// One that makes small renditions of large photos from previews, which are kept here, and has a queue as long as a server's.
    fn with_previews(seed: u64, previews: Arc<dyn DerivedStore>) -> Self {
        let mut config = Config::for_testing("/nowhere");
        config.renditions.previews = true;
        config.renditions.queue_limit = 256;
        config.renditions.deadline = Duration::from_secs(600);
        Self::assembled(seed, MemoryStore::new(), Derived { previews, cache: None }, &config)
    }

    fn assembled(seed: u64, store: MemoryStore, derived: Derived, config: &Config) -> Self {
        let runtime = Runtime::simulated(seed, START_MS);
        let engine = MemoryEngine::new();
        let metadata = Metadata::open(Arc::new(engine.clone()), runtime.clone(), MetadataSettings::default()).unwrap();
        let calls = Arc::<Calls>::default();
        let backend: Arc<dyn BlobStore> = Arc::new(ObservedStore::new(store.clone(), runtime.clock.clone(), calls.clone()));
        let verified = VerifyStore::new(backend, runtime.clock.clone(), VerifySettings::default());
        let blobs = Arc::new(verified.keeping_trees_in(Arc::new(store.clone())));
        let pools = Pools {
            lookup: BlockingPool::new("lookup", 1),
            metadata: BlockingPool::new("metadata", 1),
            imaging: Decoders::in_threads(BlockingPool::new("imaging", 1), (&config.limits).into()),
            slow: Decoders::in_threads(BlockingPool::new("slow", 1), (&config.limits).into()),
            previews: Decoders::in_threads(BlockingPool::new("previews", 1), (&config.limits).into()),
            inspecting: Decoders::in_threads(BlockingPool::new("inspecting", 1), (&config.limits).into()),
        };
        let services = Arc::new(Services::new(metadata.clone(), blobs, derived, runtime.clone(), pools, config));
        Self { store, calls, engine, metadata, runtime, services }
    }

    /// A new user, and an album of theirs.
    async fn user(&self, name: &str) -> (Caller, AlbumId) {
        let caller =
            |owner, scope| Caller { owner, token: TokenId::from_bytes([1; 16]), scopes: [scope].into_iter().collect(), request_id: None };
        let admin = caller(Owner::DEFAULT, Scope::Admin);
        let user = self.services.create_user(&admin, TenantId::DEFAULT, name).await.unwrap();
        let user = caller(user.owner(), Scope::User);
        let album = self.services.create_album(&user, None, "Album", None).await.unwrap().0.view.id;
        (user, album)
    }

    async fn send(&self, (caller, album): &(Caller, AlbumId), id: PhotoName, bytes: &Bytes) -> Result<Uploaded, ServiceError> {
        let request = UploadRequest {
            caller: caller.clone(),
            album: *album,
            name: "one.jpg".to_owned(),
            id,
            expected: ExpectedDigests::default(),
            size_bytes: Some(bytes.len() as u64),
        };
        self.services.upload(request, stream::iter([Ok(bytes.clone())])).await
    }

    /// The calls of the backend since the last look.
    fn calls(&self) -> Vec<Called> {
        std::mem::take(&mut *self.calls.0.lock().unwrap())
    }

    /// The copy that counts.
    fn named(&self, bytes: &[u8]) -> BlobKey {
        self.metadata.read().blob(&BlobHash::of(bytes)).unwrap().unwrap().key
    }

    fn is_damaged(&self, bytes: &[u8]) -> bool {
        self.metadata.read().blob(&BlobHash::of(bytes)).unwrap().unwrap().damaged
    }
}

/// A photo, another one of the same length for every number.
fn photo(number: u8) -> Bytes {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/clock.jpg");
    commented(std::fs::read(path).unwrap(), number)
}

/// One that is long enough to have a preview, and has few pixels.
fn large_photo(number: u8) -> Bytes {
    photo_of((1_920, 160), number)
}

/// One of this size.
fn photo_of((width, height): (usize, usize), number: u8) -> Bytes {
    let tile = turbojpeg::decompress(&photo(0), turbojpeg::PixelFormat::RGB).unwrap();
    // The photo again and again.
    let mut pixels = Vec::with_capacity(width * height * 3);
    for row in tile.pixels.chunks(tile.pitch).cycle().take(height) {
        let end = pixels.len() + width * 3;
        while pixels.len() < end {
            let bytes = (tile.width * 3).min(end - pixels.len());
            pixels.extend_from_slice(&row[..bytes]);
        }
    }
    let image = turbojpeg::Image { pixels: pixels.as_slice(), width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
    commented(turbojpeg::compress(image, 85, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec(), number)
}

fn commented(mut bytes: Vec<u8>, number: u8) -> Bytes {
    // A comment, behind the first segment.
    let first = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    bytes.splice(first..first, [0xff, 0xfe, 0, 3, number]);
    bytes.into()
}
