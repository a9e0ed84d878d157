//! Every step of every call fails with every error, done or not: nothing is left, nothing half-made is visible, and the next try works.

use rustix::io::Errno;

use super::*;
use crate::blobs::contract::{self, bytes, get, inventory, key, put, rest};
use crate::blobs::disk::faults::Fault;
use crate::blobs::disk::files::Call;
use crate::blobs::{Deletion, InventoryItem};
use crate::model::SiteId;

const ERRORS: [Errno; 4] = [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS];

/// More than one write, and all that an upload calls, streamed or held in memory.
async fn upload(store: &DiskStore, content: &bytes::Bytes, nonce: u8, held: bool) -> Result<BlobKey, BlobError> {
    let mut staged = store.stage(held.then_some(content.len() as u64)).await?;
    for chunk in content.chunks(100_000) {
        staged.write(content.slice_ref(chunk)).await?;
    }
    staged.digests().await?;
    if staged.contents().await? != *content {
        return Err(BlobError::Internal { reason: "other contents" });
    }
    let key = key(content, nonce);
    staged.publish(&key).await?;
    Ok(key)
}

fn settings() -> DiskSettings {
    DiskSettings { gather_bytes: 128 * 1024, ..DiskSettings::default() }
}

/// A store in which a sync has failed takes nothing more, and is opened anew.
async fn opened_anew(place: &Place, store: DiskStore, settings: DiskSettings) -> DiskStore {
    if store.sync_failures() == 0 {
        return store;
    }
    assert!(matches!(store.probe().await, Err(BlobError::Suspect { .. })));
    drop(store);
    place.open_with(settings).await.unwrap()
}

fn assert_named_rightly(error: &BlobError, errno: Errno) {
    match errno {
        Errno::NOSPC | Errno::DQUOT => assert!(matches!(error, BlobError::NoSpace), "{errno}: {error}"),
        _ => assert!(matches!(error, BlobError::Unavailable { .. }), "{errno}: {error}"),
    }
}

#[tokio::test]
async fn an_upload_may_fail_at_every_step() {
    for held in [false, true] {
        for errno in ERRORS {
            for fault in [Fault::Fail(errno), Fault::FailDone(errno)] {
                let steps = fails_at_every_step(held, errno, fault).await;
                // Held: create, direct on, write, direct off, the tail, sync, two directories with syncs, move, sync.
                assert!(steps >= 10, "create, three writes, read, sync, two directories with syncs, move, sync; not {steps}");
            }
        }
    }
}

/// Lets one call after the other fail; answers how many there are.
async fn fails_at_every_step(held: bool, errno: Errno, fault: Fault) -> usize {
    let content = bytes(1, 300_000);
    for steps in 0.. {
        let place = Place::new();
        let store = place.open_with(settings()).await.unwrap();
        let bystander = put(&store, &bytes(2, 1000), 1).await.unwrap();
        store.shared.files.faults().take_trace();
        store.shared.files.faults().plan(steps, fault);
        let done = upload(&store, &content, 1, held).await;
        let called = store.shared.files.faults().take_trace();
        if store.shared.files.faults().clear() {
            done.unwrap();
            return steps;
        }
        let context = format!("step {steps}, {fault:?}, held: {held}");
        if done.is_ok() && called[steps].0 == Call::SetDirect {
            assert_eq!(get(&store, &key(&content, 1)).await.unwrap(), content, "{context}: through the page cache, then");
            continue;
        }
        let error = done.expect_err(&context);
        if called[steps].0 != Call::SetDirect {
            assert_named_rightly(&error, errno);
        }
        assert_eq!(staged(&store).await, 0, "{context}");
        assert!(matches!(store.open(&key(&content, 1)).await, Err(BlobError::NotFound)), "{context}");
        assert_eq!(inventory(&store).await.unwrap(), [InventoryItem::Copy { key: bystander, size_bytes: 1000 }], "{context}");
        let is_sync = matches!(called[steps].0, Call::SyncFile | Call::SyncDirectory);
        let suspicious = is_sync && matches!(errno, Errno::IO | Errno::ROFS);
        assert_eq!(store.sync_failures() > 0, suspicious, "{context}");
        let store = opened_anew(&place, store, settings()).await;
        let retried = upload(&store, &content, 1, held).await.expect(&context);
        assert_eq!(get(&store, &retried).await.unwrap(), content, "{context}");
    }
    unreachable!("an upload ends")
}

#[tokio::test]
async fn a_reply_that_got_lost_is_recognised() {
    for (errno, published) in [(Errno::EXIST, true), (Errno::NOENT, true), (Errno::IO, false)] {
        let place = Place::new();
        let store = place.open().await.unwrap();
        store.shared.files.faults().plan_next(|call| call == Call::Move, Fault::FailDone(errno));
        let content = bytes(1, 1000);
        assert_eq!(put(&store, &content, 1).await.is_ok(), published, "{errno}");
        assert_eq!(get(&store, &key(&content, 1)).await.is_ok(), published, "{errno}");
        assert_eq!(staged(&store).await, 0);
    }
}

#[tokio::test]
async fn a_failed_sync_is_never_repeated_on_the_same_file() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    store.shared.files.faults().plan_next(|call| call == Call::SyncFile, Fault::Fail(Errno::IO));
    store.shared.files.faults().take_trace();
    put(&store, &bytes(1, 1000), 1).await.unwrap_err();
    let trace = store.shared.files.faults().take_trace();
    assert_eq!(trace.iter().filter(|(call, _)| *call == Call::SyncFile).count(), 1, "{trace:?}");
    let named = path::copy(&key(&bytes(1, 1000), 1));
    assert!(trace.contains(&(Call::Remove, named.clone())) && !place.at(named).exists(), "{trace:?}");
    assert_eq!(store.sync_failures(), 1);
}

/// The kernel drops what it could not write, and the next sync of the same directory says "done" of it.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_taken_until_the_store_is_opened_anew() {
    for (call, name) in [(Call::SyncDirectory, "directory"), (Call::SyncFile, "file")] {
        let place = Place::new();
        let store = place.open().await.unwrap();
        let stored = put(&store, &bytes(2, 1000), 1).await.unwrap();
        let under_way = {
            let mut staged = store.stage(None).await.unwrap();
            staged.write(bytes(3, 1000)).await.unwrap();
            staged
        };
        let only: fn(Call) -> bool =
            if call == Call::SyncFile { |call| call == Call::SyncFile } else { |call| call == Call::SyncDirectory };
        store.shared.files.faults().plan_next(only, Fault::Fail(Errno::IO));
        let content = bytes(1, 1000);
        assert!(matches!(put(&store, &content, 1).await, Err(BlobError::Unavailable { .. })), "{name}");

        let suspect = |error: BlobError| assert!(matches!(error, BlobError::Suspect { sync_failures: 1 }), "{name}: {error}");
        store.shared.files.faults().take_trace();
        suspect(put(&store, &content, 2).await.unwrap_err());
        suspect(under_way.publish(&key(&bytes(3, 1000), 1)).await.unwrap_err());
        suspect(store.delete(&stored).await.unwrap_err());
        suspect(store.claim(None, Marker { site: SiteId::from_bytes([1; 16]), epoch: 1 }).await.unwrap_err());
        suspect(store.probe().await.unwrap_err());
        let trace = store.shared.files.faults().take_trace();
        assert!(!trace.iter().any(|(call, _)| matches!(call, Call::SyncFile | Call::SyncDirectory)), "{name}: {trace:?}");
        assert_eq!(get(&store, &stored).await.unwrap(), bytes(2, 1000), "{name}: reading goes on");
        assert_eq!(inventory(&store).await.unwrap().len(), 1, "{name}");
        assert_eq!(staged(&store).await, 0, "{name}");
        drop(store);

        let store = place.open().await.unwrap();
        store.shared.files.faults().take_trace();
        let key = put(&store, &content, 3).await.unwrap();
        assert_eq!(get(&store, &key).await.unwrap(), content);
        let trace = store.shared.files.faults().take_trace();
        assert!(trace.contains(&(Call::SyncDirectory, path::BLOBS.into())), "{name}: also what was there is synced again: {trace:?}");
    }
}

#[tokio::test]
async fn a_full_disk_at_a_sync_is_no_suspicion() {
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        let place = Place::new();
        let store = place.open().await.unwrap();
        for only in [(|call| call == Call::SyncDirectory) as fn(Call) -> bool, |call| call == Call::SyncFile] {
            store.shared.files.faults().plan_next(only, Fault::Fail(errno));
            assert!(matches!(put(&store, &bytes(1, 1000), 1).await, Err(BlobError::NoSpace)));
        }
        assert_eq!(store.sync_failures(), 0);
        put(&store, &bytes(1, 1000), 2).await.unwrap();
        store.probe().await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_could_not_be_made_durable_is_taken_back() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 1000);
    let mut staged_copy = store.stage(None).await.unwrap();
    staged_copy.write(content.clone()).await.unwrap();
    // Its fan-out is made and synced, so what fails is the last sync, after the copy has got its name.
    put(&store, &content, 1).await.unwrap();
    store.shared.files.faults().plan_next(|call| call == Call::SyncDirectory, Fault::Fail(Errno::IO));
    assert!(matches!(staged_copy.publish(&key(&content, 2)).await, Err(BlobError::Unavailable { .. })));
    assert_eq!(inventory(&store).await.unwrap().len(), 1, "the name was taken back");
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn publishing_syncs_in_order() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let content = bytes(1, 1000);
    let key = key(&content, 1);
    let expect_calls = |expected: &[(Call, PathBuf)]| {
        let trace = store.shared.files.faults().take_trace();
        let beyond_staging = trace.into_iter().filter(|(_, at)| !at.starts_with(path::STAGING)).collect::<Vec<_>>();
        assert_eq!(beyond_staging, expected);
    };
    let (named, leaf) = (path::copy(&key), path::leaf(&key.hash));
    let parent = leaf.parent().unwrap().to_owned();
    store.shared.files.faults().take_trace();
    put(&store, &content, 1).await.unwrap();
    expect_calls(&[
        (Call::MakeDirectory, parent.clone()),
        (Call::SyncDirectory, path::BLOBS.into()),
        (Call::MakeDirectory, leaf.clone()),
        (Call::SyncDirectory, parent.clone()),
        (Call::Move, named.clone()),
        (Call::SyncFile, named),
        (Call::SyncDirectory, leaf.clone()),
    ]);
    put(&store, &content, 2).await.unwrap();
    let named = path::copy(&contract::key(&content, 2));
    expect_calls(&[(Call::Move, named.clone()), (Call::SyncFile, named), (Call::SyncDirectory, leaf.clone())]);
    drop(store);

    let store = place.open().await.unwrap();
    store.shared.files.faults().take_trace();
    put(&store, &content, 3).await.unwrap();
    let trace = store.shared.files.faults().take_trace();
    assert!(trace.contains(&(Call::SyncDirectory, parent)), "a directory that an earlier run made may not be durable: {trace:?}");
    let published: Vec<_> = trace.into_iter().skip_while(|(call, _)| *call != Call::Move).collect();
    let named = path::copy(&contract::key(&content, 3));
    assert_eq!(published, [(Call::Move, named.clone()), (Call::SyncFile, named), (Call::SyncDirectory, leaf)], "bytes before the name");
}

#[tokio::test]
async fn a_deletion_may_fail_at_every_step() {
    for errno in ERRORS {
        for fault in [Fault::Fail(errno), Fault::FailDone(errno)] {
            for steps in 0.. {
                let place = Place::new();
                let store = place.open().await.unwrap();
                let key = put(&store, &bytes(1, 1000), 1).await.unwrap();
                store.shared.files.faults().plan(steps, fault);
                let done = store.delete(&key).await;
                if store.shared.files.faults().clear() {
                    assert_eq!(done.unwrap(), Deletion::Deleted);
                    assert!(steps >= 2);
                    break;
                }
                assert_named_rightly(&done.unwrap_err(), errno);
                let store = opened_anew(&place, store, DiskSettings::default()).await;
                store.shared.files.faults().take_trace();
                store.delete(&key).await.unwrap();
                let trace = store.shared.files.faults().take_trace();
                assert!(trace.contains(&(Call::SyncDirectory, path::leaf(&key.hash))), "also where it was removed before: {trace:?}");
                assert!(matches!(store.open(&key).await, Err(BlobError::NotFound)));
            }
        }
    }
}

#[tokio::test]
async fn a_claim_may_fail_at_every_step() {
    let marker = |epoch| Marker { site: SiteId::from_bytes([1; 16]), epoch };
    for errno in ERRORS {
        for fault in [Fault::Fail(errno), Fault::FailDone(errno)] {
            for (expected, new) in [(None, marker(1)), (Some(marker(1)), marker(2))] {
                for steps in 0.. {
                    let place = Place::new();
                    let store = place.open().await.unwrap();
                    if let Some(expected) = expected {
                        store.claim(None, expected).await.unwrap();
                    }
                    store.shared.files.faults().plan(steps, fault);
                    let done = store.claim(expected, new).await;
                    if store.shared.files.faults().clear() {
                        done.unwrap();
                        break;
                    }
                    assert_named_rightly(&done.unwrap_err(), errno);
                    assert_eq!(staged(&store).await, 0);
                    let store = opened_anew(&place, store, DiskSettings::default()).await;
                    let found = store.marker().await.unwrap();
                    assert!(found == expected || found == Some(new), "{found:?}");
                    store.claim(found, marker(3)).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn an_inventory_fails_closed() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    for seed in 0..20 {
        put(&store, &bytes(seed, 100), 1).await.unwrap();
    }
    let whole = inventory(&store).await.unwrap();
    assert_eq!(whole.len(), 20);
    for errno in [Errno::ACCESS, Errno::IO, Errno::NOENT, Errno::STALE, Errno::MFILE] {
        for steps in 0.. {
            store.shared.files.faults().plan(steps, Fault::Fail(errno));
            let mut walk = store.inventory();
            let walked = rest(&mut *walk).await;
            if store.shared.files.faults().clear() {
                assert_eq!(walked.unwrap(), whole);
                assert!(steps > 60, "two levels, each copy, begin and end; not {steps}");
                break;
            }
            assert!(matches!(walked, Err(BlobError::Unavailable { .. })), "step {steps}, {errno}: {walked:?}");
            assert!(matches!(walk.next().await, Err(BlobError::Internal { .. })), "it does not go on");
        }
    }
}

#[tokio::test]
async fn a_probe_may_fail_at_every_step() {
    let place = Place::new();
    let mut store = place.open().await.unwrap();
    for errno in ERRORS {
        for steps in 0.. {
            store = opened_anew(&place, store, DiskSettings::default()).await;
            let before = staged(&store).await;
            store.shared.files.faults().plan(steps, Fault::Fail(errno));
            let done = store.probe().await;
            if store.shared.files.faults().clear() {
                done.unwrap();
                break;
            }
            assert_named_rightly(&done.unwrap_err(), errno);
            // Only where removing itself failed is something left, for the next opening.
            assert!(staged(&store).await <= before + 1);
        }
    }
    drop(store);
    assert_eq!(staged(&place.open().await.unwrap()).await, 0);
}
