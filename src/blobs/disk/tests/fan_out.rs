//! Directories that are made ahead.

use rustix::io::Errno;

use super::*;
use crate::blobs::contract::{bytes, get, inventory, key, put};
use crate::blobs::disk::faults::Fault;
use crate::blobs::disk::files::Call;

/// How many directories a whole store has under `blobs/`.
const ALL: usize = 256 + 65_536;

fn parent(key: &BlobKey) -> PathBuf {
    path::fan_out(key.hash.as_bytes()[0])
}

#[tokio::test]
async fn all_directories_are_made_and_their_names_synced_level_by_level() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    // One that was needed before, which another process might have made and not synced.
    let early = put(&store, &bytes(1, 10), 1).await.unwrap();
    // Somebody's file in place of a directory: left alone, and in nobody else's way.
    let taken = bytes(3, 10);
    let in_place = place.at(path::leaf(&key(&taken, 1).hash));
    std::fs::create_dir_all(in_place.parent().unwrap()).unwrap();
    std::fs::write(&in_place, "somebody's").unwrap();
    // The same one level up: its neighbours are made all the same.
    let other = path::fan_out(key(&bytes(2, 10), 1).hash.as_bytes()[0] ^ 0x80);
    std::fs::write(place.at(&other), "somebody's").unwrap();
    let shared = store.shared.clone();
    shared.files.faults().take_trace();
    assert!(matches!(shared.make_fan_out(), Err(BlobError::Unavailable { .. })));
    let mut trace = shared.files.faults().take_trace();
    assert_eq!(trace.iter().filter(|(call, _)| *call == Call::MakeDirectory).count(), ALL - 4 - 257);

    std::fs::remove_file(place.at(&other)).unwrap();
    assert_eq!(shared.make_fan_out().unwrap(), 257);
    let again = shared.files.faults().take_trace();
    let synced: Vec<_> = again.iter().filter(|(call, _)| *call == Call::SyncDirectory).map(|(_, at)| at.clone()).collect();
    let expected: Vec<PathBuf> = std::iter::once(path::BLOBS.into()).chain((0..=255).map(path::fan_out)).collect();
    assert_eq!(synced, expected);
    trace.extend(again);
    let mut unsynced: Vec<&PathBuf> = vec![];
    for (call, at) in &trace {
        match call {
            Call::MakeDirectory => {
                assert!(!unsynced.contains(&&at.parent().unwrap().to_owned()), "{} before the one above was durable", at.display());
                unsynced.push(at);
            }
            Call::SyncDirectory => unsynced.retain(|made| made.parent() != Some(at)),
            _ => {}
        }
    }
    assert!(unsynced.is_empty(), "{unsynced:?}");

    let content = bytes(2, 10);
    let late = put(&store, &content, 1).await.unwrap();
    let beyond_staging = shared.files.faults().take_trace().into_iter().filter(|(_, at)| !at.starts_with(path::STAGING));
    let named = path::copy(&late);
    let expected_calls = [(Call::Move, named.clone()), (Call::SyncFile, named), (Call::SyncDirectory, path::leaf(&late.hash))];
    assert_eq!(beyond_staging.collect::<Vec<_>>(), expected_calls);
    assert_eq!(inventory(&store).await.unwrap().len(), 3, "two copies and somebody's file: it tells nothing of empty directories");
    assert_eq!(get(&store, &early).await.unwrap(), bytes(1, 10));
    assert!(put(&store, &taken, 1).await.is_err());
    assert_eq!((std::fs::read(&in_place).unwrap(), staged(&store).await), (b"somebody's".to_vec(), 0));

    // The next start, of a copy that some tool made without its empty directories and did not sync.
    let lost = path::fan_out(early.hash.as_bytes()[0] ^ 1);
    std::fs::remove_dir_all(place.at(&lost)).unwrap();
    drop((store, shared));
    let store = place.open().await.unwrap();
    store.shared.files.faults().take_trace();
    assert_eq!(store.shared.make_fan_out().unwrap(), 257);
    let trace = store.shared.files.faults().take_trace();
    let synced: Vec<_> = trace.into_iter().filter(|(call, _)| *call == Call::SyncDirectory).map(|(_, at)| at).collect();
    assert_eq!(synced, expected, "also where all are there");
}

#[tokio::test]
async fn a_failure_leaves_a_store_that_makes_each_when_it_is_needed() {
    let place = Place::new();
    let store = place.open().await.unwrap();
    let (content, faults) = (bytes(1, 10), store.shared.files.faults());
    // Listed, some made, and the quota is used up.
    faults.plan(600, Fault::Fail(Errno::DQUOT));
    assert!(matches!(store.shared.make_fan_out(), Err(BlobError::NoSpace)));
    assert!(faults.take_trace().iter().filter(|(call, _)| *call == Call::MakeDirectory).count() > 500);
    assert_eq!(std::fs::read_dir(place.at(path::BLOBS)).unwrap().count(), 0, "none of them takes room");
    let stored = put(&store, &content, 1).await.unwrap();
    let trace = store.shared.files.faults().take_trace();
    assert!(trace.contains(&(Call::SyncDirectory, parent(&stored))), "what was not synced is not taken for durable: {trace:?}");

    faults.plan_next(|call| call == Call::SyncDirectory, Fault::Fail(Errno::IO));
    assert!(matches!(store.shared.make_fan_out(), Err(BlobError::Unavailable { .. })));
    assert!(matches!(store.shared.make_fan_out(), Err(BlobError::Suspect { sync_failures: 1 })), "a second sync may lie");
    assert!(put(&store, &content, 2).await.is_err());
}
