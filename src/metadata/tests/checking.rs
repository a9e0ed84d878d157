//! `check` finds every damage, and says which.

use super::super::check::{Fault, Finding, check, check_while};
use super::super::column::ColumnId;
use super::super::engine::{Batch, Bounds, Source};
use super::*;
use crate::model::photo::PhotoView;
use std::ops::ControlFlow;

fn findings(engine: &MemoryEngine) -> Vec<Finding> {
    let mut findings = vec![];
    let checked = check(&Snapshot::new(engine.snapshot()), &mut |finding| findings.push(finding)).unwrap();
    assert_eq!(checked.findings, findings.len() as u64);
    findings
}

/// A store with at least one row in every column that `check` compares.
async fn full() -> MemoryEngine {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 1);
    let other = open_over(MemoryEngine::new(), 2);
    create_album(&metadata, owner(1), album(1), "a").await;
    for n in 1..=3 {
        upload(&metadata, owner(1), album(1), photo(n), n).await.unwrap();
    }
    upload(&metadata, owner(2), album(2), photo(1), 1).await.unwrap();
    upload(&other, owner(1), album(1), photo(1), 9).await.unwrap();
    exchange::pull(&other, &metadata).await;
    let purge =
        metadata.write("purge", |tx| tx.apply_all(tx.photo(owner(1), photo(2))?.as_ref().map(PhotoView::purge).unwrap_or_default()));
    purge.await.unwrap();
    metadata.write("pin", |tx| tx.promise(owner(1), &hash(1), WallMs(9))).await.unwrap();
    let secret =
        crate::model::token::NewToken { secret_hash: [8; 32], scopes: std::iter::empty().collect(), expires: None, label: String::new() };
    let id = crate::model::TokenId::from_bytes([5; 16]);
    metadata.write("token", move |tx| tx.apply(secret.create(owner(1), id, tx.stamp()))).await.unwrap();
    // A deletion of what has not arrived.
    let ahead = Stamp { hlc: crate::model::Hlc(1), origin: crate::model::Origin([3; 16]), seq: crate::model::Seq(1) };
    let key = crate::model::RowKey::album(owner(1), album(7));
    let stub = crate::model::row::Delta { key, birth: ahead, row: crate::model::row::Row::Dead };
    metadata.write("stub", move |tx| tx.apply(stub)).await.unwrap();
    metadata.close();
    assert_eq!(findings(&engine), []);
    engine
}

#[tokio::test]
async fn it_can_be_given_up_at_every_row() {
    let engine = full().await;
    let snapshot = Snapshot::new(engine.snapshot());
    for rows in 0.. {
        let asked = std::cell::Cell::new(0);
        let goes_on = || asked.replace(asked.get() + 1) < rows;
        match check_while(&snapshot, &goes_on, &mut |finding| panic!("{finding}")) {
            Ok(checked) => {
                assert!(rows > 40, "{rows}");
                return assert_eq!(checked, check(&snapshot, &mut |_| {}).unwrap());
            }
            Err(error) => {
                assert_eq!(error, MetadataError::Unavailable { detail: "the check was given up".to_owned() });
                assert!(asked.get() <= rows + 2, "and stops there: {} of {rows}", asked.get());
            }
        }
    }
}

fn rows(engine: &MemoryEngine, column: ColumnId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = vec![];
    let mut each = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    engine.scan(column, &Bounds::all(), &mut each).unwrap();
    rows
}

fn set(engine: &MemoryEngine, column: ColumnId, key: &[u8], value: Option<&[u8]>) {
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(column, key.to_vec(), value.to_vec()),
        None => batch.delete(column, key.to_vec()),
    }
    engine.write(batch, true).unwrap();
}

/// Columns whose every row follows from others.
const CHECKED: [ColumnId; 16] = [
    ColumnId::Rows,
    ColumnId::Entries,
    ColumnId::Vector,
    ColumnId::Journal,
    ColumnId::Refs,
    ColumnId::Held,
    ColumnId::Died,
    ColumnId::HeldByOwner,
    ColumnId::AlbumPhotos,
    ColumnId::AlbumHashes,
    ColumnId::OtherIds,
    ColumnId::Names,
    ColumnId::TokenSecrets,
    ColumnId::Stubs,
    ColumnId::CountsOf,
    ColumnId::Sums,
];

#[tokio::test]
async fn a_row_that_is_lost_is_found_missing() {
    let engine = full().await;
    for column in CHECKED {
        let all = rows(&engine, column);
        assert!(!all.is_empty(), "{}", column.name());
        for (key, value) in all {
            set(&engine, column, &key, None);
            assert!(!findings(&engine).is_empty(), "{} {key:02x?}", column.name());
            set(&engine, column, &key, Some(&value));
        }
    }
    assert_eq!(findings(&engine), []);
}

#[tokio::test]
async fn a_row_that_follows_from_nothing_is_found() {
    let engine = full().await;
    for column in CHECKED {
        for (key, value) in rows(&engine, column) {
            let mut other = key.clone();
            let Some(last) = other.last_mut() else { continue };
            *last ^= 0x40;
            set(&engine, column, &other, Some(&value));
            let found = findings(&engine);
            assert!(!found.is_empty(), "{} {other:02x?}", column.name());
            set(&engine, column, &other, None);
        }
    }
    assert_eq!(findings(&engine), []);
}

#[tokio::test]
async fn a_row_with_another_value_is_found() {
    let engine = full().await;
    // In which commit a live reference began follows from nothing else that is stored.
    for column in CHECKED.into_iter().filter(|column| *column != ColumnId::Refs) {
        for (key, value) in rows(&engine, column) {
            let mut other = value.clone();
            match other.last_mut() {
                Some(last) => *last ^= 1,
                None => other.push(1),
            }
            set(&engine, column, &key, Some(&other));
            assert!(!findings(&engine).is_empty(), "{} {key:02x?}", column.name());
            set(&engine, column, &key, Some(&value));
        }
    }
    assert_eq!(findings(&engine), []);
}

#[tokio::test]
async fn the_kind_of_a_damage_is_named() {
    let engine = full().await;
    let only = |engine: &MemoryEngine, column: ColumnId| {
        let found = findings(engine);
        assert!(found.iter().all(|finding| finding.column == column), "{found:?}");
        found[0].fault
    };
    let (key, value) = rows(&engine, ColumnId::AlbumPhotos).remove(0);
    set(&engine, ColumnId::AlbumPhotos, &key, None);
    assert_eq!(only(&engine, ColumnId::AlbumPhotos), Fault::Missing);
    set(&engine, ColumnId::AlbumPhotos, &key, Some(&value));
    let (key, value) = rows(&engine, ColumnId::Rows).remove(0);
    set(&engine, ColumnId::Rows, &key, Some(&[9]));
    assert!(findings(&engine).iter().any(|finding| finding.fault == Fault::Malformed && finding.column == ColumnId::Rows));
    set(&engine, ColumnId::Rows, &key, Some(&value));
    let (_, stored) = rows(&engine, ColumnId::Blobs).remove(0);
    let (hash, _) = rows(&engine, ColumnId::Blobs).remove(0);
    let named = BlobRow::new(BlobHash::from_bytes(hash.clone().try_into().unwrap()), StoredBlob::from_value(&stored).unwrap()).key;
    set(&engine, ColumnId::Doomed, &named.to_bytes(), Some(&WallMs(1).to_value()));
    let found = findings(&engine);
    assert!(found.iter().any(|finding| finding.column == ColumnId::Doomed), "a named copy in the delete queue: {found:?}");
    set(&engine, ColumnId::Doomed, &named.to_bytes(), None);
    assert_eq!(findings(&engine), []);
}

#[tokio::test]
async fn a_blob_row_that_is_lost_is_missed_where_its_photo_was_acknowledged() {
    let engine = full().await;
    for n in [1, 3] {
        let key = hash(n).as_bytes().to_vec();
        let (_, value) = rows(&engine, ColumnId::Blobs).into_iter().find(|(found, _)| *found == key).unwrap();
        set(&engine, ColumnId::Blobs, &key, None);
        let found = findings(&engine);
        let lost = |finding: &&Finding| finding.column == ColumnId::Blobs && finding.fault == Fault::Missing && finding.key == key;
        assert!(found.iter().any(|finding| lost(&finding)), "{found:?}");
        set(&engine, ColumnId::Blobs, &key, Some(&value));
    }
    // What came from the other site has no bytes here yet, which is no damage.
    let checked = check(&Snapshot::new(engine.snapshot()), &mut |_| {}).unwrap();
    assert_eq!((checked.findings, checked.arriving), (0, 1));
}

#[tokio::test]
async fn a_blob_row_with_another_digest_is_found() {
    let engine = full().await;
    let (key, stored) = rows(&engine, ColumnId::Blobs).remove(0);
    let right = StoredBlob::from_value(&stored).unwrap();
    let wrong = [
        StoredBlob { size_bytes: right.size_bytes + 1, ..right },
        StoredBlob { sha256: Sha256::from_bytes([99; 32]), ..right },
        StoredBlob { crc32: right.crc32 ^ 1, ..right },
    ];
    for wrong in wrong {
        set(&engine, ColumnId::Blobs, &key, Some(&wrong.to_value()));
        let found = findings(&engine);
        assert!(found.iter().any(|finding| finding.column == ColumnId::Blobs && finding.fault == Fault::Differs), "{found:?}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_found_in_every_column_and_hides_no_other() {
    let engine = full().await;
    let (lost, listed) = rows(&engine, ColumnId::AlbumPhotos).remove(0);
    set(&engine, ColumnId::AlbumPhotos, &lost, None);
    // A store without these two does not open.
    let columns = super::super::column::COLUMNS.iter().filter(|column| !["site", "format"].contains(&column.name));
    for column in columns {
        for (key, value) in rows(&engine, column.id) {
            set(&engine, column.id, &key, Some(&[0]));
            let found = findings(&engine);
            let here = found.iter().filter(|finding| finding.column == column.id && finding.key == key);
            assert!(here.clone().count() >= 1, "{} {key:02x?}: {found:?}", column.name);
            assert!(here.filter(|finding| finding.fault == Fault::Malformed).count() <= 1, "said once: {found:?}");
            if column.id != ColumnId::Rows {
                let other = |finding: &&Finding| finding.column == ColumnId::AlbumPhotos && finding.key == lost;
                assert!(found.iter().any(|finding| other(&finding)), "{}: {found:?}", column.name);
            }
            set(&engine, column.id, &key, Some(&value));
        }
    }
    set(&engine, ColumnId::AlbumPhotos, &lost, Some(&listed));
    assert_eq!(findings(&engine), []);
}
