//! Random operations, failures, crashes and reopenings against a reference of plain maps, over both engines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::memory::Fault;
use super::super::rocks::{RocksEngine, RocksSettings};
use super::*;
use crate::model::RowKey;
use crate::model::erasure::Erasure;
use crate::model::photo::{self as photos, PhotoEdit};
use crate::model::replica::State;

#[derive(Clone, Debug)]
enum Op {
    Upload { owner: u8, photo: u8, album: u8, blob: u8 },
    Edit { owner: u8, photo: u8, name: u8 },
    Move { owner: u8, photo: u8, album: u8 },
    Trash { owner: u8, photo: u8 },
    PutBack { owner: u8, photo: u8 },
    Purge { owner: u8, photo: u8 },
    Erase { owner: u8, photo: u8 },
    EraseOwner { owner: u8 },
    Promise { owner: u8, blob: u8 },
    Damage { blob: u8 },
    Fail(Fault),
    Reopen,
    Crash { kept: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let (owner, photo, album, blob) = (1..3u8, 1..4u8, 1..3u8, 1..4u8);
    let fault = prop_oneof![Just(Fault::NoSpace), Just(Fault::Lost), Just(Fault::Applied), Just(Fault::Ghost)];
    let at = (owner.clone(), photo.clone());
    prop_oneof![
        8 => (owner.clone(), photo, album.clone(), blob.clone()).prop_map(|(owner, photo, album, blob)| Op::Upload { owner, photo, album, blob }),
        2 => (at.clone(), any::<u8>()).prop_map(|((owner, photo), name)| Op::Edit { owner, photo, name }),
        2 => (at.clone(), album).prop_map(|((owner, photo), album)| Op::Move { owner, photo, album }),
        4 => at.clone().prop_map(|(owner, photo)| Op::Trash { owner, photo }),
        3 => at.clone().prop_map(|(owner, photo)| Op::PutBack { owner, photo }),
        3 => at.clone().prop_map(|(owner, photo)| Op::Purge { owner, photo }),
        1 => at.prop_map(|(owner, photo)| Op::Erase { owner, photo }),
        1 => owner.clone().prop_map(|owner| Op::EraseOwner { owner }),
        2 => (owner, blob.clone()).prop_map(|(owner, blob)| Op::Promise { owner, blob }),
        2 => blob.prop_map(|blob| Op::Damage { blob }),
        2 => fault.prop_map(Op::Fail),
        2 => Just(Op::Reopen),
        2 => (0..3usize).prop_map(|kept| Op::Crash { kept }),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Photo {
    blob: u8,
    album: u8,
    name: String,
    trashed: bool,
}

/// What users were told.
#[derive(Clone, Debug, PartialEq, Default)]
struct Reference {
    photos: BTreeMap<(u8, u8), Photo>,
    erased: BTreeSet<(u8, u8)>,
    erased_owners: BTreeSet<u8>,
    /// Blobs present, and whether damaged.
    blobs: BTreeMap<u8, bool>,
    pins: BTreeSet<(u8, u8)>,
}

impl Reference {
    fn is_erased(&self, at: (u8, u8)) -> bool {
        self.erased.contains(&at) || self.erased_owners.contains(&at.0)
    }

    fn owns(&self, owner: u8, blob: u8) -> bool {
        self.photos.iter().any(|((by, _), photo)| *by == owner && photo.blob == blob)
    }

    /// Does an operation; `false` where it is to be refused, or has nothing to do.
    fn apply(&mut self, op: &Op) -> bool {
        match *op {
            Op::Upload { owner, photo, album, blob } => {
                if self.photos.contains_key(&(owner, photo)) || self.is_erased((owner, photo)) {
                    return false;
                }
                self.blobs.insert(blob, false);
                self.photos.insert((owner, photo), Photo { blob, album, name: "a.jpg".to_owned(), trashed: false });
                true
            }
            Op::Edit { owner, photo, name } => self.change(owner, photo, false, |photo| photo.name = format!("{name}")),
            Op::Move { owner, photo, album } => self.change(owner, photo, false, |photo| photo.album = album),
            Op::Trash { owner, photo } => self.change(owner, photo, false, |photo| photo.trashed = true),
            Op::PutBack { owner, photo } => {
                let whole = self.photos.get(&(owner, photo)).is_some_and(|photo| self.blobs.get(&photo.blob) == Some(&false));
                whole && self.change(owner, photo, true, |photo| photo.trashed = false)
            }
            Op::Purge { owner, photo } => self.change(owner, photo, true, |_| {}) && self.photos.remove(&(owner, photo)).is_some(),
            Op::Erase { owner, photo } => {
                self.photos.remove(&(owner, photo));
                self.erased.insert((owner, photo));
                true
            }
            Op::EraseOwner { owner } => {
                self.photos.retain(|(by, _), _| *by != owner);
                self.erased_owners.insert(owner);
                true
            }
            Op::Promise { owner, blob } => {
                let promised = self.owns(owner, blob) && self.blobs.get(&blob) == Some(&false);
                self.pins.extend(promised.then_some((owner, blob)));
                promised
            }
            Op::Damage { blob } => self.blobs.get_mut(&blob).map(|damaged| *damaged = true).is_some(),
            Op::Fail(_) | Op::Reopen | Op::Crash { .. } => false,
        }
    }

    fn change(&mut self, owner: u8, photo: u8, trashed: bool, how: impl FnOnce(&mut Photo)) -> bool {
        let found = self.photos.get_mut(&(owner, photo)).filter(|photo| photo.trashed == trashed);
        found.map(how).is_some()
    }

    /// What the store says, in the same words.
    fn read(metadata: &Metadata) -> Self {
        let read = metadata.read();
        let mut seen = Self::default();
        for by in 1..3 {
            if read.is_erased(&RowKey::user(owner(by))).unwrap() {
                seen.erased_owners.insert(by);
            }
            for id in 1..4 {
                let key = RowKey::photo(owner(by), photo(id));
                if super::super::table::get::<column::Erased>(read.source(), &Erasure::Row(key)).unwrap().is_some() {
                    seen.erased.insert((by, id));
                }
                if let Some(found) = read.photo_or_trashed(owner(by), photo(id)).unwrap() {
                    let blob = (1..4).find(|n| hash(*n) == found.hash).unwrap();
                    let album = found.album.as_bytes()[0];
                    seen.photos.insert((by, id), Photo { blob, album, name: found.name, trashed: found.trashed });
                }
            }
            for n in 1..4 {
                if read.pin(owner(by), &hash(n)).unwrap().is_some() {
                    seen.pins.insert((by, n));
                }
            }
        }
        for n in 1..4 {
            if let Some(row) = read.blob(&hash(n)).unwrap() {
                seen.blobs.insert(n, row.damaged);
            }
        }
        for by in 1..3 {
            for n in 1..4 {
                assert_eq!(read.owns(owner(by), &hash(n)).unwrap(), seen.owns(by, n));
            }
            for in_album in 1..3 {
                let listed = read.list_photos(owner(by), album(in_album), None, 100).unwrap().items;
                let listed: BTreeSet<_> = listed.iter().map(|photo| photo.id).collect();
                let shown = seen.photos.iter().filter(|((of, _), photo)| *of == by && photo.album == in_album && !photo.trashed);
                assert_eq!(listed, shown.map(|((_, id), _)| photo(*id)).collect());
                assert_eq!(read.album_totals(owner(by), album(in_album)).unwrap().photos, listed.len() as u64);
            }
            seen.assert_similar(&read, by);
        }
        seen
    }
}

impl Reference {
    /// Every photo that is shown is like the owner's other ones, and like nobody else's.
    fn assert_similar(&self, read: &Snapshot, by: u8) {
        let shown: Vec<_> = self.photos.iter().filter(|((of, _), photo)| *of == by && !photo.trashed).collect();
        for ((_, id), one) in &shown {
            let found = read.photo(owner(by), photo(*id)).unwrap().unwrap();
            let similar = read.list_similar(&found, MAX_DISTANCE, None, 100).unwrap().unwrap();
            assert_eq!((similar.complete_within, similar.page.next), (MAX_DISTANCE, None));
            let similar: Vec<_> = similar.page.items.iter().map(|item| (item.distance, item.photo.id)).collect();
            let others = shown.iter().filter(|((_, other), _)| other != id);
            let mut expected: Vec<_> =
                others.map(|((_, other), photo_of)| (look(one.blob).distance(look(photo_of.blob)), photo(*other))).collect();
            expected.sort_unstable();
            assert_eq!(similar, expected);
        }
    }
}

/// Sends an operation to the store. `Ok(false)`: refused.
async fn send(metadata: &Metadata, op: &Op) -> Result<bool, MetadataError> {
    let done = match *op {
        Op::Upload { owner: by, photo: id, album: into, blob } => upload(metadata, owner(by), album(into), photo(id), blob).await.map(drop),
        Op::Edit { owner, photo, name } => {
            let edit = PhotoEdit { name: Some(format!("{name}")), caption: None };
            change(metadata, owner, photo, false, move |tx, found, _| Ok(found.edit(tx.stamp(), &edit))).await
        }
        Op::Move { owner, photo, album: to } => {
            change(metadata, owner, photo, false, move |tx, found, _| Ok(found.move_to(tx.stamp(), album(to)))).await
        }
        Op::Trash { owner, photo } => change(metadata, owner, photo, false, |_, found, _| Ok(found.trash())).await,
        Op::PutBack { owner, photo } => {
            let put_back = |tx: &mut Transaction<'_>, found: photos::PhotoView, key| {
                tx.require_blob(&found.hash)?;
                let births = tx.births(&key)?;
                Ok(photos::put_back(key, tx.stamp(), &found.hash, &births, &births, None))
            };
            change(metadata, owner, photo, true, put_back).await
        }
        Op::Purge { owner, photo } => change(metadata, owner, photo, true, |_, found, _| Ok(found.purge())).await,
        Op::Erase { owner: by, photo: id } => {
            let key = RowKey::photo(owner(by), photo(id));
            metadata.write("erase", move |tx| Ok(tx.erase(Erasure::Row(key))?)).await
        }
        Op::EraseOwner { owner: by } => metadata.write("erase", move |tx| Ok(tx.erase(Erasure::Owner(owner(by)))?)).await,
        Op::Promise { owner: by, blob } => {
            let promise = move |tx: &mut Transaction<'_>| {
                if tx.promise(owner(by), &hash(blob), WallMs(START_MS + 1))? { Ok(()) } else { Err(Refused::SendBytes) }
            };
            metadata.write("promise", promise).await
        }
        Op::Damage { blob } => {
            let damage = move |tx: &mut Transaction<'_>| {
                let row = tx.blob(&hash(blob))?.ok_or(Refused::SendBytes)?;
                tx.mark_damaged(row.key)?;
                Ok(())
            };
            metadata.write("damage", damage).await
        }
        Op::Fail(_) | Op::Reopen | Op::Crash { .. } => return Ok(false),
    };
    match done {
        Ok(()) => Ok(true),
        Err(WriteError::Refused(Refused::Store(MetadataError::Erased { .. }))) => Ok(false),
        Err(WriteError::Refused(Refused::Store(error)) | WriteError::Failed(error)) => Err(error),
        Err(WriteError::Refused(_)) => Ok(false),
        Err(WriteError::Busy) => panic!("one request at a time is never too many"),
    }
}

async fn change(
    metadata: &Metadata,
    by: u8,
    id: u8,
    trashed: bool,
    how: impl FnOnce(&mut Transaction<'_>, photos::PhotoView, RowKey) -> Result<Vec<crate::model::row::Delta>, Refused> + Send + 'static,
) -> Result<(), WriteError<Refused>> {
    let request = metadata.write("change", move |tx| {
        let found = tx.photo_or_trashed(owner(by), photo(id))?.filter(|photo| photo.trashed == trashed).ok_or(Refused::SendBytes)?;
        let key = RowKey::photo(owner(by), photo(id));
        let deltas = how(tx, found, key)?;
        Ok(tx.apply_all(deltas)?)
    });
    request.await
}

/// Replays the whole log into the model's own state: the store must hold the same.
fn assert_replay(metadata: &Metadata) {
    let read = metadata.read();
    let mut state = State::new(SetKey([7; 32]));
    for (_, row) in read.list_journal(Commit(0), PAGE_LIMIT).unwrap().items {
        if let JournalRow::Entry { origin, seq } = row {
            let bytes = read.entry(origin, seq).unwrap().unwrap().bytes;
            state.apply(&crate::model::entry::Entry::decode(&bytes).unwrap(), &bytes);
        }
    }
    assert_eq!(read.sum(column::SumOf::Root).unwrap(), state.tables().root);
    assert_eq!(&read.vector().unwrap(), state.vector());
    for (key, births) in state.rows() {
        assert_eq!(&read.births(key).unwrap(), births);
    }
}

fn assert_whole(metadata: &Metadata) {
    assert_sound(metadata);
    assert_replay(metadata);
}

async fn run_memory(ops: Vec<Op>) {
    let mut engine = MemoryEngine::new();
    let mut metadata = open_over(engine.clone(), 1);
    let mut reference = Reference::default();
    // What failed writes would have made, which a crash may still bring back: until a request is answered, there may be several.
    let mut perhaps: Vec<Reference> = vec![];
    for (step, op) in ops.into_iter().enumerate() {
        let seed = 100 + step as u64;
        match op {
            Op::Fail(fault) => engine.fail_write(0, fault),
            Op::Reopen => {
                metadata.close();
                // What the writer left undone when it closed fails no more.
                engine = engine.crash(0);
                metadata = open_over(engine.clone(), seed);
                assert_whole(&metadata);
                perhaps.clear();
            }
            Op::Crash { kept } => {
                let after = engine.crash(kept);
                metadata.close();
                engine = after;
                metadata = open_over(engine.clone(), seed);
                assert_whole(&metadata);
                let seen = Reference::read(&metadata);
                if perhaps.contains(&seen) {
                    reference = seen;
                }
                perhaps.clear();
            }
            op => {
                let mut after = reference.clone();
                let expected = after.apply(&op);
                match send(&metadata, &op).await {
                    Ok(done) => {
                        assert_eq!(done, expected, "{op:?}");
                        reference = if done { after } else { reference };
                        perhaps.clear();
                    }
                    Err(MetadataError::NoSpace { .. } | MetadataError::Unavailable { .. }) => {
                        let seen = Reference::read(&metadata);
                        assert!(seen == reference || seen == after, "{op:?} was half done: {seen:?}");
                        perhaps.push(after);
                        reference = seen;
                    }
                    Err(error) => panic!("{op:?}: {error}"),
                }
            }
        }
        assert_eq!(Reference::read(&metadata), reference);
    }
    metadata.close();
    let metadata = open_over(engine.crash(0), 9);
    assert_whole(&metadata);
    assert_eq!(Reference::read(&metadata), reference);
}

async fn run_rocks(ops: Vec<Op>) {
    let directory = tempfile::tempdir().unwrap();
    let open = |seed| open_over(RocksEngine::open(directory.path(), &RocksSettings::default()).unwrap(), seed);
    let mut metadata = open(1);
    let mut reference = Reference::default();
    for (step, op) in ops.into_iter().enumerate() {
        match op {
            Op::Reopen | Op::Crash { .. } => {
                metadata.close();
                drop(metadata);
                metadata = open(100 + step as u64);
                assert_whole(&metadata);
            }
            op => {
                let mut after = reference.clone();
                let expected = after.apply(&op);
                assert_eq!(send(&metadata, &op).await, Ok(expected), "{op:?}");
                reference = if expected { after } else { reference };
            }
        }
        assert_eq!(Reference::read(&metadata), reference);
    }
    assert_whole(&metadata);
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn memory_keeps_what_was_acknowledged(ops in prop::collection::vec(op(), 1..60)) {
        block_on(run_memory(ops));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn rocks_keeps_what_was_acknowledged(ops in prop::collection::vec(op(), 1..50)) {
        block_on(run_rocks(ops));
    }
}
