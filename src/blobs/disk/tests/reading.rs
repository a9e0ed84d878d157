//! Reading, staging by halves, and the verifying store over a real directory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use rustix::io::Errno;

use super::*;
use crate::blobs::Damage;
use crate::blobs::contract::{bytes, get, put};
use crate::blobs::disk::faults::Fault;
use crate::blobs::disk::files::Call;

fn is_read(call: Call) -> bool {
    call == Call::Read
}

#[tokio::test]
async fn what_is_not_cached_comes_from_the_pool() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 600_000);
    let key = put(&store, &content, 1).await.unwrap();
    for (errno, still_tried) in [(Errno::AGAIN, true), (Errno::IO, true), (Errno::OPNOTSUPP, false)] {
        for pieces in 0..3 {
            store.shared.reads_cached.store(true, Ordering::Relaxed);
            let read = store.open(&key).await.unwrap();
            store.shared.files.faults().plan(pieces, Fault::Fail(errno));
            assert_eq!(read.read_at(0, content.len()).await.unwrap(), content, "{errno} after {pieces} pieces");
            assert!(!store.shared.files.faults().clear());
            assert_eq!(store.shared.reads_cached.load(Ordering::Relaxed), still_tried, "{errno}");
        }
    }
    assert_eq!(get(&store, &key).await.unwrap(), content);
}

#[tokio::test]
async fn missing_and_unreadable_bytes_are_damage() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 600_000), 1).await.unwrap();
    let read = store.open(&key).await.unwrap();
    store.shared.reads_cached.store(false, Ordering::Relaxed);
    for errno in [Errno::IO, Errno::BADMSG, Errno::UCLEAN] {
        store.shared.files.faults().plan_next(is_read, Fault::Fail(errno));
        let failed = read.read_at(0, 10).await;
        assert!(matches!(failed, Err(BlobError::Damaged { damage: Damage::Unreadable(_), .. })), "{failed:?}");
    }
    store.shared.files.faults().plan_next(is_read, Fault::Fail(Errno::STALE));
    assert!(matches!(read.read_at(0, 10).await, Err(BlobError::Unavailable { .. })), "a backend that is away damages nothing");

    std::fs::File::options().write(true).open(place.at(path::copy(&key))).unwrap().set_len(300_000).unwrap();
    for cached in [false, true] {
        store.shared.reads_cached.store(cached, Ordering::Relaxed);
        let written = read.read_at(0, 300_000).await;
        assert!(matches!(written, Err(BlobError::Damaged { damage: Damage::Written, .. })), "{written:?}");
        for (offset, length) in [(0, 600_000), (299_999, 2), (300_000, 1), (500_000, 1)] {
            let failed = read.read_at(offset, length).await;
            let short = matches!(failed, Err(BlobError::Damaged { damage: Damage::Short { size_bytes: 600_000, .. }, .. }));
            assert!(short, "{length} from {offset}: {failed:?}");
        }
    }
    assert!(matches!(read.content_hash().await, Err(BlobError::Damaged { .. })));
}

#[tokio::test]
async fn long_reads_are_whole_or_damage() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 3_000_001);
    let key = put(&store, &content, 1).await.unwrap();
    let read = store.open(&key).await.unwrap();
    for (offset, length) in [(0, content.len()), (1, 2_000_000), (1_000_001, 2_000_000)] {
        assert_eq!(read.read_at(offset as u64, length).await.unwrap(), content[offset..offset + length], "{length} from {offset}");
    }
    store.shared.files.faults().plan_next(is_read, Fault::Fail(Errno::IO));
    let failed = read.read_at(0, content.len()).await;
    assert!(matches!(failed, Err(BlobError::Damaged { damage: Damage::Unreadable(_), .. })), "{failed:?}");
    std::fs::File::options().write(true).open(place.at(path::copy(&key))).unwrap().set_len(2_500_000).unwrap();
    let failed = read.read_at(0, content.len()).await;
    let short = matches!(failed, Err(BlobError::Damaged { damage: Damage::Short { found_bytes: 2_500_000, .. }, .. }));
    assert!(short, "{failed:?}");
}

#[tokio::test]
async fn an_upload_given_up_in_the_middle_of_a_write_leaves_nothing() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    for size in [10, 1_000_000, 4_000_000] {
        let mut staged_copy = store.stage(None).await.unwrap();
        staged_copy.write(bytes(1, size)).await.unwrap();
        // Polled once, then dropped: the hop goes on without anyone to answer. One that has ended by then is none to give up.
        while let Some(written) = staged_copy.write(bytes(2, 4_000_000)).now_or_never() {
            written.unwrap();
        }
        assert!(matches!(staged_copy.write(bytes(3, 1)).await, Err(BlobError::Internal { .. })), "half a copy takes no more");
        assert!(matches!(staged_copy.digests().await, Err(BlobError::Internal { .. })));
        drop(staged_copy);
        assert_eq!(staged(&store).await, 0);
    }
}

#[tokio::test]
async fn an_upload_given_up_while_it_waits_for_a_thread_leaves_nothing() {
    let place = Place::new();
    let pool = BlockingPool::new("blobs", 1);
    let store = DiskStore::open(&place.root(), Runtime::system(), pool.clone(), DiskSettings::default()).await.unwrap();
    let mut staged_copy = store.stage(None).await.unwrap();
    staged_copy.write(bytes(1, 2_000_000)).await.unwrap();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let mut busy = std::pin::pin!(pool.run(move || wait.recv()));
    assert!(busy.as_mut().now_or_never().is_none());
    assert!(staged_copy.write(bytes(2, 2_000_000)).now_or_never().is_none());
    drop(staged_copy);
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn many_who_ask_at_once_read_once() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let key = put(&store, &bytes(1, 300_000), 1).await.unwrap();
    let verify = VerifyStore::new(store.clone(), Clock::manual(0), VerifySettings::default());
    store.shared.files.faults().take_trace();
    let opened = futures_util::future::join_all((0..8).map(|_| verify.open(&key))).await;
    assert!(opened.iter().all(Result::is_ok));
    let reads = store.shared.files.faults().take_trace().into_iter().filter(|(call, _)| *call == Call::Read).count();
    assert_eq!(reads, 300_000_usize.div_ceil(128 * 1024));
}

#[tokio::test]
async fn damage_on_the_disk_is_never_served() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [Harm; 5] = [
        |bytes| bytes[150_000] ^= 0x10,
        |bytes| bytes.truncate(150_000),
        |bytes| bytes.clear(),
        |bytes| bytes.push(0),
        |bytes| *bytes = super::bytes_of_another(),
    ];
    for (index, harm) in harms.into_iter().enumerate() {
        let place = Place::new();
        let store = place.open().await.unwrap();
        let key = put(&store, &bytes(1, 300_000), 1).await.unwrap();
        let clock = Clock::manual(0);
        let verify = VerifyStore::new(store, clock.clone(), VerifySettings::default());
        verify.open(&key).await.unwrap();
        assert!(verify.is_verified(&key).await);
        let mut content = std::fs::read(place.at(path::copy(&key))).unwrap();
        harm(&mut content);
        std::fs::write(place.at(path::copy(&key)), content).unwrap();
        // The file system may give two changes in one tick of its clock the same time: then it is seen once the check is forgotten.
        clock.advance(Duration::from_secs(600));
        let opened = verify.open(&key).await;
        assert!(matches!(opened, Err(BlobError::Damaged { .. })), "harm {index}: {opened:?}");
        assert!(!verify.is_verified(&key).await);
    }
}

#[tokio::test]
async fn a_file_that_took_the_place_of_a_checked_one_is_checked() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 300_000);
    let key = put(&store, &content, 1).await.unwrap();
    let verify = VerifyStore::new(store, Clock::manual(0), VerifySettings::default());
    verify.open(&key).await.unwrap();
    let mut other = content.to_vec();
    other[150_000] ^= 1;
    let beside = place.root().join("beside");
    std::fs::write(&beside, other).unwrap();
    std::fs::rename(&beside, place.at(path::copy(&key))).unwrap();
    assert!(matches!(verify.open(&key).await, Err(BlobError::Damaged { .. })), "as large, and at no later time by the clock");
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_open_gives_nothing_more() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 300_000);
    let key = put(&store, &content, 1).await.unwrap();
    let read = VerifyStore::new(store.clone(), Clock::manual(0), VerifySettings::default()).open(&key).await.unwrap();
    let file = std::fs::File::options().write(true).open(place.at(path::copy(&key))).unwrap();
    assert_eq!(read.read_at(0, 300_000).await.unwrap(), content);
    read.warm(0, 300_000).await.unwrap();
    store.delete(&key).await.unwrap();
    assert!(read.is_unchanged(), "deleted");
    store.shared.files.faults().plan_next(|call| call == Call::Stat, Fault::Fail(Errno::STALE));
    let away = read.read_at(0, 10).await;
    assert!(matches!(away, Err(BlobError::Unavailable { .. })), "that it cannot be looked at is no damage: {away:?}");
    assert_eq!(read.read_at(0, 300_000).await.unwrap(), content);

    std::os::unix::fs::FileExt::write_all_at(&file, &[content[200_000] ^ 1], 200_000).unwrap();
    // File systems may count time in steps of some milliseconds.
    let later = file.metadata().unwrap().modified().unwrap() + Duration::from_millis(20);
    file.set_modified(later).unwrap();
    assert!(!read.is_unchanged());
    let written = |done: BlobError| matches!(done, BlobError::Damaged { damage: Damage::Written, .. });
    assert!(written(read.read_at(0, 10).await.unwrap_err()));
    assert!(written(read.read_at(100_000, 200_000).await.unwrap_err()));
    assert!(written(read.warm(0, 10).await.unwrap_err()));
}
