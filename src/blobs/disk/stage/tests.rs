//! What is held, gathered and streamed.

use super::*;
use crate::blobs::{DiskPools, DiskSettings, DiskStore};
use crate::runtime::{BlockingPool, Runtime};

const GATHER_BYTES: usize = 100_000;

/// A store that gathers 100,000 bytes and holds 1 MiB, and the directory that it lies in.
async fn store() -> (tempfile::TempDir, DiskStore) {
    store_at(Runtime::system()).await
}

async fn store_at(runtime: Runtime) -> (tempfile::TempDir, DiskStore) {
    let directory = tempfile::tempdir().unwrap();
    let settings = DiskSettings { gather_bytes: GATHER_BYTES, hold_bytes: 1 << 20, ..DiskSettings::default() };
    let opened = DiskStore::open(directory.path(), runtime, BlockingPool::new("blobs", 2), settings).await;
    (directory, opened.unwrap())
}

fn receiving(store: &DiskStore, expected_bytes: Option<u64>) -> DiskStaged {
    DiskStaged::new(store.shared.clone(), store.lanes.clone(), expected_bytes)
}

fn in_staging(directory: &tempfile::TempDir) -> usize {
    std::fs::read_dir(directory.path().join("staging")).unwrap().count()
}

#[tokio::test]
async fn an_upload_of_tiny_chunks_takes_no_more_memory_than_agreed() {
    let (_directory, store) = store().await;
    let mut staged = receiving(&store, None);
    for _ in 0..3000 {
        staged.write(Bytes::from_static(&[7; 333])).await.unwrap();
        let (Received::Held(buffer) | Received::Streamed(buffer)) = &staged.received else { panic!("neither held nor streamed") };
        assert!(buffer.as_ref().len() <= GATHER_BYTES);
    }
    assert_eq!(staged.digests().await.unwrap(), Digests::of(&[7; 333].repeat(3000)));
}

#[tokio::test]
async fn what_is_held_is_hashed_while_every_file_waits_for_the_device() {
    let (_directory, mut store) = store().await;
    let pools = DiskPools { hashing: BlockingPool::new("hashing", 1), ..BlockingPool::new("blobs", 1).into() };
    store.lanes = Lanes::new(pools, None, &store.shared.runtime.clock);
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let io = store.lanes.io.pool().clone();
    let waiting = crate::runtime::spawn_joined(async move {
        io.run(move || {
            begun.send(()).unwrap();
            answered.recv().unwrap();
        })
        .await
    });
    has_begun.await.unwrap();
    let mut staged = receiving(&store, Some(150_000));
    staged.write(Bytes::from(vec![7; 150_000])).await.unwrap();
    assert_eq!(staged.digests().await.unwrap().hash, crate::model::BlobHash::of(&[7; 150_000]));
    assert_eq!(staged.contents().await.unwrap().len(), 150_000);
    assert_eq!(store.lanes.io.pool().load().running, 1, "the device has not answered");
    answer.send(()).unwrap();
    waiting.await.unwrap().unwrap();
    Box::new(staged).discard().await;
}

#[tokio::test]
async fn what_is_held_is_written_when_it_is_published() {
    let (directory, store) = store().await;
    let content = crate::blobs::contract::bytes(1, 700_000);
    let mut staged = receiving(&store, Some(700_000));
    for chunk in content.chunks(60_000) {
        staged.write(content.slice_ref(chunk)).await.unwrap();
    }
    assert_eq!(staged.digests().await.unwrap(), Digests::of(&content));
    assert_eq!(staged.contents().await.unwrap(), content);
    assert_eq!(in_staging(&directory), 0);
    let mut other = receiving(&store, Some(700_000));
    other.write(content.clone()).await.unwrap();
    assert_eq!(in_staging(&directory), 1, "the memory is lent: streamed");
    let key = crate::blobs::contract::key(&content, 1);
    Box::new(staged).publish(&key).await.unwrap();
    let read = std::fs::read(directory.path().join(crate::blobs::path::copy(&key))).unwrap();
    assert_eq!(read, content);
    let mut third = receiving(&store, Some(700_000));
    third.write(content).await.unwrap();
    assert_eq!(in_staging(&directory), 1, "the memory is back");
}

#[tokio::test]
async fn nobody_gets_memory_for_a_promise_or_keeps_it_for_long() {
    let runtime = Runtime::simulated(1, 1_800_000_000_000);
    let (directory, store) = store_at(runtime.clone()).await;
    let content = crate::blobs::contract::bytes(1, 700_000);
    let mut slow = Box::new(receiving(&store, Some(700_000)));
    slow.write(content.slice(..90_000)).await.unwrap();
    assert_eq!(store.hold_bytes(), (0, 1 << 20));
    slow.write(content.slice(90_000..200_000)).await.unwrap();
    assert_eq!((store.hold_bytes().0, in_staging(&directory)), (1 << 20, 0));
    runtime.clock.advance(HOLD_TIME);
    slow.write(content.slice(200_000..300_000)).await.unwrap();
    assert_eq!(in_staging(&directory), 0);
    runtime.clock.advance(Duration::from_millis(1));
    slow.write(content.slice(300_000..300_001)).await.unwrap();
    assert_eq!((store.hold_bytes().0, in_staging(&directory)), (0, 1), "it is streamed, and others have the memory");
    slow.write(content.slice(300_001..)).await.unwrap();
    assert_eq!(slow.contents().await.unwrap(), content);
    let key = crate::blobs::contract::key(&content, 1);
    slow.publish(&key).await.unwrap();
    assert_eq!(crate::blobs::contract::get(&store, &key).await.unwrap(), content);
    assert_eq!(store.hold_bytes().0, 0);
}

/// Bytes that this thread has had read from a device (proc(5)): what comes from the page cache is not among them.
fn read_from_devices() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse().ok())
}

/// Whether reading the beginning of a file goes to a device.
fn is_read_from_a_device(file: &std::fs::File) -> Option<bool> {
    use std::os::unix::fs::FileExt;
    let before = read_from_devices()?;
    file.read_exact_at(&mut [0; 100], 0).unwrap();
    Some(read_from_devices()? > before)
}

/// Where the file system knows direct writes at all, and the kernel counts what it reads from a device.
#[tokio::test]
async fn what_is_held_does_not_go_through_the_page_cache() {
    let (directory, store) = store().await;
    let probe = directory.path().join("probe");
    std::fs::write(&probe, [7; 100]).unwrap();
    let probe = std::fs::File::options().read(true).write(true).open(probe).unwrap();
    probe.sync_all().unwrap();
    rustix::fs::fadvise(&probe, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let counts = is_read_from_a_device(&probe) == Some(true);
    let flags = rustix::fs::fcntl_getfl(&probe).unwrap() | rustix::fs::OFlags::DIRECT;
    if !counts || rustix::fs::fcntl_setfl(&probe, flags).is_err() {
        return;
    }
    for (expected_bytes, is_cached) in [(Some(500_000), false), (None, true)] {
        let content = crate::blobs::contract::bytes(1, 500_000);
        let mut staged = crate::blobs::BlobStore::stage(&store, expected_bytes).await.unwrap();
        staged.write(content.clone()).await.unwrap();
        let key = crate::blobs::contract::key(&content, u8::from(is_cached));
        staged.publish(&key).await.unwrap();
        let file = store.shared.files.open(&crate::blobs::path::copy(&key)).unwrap();
        assert_eq!(is_read_from_a_device(&file), Some(!is_cached));
    }
}

#[tokio::test]
async fn what_was_held_stays_right_when_more_comes() {
    let (_directory, store) = store().await;
    for expected_bytes in [None, Some(10), Some(70_000), Some(169_999), Some(10_000_000)] {
        let mut staged = Box::new(receiving(&store, expected_bytes));
        let mut all = vec![];
        // Less than a buffer, up to it, past it, and nothing more.
        for (value, length) in [(1, 40_000), (2, 30_000), (3, 99_999), (4, 0)] {
            all.extend(std::iter::repeat_n(value, length));
            staged.write(Bytes::from(vec![value; length])).await.unwrap();
            assert_eq!(staged.digests().await.unwrap(), Digests::of(&all));
            for _ in 0..2 {
                assert_eq!(staged.contents().await.unwrap(), all, "{value} of {expected_bytes:?}");
            }
        }
        let key = crate::blobs::contract::key(&all, 1);
        staged.publish(&key).await.unwrap();
        assert_eq!(crate::blobs::contract::get(&store, &key).await.unwrap(), all);
        crate::blobs::BlobStore::delete(&store, &key).await.unwrap();
    }
}
