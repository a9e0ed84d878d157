//! Taking a photo in: a durable copy in the disk store beside the least that makes a file durable, and looking at a photo.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a benchmark stops at what it did not expect.

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use halidom::blobs::{BlobStore, Digests, DiskSettings, DiskStore};
use halidom::imaging;
use halidom::model::{BlobKey, BlobNonce};
use halidom::runtime::{BlockingPool, Runtime};

/// What a connection hands over at once.
const CHUNK_BYTES: usize = 128 * 1024;

fn storing(criterion: &mut Criterion) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let pool = BlockingPool::new("blobs", 64);
    let system = Runtime::system();
    let root = directory.path().join("store");
    let opening = DiskStore::open(&root, system.clone(), pool, DiskSettings::default());
    let store = threads.block_on(opening).unwrap();
    let mut group = criterion.benchmark_group("durable copy");
    group.sample_size(30);
    for size in [50_000_usize, 3_000_000] {
        let bytes = Bytes::from((0..size).map(|place| (place * 31 % 251) as u8).collect::<Vec<u8>>());
        let hash = Digests::of(&bytes).hash;
        group.throughput(Throughput::Bytes(size as u64));
        for (name, expected_bytes) in [("disk store, held", Some(size as u64)), ("disk store, streamed", None)] {
            group.bench_with_input(BenchmarkId::new(name, size), &bytes, |bench, bytes| {
                bench.to_async(&threads).iter_batched(
                    || BlobKey { hash, nonce: BlobNonce::from_random(system.random.bytes()) },
                    |key| {
                        let (store, bytes) = (store.clone(), bytes.clone());
                        async move {
                            let mut staged = store.stage(expected_bytes).await.unwrap();
                            for begin in (0..bytes.len()).step_by(CHUNK_BYTES) {
                                staged.write(bytes.slice(begin..bytes.len().min(begin + CHUNK_BYTES))).await.unwrap();
                            }
                            staged.publish(&key).await.unwrap();
                            store.delete(&key).await.unwrap();
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        let plain = directory.path().join("plain");
        std::fs::create_dir_all(&plain).unwrap();
        group.bench_with_input(BenchmarkId::new("write, fsync, rename, fsync the directory", size), &bytes, |bench, bytes| {
            bench.iter(|| write_plainly(&plain, bytes));
        });
    }
    group.finish();
}

/// What the store has to do at least, and the same deletion.
fn write_plainly(dir: &Path, bytes: &[u8]) {
    let (staged, named) = (dir.join("staged"), dir.join("named"));
    let mut file = std::fs::File::create(&staged).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
    std::fs::rename(&staged, &named).unwrap();
    std::fs::File::open(dir).unwrap().sync_all().unwrap();
    std::fs::remove_file(&named).unwrap();
    std::fs::File::open(dir).unwrap().sync_all().unwrap();
}

fn looking(criterion: &mut Criterion) {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut files: Vec<_> = std::fs::read_dir(photos).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut group = criterion.benchmark_group("look at a photo");
    for file in files.iter().take(4) {
        let bytes = std::fs::read(file).unwrap();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        group.bench_function(name, |bench| bench.iter(|| imaging::inspect(&bytes, &imaging::Limits::default()).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, storing, looking);
criterion_main!(benches);
