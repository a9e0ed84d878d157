//! Makes a small store that has something in every column that this version writes, through the same parts as a server.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use halidom::blobs::{BlobStore, DiskSettings, DiskStore, Marker, VerifySettings, VerifyStore};
use halidom::config::Config;
use halidom::imaging::Decoders;
use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{Metadata, MetadataError, MetadataSettings, Read};
use halidom::model::erasure::Erasure;
use halidom::model::photo::{NewPhoto, PhotoView};
use halidom::model::row::{Delta, Row};
use halidom::model::{AlbumId, BlobKey, BlobNonce, Hlc, Origin, PhotoId, RowKey, Seq, Stamp, TenantId};
use halidom::runtime::{BlockingPool, Runtime};
use halidom::service::{
    Caller, Derived, ExpectedDigests, NewTokenRequest, PhotoEdit, PhotoName, Pools, Scope, Secret, Services, UploadRequest, Uploaded,
};

use crate::copy::fixtures;

/// 1 November 2026.
const START_MS: u64 = 1_793_491_200_000;
/// All randomness follows from it: the store holds no real secret.
const SEED: u64 = 1;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A site under way.
struct Site {
    services: Arc<Services>,
    metadata: Metadata,
    store: DiskStore,
    runtime: Runtime,
}

/// One life of the site. Its services and metadata end with it; the engine and the blobs go on.
fn life(engine: &RocksEngine, store: &DiskStore, runtime: &Runtime) -> Site {
    let metadata = Metadata::open(Arc::new(engine.clone()), runtime.clone(), MetadataSettings::default()).unwrap();
    let remember = VerifySettings { remember: Duration::ZERO, capacity: 16 };
    let backend: Arc<dyn BlobStore> = Arc::new(store.clone());
    let verified = VerifyStore::new(backend, runtime.clock.clone(), remember);
    let mut config = Config::for_testing("unused");
    let pools = Pools {
        lookup: BlockingPool::new("lookup", 2),
        metadata: BlockingPool::new("metadata", 2),
        imaging: Decoders::in_threads(BlockingPool::new("imaging", 2), (&config.limits).into()),
        slow: Decoders::in_threads(BlockingPool::new("slow", 1), (&config.limits).into()),
        previews: Decoders::in_threads(BlockingPool::new("previews", 1), (&config.limits).into()),
        inspecting: Decoders::in_threads(BlockingPool::new("inspecting", 2), (&config.limits).into()),
    };
    config.blobs.pin_term = Duration::from_secs(7 * 24 * 3600);
    let services = Services::new(
        metadata.clone(),
        Arc::new(verified),
        Derived { previews: Arc::new(store.clone()), cache: None },
        runtime.clone(),
        pools,
        &config,
    );
    Site { services: Arc::new(services), metadata, store: store.clone(), runtime: runtime.clone() }
}

/// Makes the store in the empty directory `data`.
pub async fn make(data: &Path) {
    let runtime = Runtime::simulated(SEED, START_MS);
    let settings = RocksSettings::default();
    let engine = RocksEngine::open(&data.join("making"), &settings).unwrap();
    let store =
        DiskStore::open(&data.join("blobs"), runtime.clone(), BlockingPool::new("blobs", 2), DiskSettings::default()).await.unwrap();
    let first = life(&engine, &store, &runtime);
    store.claim(None, Marker { site: first.metadata.site(), epoch: 1 }).await.unwrap();
    let secret = first.services.fresh_secret();
    fs::write(data.join("admin.token"), format!("{}\n", secret.reveal())).unwrap();
    first.services.create_first_token(&secret).await.unwrap();
    let [anna, bernd] = first.users(&secret).await;
    first.summer(&anna).await;
    first.services.write_token_uses().await.unwrap();
    first.metadata.close();

    // A restart: the log goes on under another origin, which names this one.
    runtime.clock.advance(DAY);
    let second = life(&engine, &store, &runtime);
    second.copies(&bernd).await;
    second.changes(&anna).await;
    second.other_sites(&anna).await;
    second.metadata.close();

    engine.compact().unwrap();
    // Tables alone: no log, no lock, nothing that says where it was made.
    second.metadata.checkpoint(&data.join("metadata")).unwrap();
    drop((first, second, engine));
    fs::remove_dir_all(data.join("making")).unwrap();
}

impl Site {
    async fn users(&self, secret: &Secret) -> [Caller; 2] {
        let admin = self.services.authenticate(secret, None, Some("request-1".to_owned())).await.unwrap();
        let mut callers = vec![];
        for name in ["anna", "bernd"] {
            let user = self.services.create_user(&admin, TenantId::DEFAULT, name).await.unwrap();
            let request = NewTokenRequest {
                owner: user.owner(),
                scopes: [Scope::User, Scope::Read].into_iter().collect(),
                label: Some(format!("{name}'s phone")),
                expires_in_seconds: (name == "bernd").then_some(365 * 24 * 3600),
            };
            let (_, secret) = self.services.create_token(&admin, request).await.unwrap();
            callers.push(self.services.authenticate(&secret, None, None).await.unwrap());
        }
        callers.try_into().unwrap()
    }

    async fn album(&self, caller: &Caller, name: &str, description: Option<&str>) -> AlbumId {
        self.services.create_album(caller, None, name, description).await.unwrap().0.view.id
    }

    async fn send(&self, caller: &Caller, album: AlbumId, file: &str, id: PhotoName) -> Uploaded {
        self.runtime.clock.advance(Duration::from_secs(7));
        let bytes = Bytes::from(fs::read(fixtures().join("photos").join(file)).unwrap());
        let request = UploadRequest {
            caller: caller.clone(),
            album,
            name: file.to_owned(),
            id,
            expected: ExpectedDigests::default(),
            size_bytes: Some(bytes.len() as u64),
        };
        self.services.upload(request, stream::iter([Ok(bytes)])).await.unwrap()
    }

    /// Everyday life: two albums, a caption, a move, the trash.
    async fn summer(&self, anna: &Caller) {
        let sea = self.album(anna, "Ferien 2026 – Nordsee", Some("Zwei Wochen Wind")).await;
        let rest = self.album(anna, "Rest", None).await;
        self.send(anna, sea, "Ferien am Meer – été.jpg", PhotoName::Fresh).await;
        let clock = self.send(anna, sea, "clock.jpg", PhotoName::Fresh).await.photo;
        self.send(anna, sea, "brick.jpg", PhotoName::Fresh).await;
        let turned = self.send(anna, rest, "orientation-6.jpg", PhotoName::Fresh).await.photo;
        let astronaut = self.send(anna, rest, "astronaut.jpg", PhotoName::Fresh).await.photo;
        let edit = PhotoEdit { name: Some("Uhr.jpg".to_owned()), caption: Some("tickt".to_owned()), album: None };
        self.services.edit_photo(anna, clock.id, edit).await.unwrap();
        let to_sea = PhotoEdit { name: None, caption: None, album: Some(sea) };
        self.services.edit_photo(anna, turned.id, to_sea).await.unwrap();
        self.services.trash_photo(anna, astronaut.id).await.unwrap();
    }

    /// The same bytes for another user, and an upload that was tried twice.
    async fn copies(&self, bernd: &Caller) {
        let album = self.album(bernd, "Copies", None).await;
        self.send(bernd, album, "clock.jpg", PhotoName::Fresh).await;
        let key = || PhotoName::Key("phone-0001".to_owned());
        let once = self.send(bernd, album, "rocket.jpg", key()).await;
        let again = self.send(bernd, album, "rocket.jpg", key()).await;
        assert_eq!((once.created, again.created, once.photo.id), (true, false, again.photo.id));
        let hashes = vec![once.photo.hash];
        assert_eq!(self.services.missing(bernd, hashes).await.unwrap(), []);
    }

    /// What no call of this release does yet, but the metadata knows: purges, erasures, a copy that waits for its deletion.
    async fn changes(&self, anna: &Caller) {
        let owner = anna.owner;
        let gone = self.album(anna, "Gone", None).await;
        let purged = self.send(anna, gone, "brick.jpg", PhotoName::Fresh).await.photo.id;
        let erased = self.send(anna, gone, "clock.jpg", PhotoName::Fresh).await.photo;
        let purge = self.metadata.write("purge", move |tx| -> Result<(), MetadataError> {
            let deltas = tx.photo(owner, purged)?.as_ref().map(PhotoView::purge).unwrap_or_default();
            tx.apply_all(deltas)
        });
        purge.await.unwrap();
        self.metadata.write("erase", move |tx| tx.erase(Erasure::Row(erased.key))).await.unwrap();
        self.services.trash_album(anna, gone).await.unwrap();

        let key = BlobKey { hash: erased.hash, nonce: BlobNonce::from_random(self.runtime.random.bytes()) };
        let mut staged = self.store.stage(None).await.unwrap();
        staged.write(fs::read(fixtures().join("photos/clock.jpg")).unwrap().into()).await.unwrap();
        staged.digests().await.unwrap();
        staged.publish(&key).await.unwrap();
        assert!(self.metadata.write("doom", move |tx| tx.doom(key)).await.unwrap());
    }

    /// What only another site brings about: one id for two photos, and a deletion that came before what it deletes.
    async fn other_sites(&self, anna: &Caller) {
        let owner = anna.owner;
        let albums = self.metadata.read().list_albums(owner, None, 10).unwrap().items;
        let sea = albums.iter().map(|(album, _)| album).find(|album| album.name.starts_with("Ferien")).unwrap().id;
        let photos = self.metadata.read().list_photos(owner, sea, None, 10).unwrap().items;
        let find = |name: &str| photos.iter().find(|photo| photo.name == name).unwrap().clone();
        let (same_id, other_bytes) = (find("brick.jpg").id, find("Uhr.jpg"));
        let new = NewPhoto {
            hash: other_bytes.hash,
            size_bytes: other_bytes.size_bytes,
            format: other_bytes.format,
            width: other_bytes.width,
            height: other_bytes.height,
            orientation: other_bytes.orientation,
            sha256: other_bytes.sha256,
            crc32: other_bytes.crc32,
            taken_at: other_bytes.taken_at,
            camera_make: None,
            camera_model: None,
            lens: None,
            gps: None,
            placeholder: None,
            perceptual_hash: None,
        };
        let clash = self.metadata.write("clash", move |tx| tx.apply(new.create(owner, same_id, tx.stamp(), sea, "other.jpg", None)));
        clash.await.unwrap();
        let ahead = Stamp { hlc: Hlc(START_MS << 16), origin: Origin([3; 16]), seq: Seq(1) };
        let key = RowKey::photo(owner, PhotoId::from_bytes([7; 16]));
        self.metadata.write("stub", move |tx| tx.apply(Delta { key, birth: ahead, row: Row::Dead })).await.unwrap();
    }
}
