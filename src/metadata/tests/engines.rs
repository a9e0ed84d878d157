//! What every engine promises, run over memory and RocksDB.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::super::column::{COLUMNS, ColumnId};
use super::super::engine::{Batch, Bounds, Engine, Source};
use super::super::memory::{Fault, MemoryEngine};
use super::super::rocks::{RocksEngine, RocksSettings};
use super::MetadataError;

fn rocks(directory: &tempfile::TempDir) -> RocksEngine {
    RocksEngine::open(&directory.path().join("db"), &RocksSettings::default()).unwrap()
}

/// Runs a check over each engine.
fn each_engine(check: impl Fn(Arc<dyn Engine>)) {
    check(Arc::new(MemoryEngine::new()));
    let directory = tempfile::tempdir().unwrap();
    check(Arc::new(rocks(&directory)));
}

/// A change, borrowed.
type Borrowed<'a> = (ColumnId, &'a [u8], Option<&'a [u8]>);

fn batch(changes: &[Borrowed<'_>]) -> Batch {
    let mut batch = Batch::default();
    for (column, key, value) in changes {
        match value {
            Some(value) => batch.put(*column, key.to_vec(), value.to_vec()),
            None => batch.delete(*column, key.to_vec()),
        }
    }
    batch
}

fn keys(source: &dyn Source, column: ColumnId, bounds: &Bounds, limit: usize) -> Vec<Vec<u8>> {
    let mut keys = vec![];
    source
        .scan(column, bounds, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    keys
}

#[test]
fn what_is_written_is_read_and_columns_are_apart() {
    each_engine(|engine| {
        for column in COLUMNS {
            assert_eq!(engine.get(column.id, b"k").unwrap(), None);
        }
        engine.write(batch(&[(ColumnId::Rows, b"k", Some(b"1")), (ColumnId::Refs, b"k", Some(b""))]), true).unwrap();
        assert_eq!(engine.get(ColumnId::Rows, b"k").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(engine.get(ColumnId::Refs, b"k").unwrap().as_deref(), Some(&b""[..]), "an empty value is there");
        assert_eq!(engine.get(ColumnId::Held, b"k").unwrap(), None);
        engine.write(batch(&[(ColumnId::Rows, b"k", None), (ColumnId::Rows, b"absent", None)]), true).unwrap();
        assert_eq!(engine.get(ColumnId::Rows, b"k").unwrap(), None);
    });
}

#[test]
fn the_last_change_of_a_key_in_a_batch_holds() {
    each_engine(|engine| {
        let changes = [(ColumnId::Rows, &b"k"[..], Some(&b"1"[..])), (ColumnId::Rows, b"k", None), (ColumnId::Rows, b"k", Some(b"2"))];
        engine.write(batch(&changes), true).unwrap();
        assert_eq!(engine.get(ColumnId::Rows, b"k").unwrap().as_deref(), Some(&b"2"[..]));
    });
}

#[test]
fn many_are_answered_in_the_order_asked() {
    each_engine(|engine| {
        engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1")), (ColumnId::Rows, b"c", Some(b"3"))]), true).unwrap();
        let asked = [b"c", b"b", b"a", b"c"].map(|key| key.to_vec());
        let values = engine.multi_get(ColumnId::Rows, &asked).unwrap();
        assert_eq!(values, [Some(b"3".to_vec()), None, Some(b"1".to_vec()), Some(b"3".to_vec())]);
        assert_eq!(engine.snapshot().multi_get(ColumnId::Rows, &asked).unwrap(), values);
        assert!(engine.multi_get(ColumnId::Rows, &[]).unwrap().is_empty());
    });
}

#[test]
fn ranges_have_their_edges_and_directions() {
    each_engine(|engine| {
        let all: Vec<&[u8]> = vec![b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xff"];
        let puts: Vec<_> = all.iter().map(|key| (ColumnId::Rows, *key, Some(&b"v"[..]))).collect();
        engine.write(batch(&puts), true).unwrap();
        let found = |bounds: Bounds, limit| keys(&*engine, ColumnId::Rows, &bounds, limit);
        assert_eq!(found(Bounds::all(), 9), all);
        assert_eq!(found(Bounds::all().reversed(), 2), [&b"\xff\xff"[..], b"\xff"]);
        assert_eq!(found(Bounds::prefix(b"a"), 9), all[..3]);
        assert_eq!(found(Bounds::prefix(b"\xff"), 9), all[4..]);
        assert_eq!(found(Bounds::prefix(b"a").reversed(), 9), [&b"abc"[..], b"ab", b"a"]);
        assert_eq!(found(Bounds::prefix_after(b"a", b"ab".to_vec()), 9), all[2..3]);
        assert_eq!(found(Bounds::prefix(b"a"), 1), all[..1]);
        let between = |from, to| Bounds { from, to, reverse: false };
        assert_eq!(found(between(Bound::Excluded(b"a".to_vec()), Bound::Included(b"b".to_vec())), 9), all[1..4]);
        assert_eq!(found(between(Bound::Included(b"a".to_vec()), Bound::Excluded(b"b".to_vec())), 9), all[..3]);
        assert!(found(between(Bound::Included(b"b".to_vec()), Bound::Included(b"a".to_vec())), 9).is_empty());
        assert!(found(between(Bound::Excluded(b"a".to_vec()), Bound::Excluded(b"a".to_vec())), 9).is_empty());
    });
}

#[test]
fn a_snapshot_stays_as_it_was_and_outlives_its_engine() {
    each_engine(|engine| {
        engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
        let snapshot = engine.snapshot();
        engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"2")), (ColumnId::Rows, b"b", Some(b"2"))]), true).unwrap();
        drop(engine);
        assert_eq!(snapshot.get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(keys(&*snapshot, ColumnId::Rows, &Bounds::all(), 9), [b"a"]);
    });
}

/// What a read gives; `None` where it fails.
type Given<T> = Option<T>;

/// What is read of one key, and how many rows of all, without waiting for the disk; and whether something was missing for it.
fn in_memory(engine: &dyn Engine, key: &[u8]) -> (Given<Option<Vec<u8>>>, Given<usize>, bool) {
    let snapshot = engine.snapshot_in_memory();
    let one = snapshot.get(ColumnId::Rows, key);
    assert!(matches!(one, Ok(_) | Err(MetadataError::NotInMemory)), "{one:?}");
    let one = one.ok();
    let many = snapshot.multi_get(ColumnId::Rows, &[key.to_vec()]).ok();
    assert_eq!(one.clone().map(|value| vec![value]), many);
    let mut rows = 0;
    let scanned = snapshot.scan(ColumnId::Rows, &Bounds::all(), &mut |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    });
    (one, scanned.ok().map(|()| rows), snapshot.has_missed())
}

#[test]
fn what_does_not_lie_in_memory_is_not_waited_for_and_never_taken_for_absent() {
    const WAITS: (Given<Option<Vec<u8>>>, Given<usize>, bool) = (None, None, true);
    let one = || Some(Some(b"1".to_vec()));
    each_engine(|engine| {
        engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
        assert_eq!(in_memory(&*engine, b"a"), (one(), Some(1), false));
        assert_eq!(in_memory(&*engine, b"b"), (Some(None), Some(1), false));
    });

    let directory = tempfile::tempdir().unwrap();
    let engine = rocks(&directory);
    engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1")), (ColumnId::Rows, b"c", Some(b"1"))]), true).unwrap();
    engine.compact().unwrap();
    drop(engine);
    let engine = rocks(&directory);
    assert_eq!(in_memory(&engine, b"a"), WAITS);
    assert_eq!(in_memory(&engine, b"b"), WAITS, "nor can it be said yet that there is nothing");
    // Newer rows do not hide that older ones are out of reach.
    engine.write(batch(&[(ColumnId::Rows, b"b", Some(b"2"))]), true).unwrap();
    let (found, rows, missed) = in_memory(&engine, b"b");
    assert_eq!((found, rows, missed), (Some(Some(b"2".to_vec())), None, true));
    assert_eq!(engine.snapshot().get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(in_memory(&engine, b"a"), (one(), Some(3), false), "read once");

    let memory = MemoryEngine::new();
    memory.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
    memory.set_cold(true);
    assert_eq!(in_memory(&memory, b"a"), WAITS);
    assert_eq!(memory.snapshot().get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn rocks_comes_back_with_what_was_synced_and_admits_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let engine = rocks(&directory);
    engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
    let second = RocksEngine::open(&path, &RocksSettings::default());
    assert_eq!(second.map(drop), Err(MetadataError::Locked { path }));
    drop(engine);
    assert_eq!(rocks(&directory).get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn rocks_refuses_columns_that_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        rocksdb::DB::open_cf(&options, &path, ["default", "holograms"]).unwrap();
    }
    let refused = RocksEngine::open(&path, &RocksSettings::default());
    assert!(matches!(refused, Err(MetadataError::Newer { .. })), "{refused:?}");
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let engine = rocks(&directory);
    engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
    let copy = directory.path().join("copy");
    engine.checkpoint(&copy).unwrap();
    engine.write(batch(&[(ColumnId::Rows, b"a", Some(b"2"))]), true).unwrap();
    assert!(engine.checkpoint(&copy).is_err(), "never over another");
    let copy = RocksEngine::open(&copy, &RocksSettings::default()).unwrap();
    assert_eq!(copy.get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));

    let memory = MemoryEngine::new();
    memory.write(batch(&[(ColumnId::Rows, b"a", Some(b"1"))]), true).unwrap();
    memory.checkpoint("copy".as_ref()).unwrap();
    memory.write(batch(&[(ColumnId::Rows, b"a", None)]), true).unwrap();
    let copy = memory.open_checkpoint("copy".as_ref()).unwrap();
    assert_eq!(copy.get(ColumnId::Rows, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_checkpoint_on_another_file_system_is_refused() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = std::path::Path::new("/dev/shm");
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    if device(elsewhere).is_none() || device(elsewhere) == device(directory.path()) {
        // No second file system on this machine.
        return;
    }
    let path = elsewhere.join("halidom-checkpoint-that-must-not-be");
    assert_eq!(rocks(&directory).checkpoint(&path), Err(MetadataError::OtherFileSystem { path }));
}

#[test]
fn memory_loses_what_was_not_synced_from_the_end() {
    let put = |key: &'static [u8]| batch(&[(ColumnId::Rows, key, Some(b"v"))]);
    for (kept, expected) in [(0, 2), (1, 3), (2, 4), (9, 4)] {
        let engine = MemoryEngine::new();
        engine.write(put(b"a"), false).unwrap();
        engine.write(put(b"b"), true).unwrap();
        engine.write(put(b"c"), false).unwrap();
        engine.write(put(b"d"), false).unwrap();
        assert_eq!(engine.unsynced(), 2);
        let after = engine.crash(kept);
        assert_eq!(keys(&after, ColumnId::Rows, &Bounds::all(), 9).len(), expected);
        assert!(engine.write(put(b"e"), true).is_err() && engine.get(ColumnId::Rows, b"a").is_err(), "the old process is gone");
    }
}

#[test]
fn memory_fails_on_purpose() {
    let put = |key: &'static [u8]| batch(&[(ColumnId::Rows, key, Some(b"v"))]);
    for (fault, seen, after_crash) in [(Fault::NoSpace, 1, 1), (Fault::Lost, 1, 1), (Fault::Applied, 2, 2), (Fault::Ghost, 1, 2)] {
        let engine = MemoryEngine::new();
        engine.fail_write(1, fault);
        engine.write(put(b"a"), true).unwrap();
        assert!(engine.write(put(b"b"), true).is_err());
        assert_eq!(keys(&engine, ColumnId::Rows, &Bounds::all(), 9).len(), seen, "{fault:?}");
        assert_eq!(keys(&engine.crash(usize::MAX), ColumnId::Rows, &Bounds::all(), 9).len(), after_crash, "{fault:?}");
    }
    let engine = MemoryEngine::new();
    engine.set_unreadable(true);
    assert!(engine.get(ColumnId::Rows, b"a").is_err() && engine.snapshot().get(ColumnId::Rows, b"a").is_err());
    engine.set_unreadable(false);
    assert_eq!(engine.get(ColumnId::Rows, b"a").unwrap(), None);
}
