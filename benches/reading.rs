//! Giving a blob out: the checked read and the remembered one of the disk store, beside a plain read of the same file.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a benchmark stops at what it did not expect.

use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halidom::blobs::{BlobStore, Digests, DiskSettings, DiskStore, VerifySettings, VerifyStore, path};
use halidom::model::{BlobKey, BlobNonce};
use halidom::runtime::{BlockingPool, Runtime};

const SIZE_BYTES: usize = 3_000_000;
/// What a download reads at once.
const PIECE_BYTES: usize = 128 * 1024;

async fn read(store: &impl BlobStore, key: &BlobKey) -> u64 {
    let copy = store.open(key).await.unwrap();
    let mut offset = 0;
    while offset < copy.size_bytes() {
        let length = PIECE_BYTES.min((copy.size_bytes() - offset) as usize);
        offset += copy.read_at(offset, length).await.unwrap().len() as u64;
    }
    offset
}

fn reading(criterion: &mut Criterion) {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = directory.path().join("store");
    let system = Runtime::system();
    let opening = DiskStore::open(&root, system.clone(), BlockingPool::new("blobs", 64), DiskSettings::default());
    let store = threads.block_on(opening).unwrap();
    let bytes = Bytes::from((0..SIZE_BYTES).map(|place| (place * 31 % 251) as u8).collect::<Vec<u8>>());
    let key = BlobKey { hash: Digests::of(&bytes).hash, nonce: BlobNonce::from_random(system.random.bytes()) };
    threads.block_on(async {
        let mut staged = store.stage(None).await.unwrap();
        staged.write(bytes.clone()).await.unwrap();
        staged.publish(&key).await.unwrap();
    });
    let verify = |remember| VerifyStore::new(store.clone(), system.clock.clone(), VerifySettings { remember, capacity: 100 });
    let (remembering, forgetting) = (verify(Duration::from_secs(3600)), verify(Duration::ZERO));

    let mut group = criterion.benchmark_group("read 3 MB from the page cache");
    group.throughput(Throughput::Bytes(SIZE_BYTES as u64));
    group.bench_function("a file, plainly", |bench| bench.iter(|| std::fs::read(root.join(path::copy(&key))).unwrap().len()));
    group.bench_function("disk store, unchecked", |bench| bench.to_async(&threads).iter(|| read(&store, &key)));
    group.bench_function("checked lately", |bench| bench.to_async(&threads).iter(|| read(&remembering, &key)));
    group.bench_function("checked now", |bench| bench.to_async(&threads).iter(|| read(&forgetting, &key)));
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
