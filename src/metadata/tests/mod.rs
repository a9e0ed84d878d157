//! The store as a whole, over the memory engine and RocksDB.

mod blobs;
mod checking;
mod engines;
mod exchange;
mod group;
mod opening;
mod random;

use std::sync::Arc;
use std::sync::mpsc;

use super::engine::Engine;
use super::memory::MemoryEngine;
use super::*;
use crate::model::album::NewAlbum;
use crate::model::photo::NewPhoto;
use crate::model::set_hash::SetKey;
use crate::model::{AlbumId, BlobHash, Owner, PerceptualHash, PhotoId, Sha256, Stamp, TenantId, UserId, WallMs};
use crate::runtime::Runtime;

const START_MS: u64 = 1_700_000_000_000;

fn open_over(engine: impl Engine + 'static, seed: u64) -> Metadata {
    open_with(Arc::new(engine), &Runtime::simulated(seed, START_MS), 64)
}

fn open_with(engine: Arc<dyn Engine>, runtime: &Runtime, queue_limit: usize) -> Metadata {
    let settings = MetadataSettings { queue_limit, set_key: Some(SetKey([7; 32])), ..MetadataSettings::default() };
    Metadata::open(engine, runtime.clone(), settings).unwrap()
}

fn owner(n: u8) -> Owner {
    Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([n; 16]) }
}

fn album(n: u8) -> AlbumId {
    AlbumId::from_bytes([n; 16])
}

fn photo(n: u8) -> PhotoId {
    PhotoId::from_bytes([n; 16])
}

fn hash(n: u8) -> BlobHash {
    BlobHash::of(&[n])
}

/// How blob `n` looks: all are alike, no two the same.
fn look(n: u8) -> PerceptualHash {
    PerceptualHash(0x5555_aaaa_3333_cc00 + u64::from(n))
}

/// A photo of blob `n`.
fn new_photo(n: u8) -> NewPhoto {
    NewPhoto {
        hash: hash(n),
        size_bytes: 1000 + u64::from(n),
        format: "jpeg".to_owned(),
        width: 40,
        height: 30,
        orientation: 1,
        sha256: Sha256::from_bytes([n; 32]),
        crc32: n.into(),
        taken_at: None,
        camera_make: None,
        camera_model: None,
        lens: None,
        gps: None,
        placeholder: None,
        perceptual_hash: Some(look(n)),
    }
}

fn new_blob(in_flight: &InFlight, n: u8) -> NewBlob {
    NewBlob::raw(in_flight.key(), 1000 + u64::from(n), Sha256::from_bytes([n; 32]), n.into())
}

/// What the uploads of these tests answer.
#[derive(Debug, PartialEq)]
enum Refused {
    Exists,
    Recheck,
    SendBytes,
    Store(MetadataError),
}

impl From<MetadataError> for Refused {
    fn from(error: MetadataError) -> Self {
        Self::Store(error)
    }
}

impl From<PlaceError> for Refused {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Recheck { .. } => Self::Recheck,
            PlaceError::Failed(error) => Self::Store(error),
        }
    }
}

impl From<RequireError> for Refused {
    fn from(error: RequireError) -> Self {
        match error {
            RequireError::SendBytes => Self::SendBytes,
            RequireError::Failed(error) => Self::Store(error),
        }
    }
}

/// Uploads blob `n` as photo `id` of an album, the copy that counts (if any) having been verified before.
async fn upload(metadata: &Metadata, owner: Owner, album: AlbumId, id: PhotoId, n: u8) -> Result<(Placed, Stamp), WriteError<Refused>> {
    let in_flight = metadata.begin_copy(hash(n));
    let verified = metadata.read().blob(&hash(n)).unwrap().map(|row| row.key);
    metadata
        .write("upload", move |tx| {
            if tx.photo_or_trashed(owner, id)?.is_some() {
                return Err(Refused::Exists);
            }
            let placed = tx.place_blob(&in_flight, new_blob(&in_flight, n), verified)?;
            let at = tx.stamp();
            tx.apply(new_photo(n).create(owner, id, at, album, "a.jpg", None))?;
            Ok((placed, at))
        })
        .await
}

async fn create_album(metadata: &Metadata, owner: Owner, id: AlbumId, name: &str) {
    let new = NewAlbum { name: name.to_owned(), description: String::new() };
    metadata.write("create album", move |tx| tx.apply(new.create(owner, id, tx.stamp()))).await.unwrap();
}

/// Everything derived is what follows from the rows.
fn assert_sound(metadata: &Metadata) -> check::Checked {
    let mut findings = vec![];
    let checked = check::check(&metadata.read(), &mut |finding| findings.push(finding.to_string())).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    checked
}

/// Holds the writer until it is let go, so that what is sent meanwhile becomes one group.
struct Held(mpsc::Sender<()>);

impl Held {
    async fn new(metadata: &Metadata) -> Self {
        let (go, wait) = mpsc::channel();
        let (begun, begin) = tokio::sync::oneshot::channel();
        let metadata = metadata.clone();
        let request = async move {
            let hold = move |_: &mut Transaction<'_>| {
                let _ = begun.send(());
                let _ = wait.recv();
                Ok::<_, MetadataError>(())
            };
            metadata.write("hold", hold).await.unwrap();
        };
        crate::runtime::spawn(request);
        begin.await.unwrap();
        Self(go)
    }

    fn release(self) {
        self.0.send(()).unwrap();
    }
}
