//! The metadata: commits by so many at once, beside bare synced RocksDB writes of as many bytes; looking photos up; listing an album.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a benchmark stops at what it did not expect.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{Metadata, MetadataError, MetadataSettings, NewBlob, PlaceError, Read};
use halidom::model::album::NewAlbum;
use halidom::model::photo::NewPhoto;
use halidom::model::{AlbumId, BlobHash, Owner, PhotoId, Sha256, TenantId, UserId};
use halidom::runtime::Runtime;

/// Bytes of a batch that an upload writes, about: for the peer.
const BATCH_BYTES: usize = 1_200;
const PHOTOS: u64 = 2_000;

fn owner() -> Owner {
    Owner { tenant: TenantId::DEFAULT, user: UserId::DEFAULT }
}

fn album() -> AlbumId {
    AlbumId::from_bytes([7; 16])
}

fn photo(number: u64) -> (PhotoId, NewPhoto) {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let photo = NewPhoto {
        hash: BlobHash::of(&number.to_be_bytes()),
        size_bytes: 3_000_000,
        format: "jpeg".to_owned(),
        width: 4_000,
        height: 3_000,
        orientation: 1,
        sha256: Sha256::from_bytes([1; 32]),
        crc32: 7,
        taken_at: Some("2024-07-01T12:00:00+02:00".to_owned()),
        camera_make: Some("Canon".to_owned()),
        camera_model: Some("Canon EOS 5D Mark IV".to_owned()),
        lens: Some("EF24-70mm f/2.8L II USM".to_owned()),
        gps: None,
        placeholder: Some(vec![5; 25]),
        perceptual_hash: None,
    };
    (PhotoId::from_bytes(id), photo)
}

/// What an upload commits once its bytes are durable.
async fn upload(metadata: &Metadata, number: u64) {
    let (id, photo) = photo(number);
    let in_flight = metadata.begin_copy(photo.hash);
    let blob = NewBlob::raw(in_flight.key(), photo.size_bytes, photo.sha256, photo.crc32);
    let written = metadata.write("upload", move |tx| -> Result<(), MetadataError> {
        match tx.place_blob(&in_flight, blob, None) {
            Ok(_) | Err(PlaceError::Recheck { .. }) => {}
            Err(PlaceError::Failed(error)) => return Err(error),
        }
        let stamp = tx.stamp();
        tx.apply(photo.create(owner(), id, stamp, album(), &format!("IMG_{number:04}.JPG"), None))
    });
    written.await.unwrap();
}

fn metadata(criterion: &mut Criterion) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let engine = RocksEngine::open(&directory.path().join("metadata"), &RocksSettings::default()).unwrap();
    let metadata = Metadata::open(Arc::new(engine), Runtime::system(), MetadataSettings::default()).unwrap();
    threads.block_on(async {
        let made = metadata.write("album", |tx| -> Result<(), MetadataError> {
            let stamp = tx.stamp();
            tx.apply(NewAlbum { name: "bench".to_owned(), description: String::new() }.create(owner(), album(), stamp))
        });
        made.await.unwrap();
        join_all((0..PHOTOS).map(|number| upload(&metadata, number))).await;
    });
    let peer = rocksdb::DB::open_default(directory.path().join("peer")).unwrap();
    let mut synced = rocksdb::WriteOptions::default();
    synced.set_sync(true);

    let mut next = PHOTOS;
    let mut group = criterion.benchmark_group("durable commits");
    group.sample_size(30);
    for at_once in [1_u64, 32] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_with_input(BenchmarkId::new("uploads", at_once), &at_once, |bench, at_once| {
            bench.iter(|| {
                threads.block_on(join_all((next..next + at_once).map(|number| upload(&metadata, number))));
                next += at_once;
            });
        });
        group.bench_with_input(BenchmarkId::new("bare synced batches, from threads", at_once), &at_once, |bench, at_once| {
            bench.iter(|| {
                #[allow(clippy::disallowed_methods)] // Bare threads are the measure.
                std::thread::scope(|scope| {
                    for number in 0..*at_once {
                        let (peer, synced) = (&peer, &synced);
                        let key = (next + number).to_be_bytes();
                        scope.spawn(move || peer.put_opt(key, [7; BATCH_BYTES], synced).unwrap());
                    }
                });
                next += at_once;
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("lookups");
    let mut at = 0;
    group.bench_function("a photo by its id", |bench| {
        bench.iter(|| {
            at = (at + 7_919) % PHOTOS;
            metadata.read().photo(owner(), photo(at).0).unwrap().unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, metadata);
criterion_main!(benches);
