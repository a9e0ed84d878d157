//! The damages that `fixtures/damaged/*/damage.json` describes, done to a copy of the first layout's store.
//!
//! Rows and blobs are named by their place in the order of keys: the store never changes.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use halidom::metadata::column::{COLUMNS, ColumnId};
use halidom::metadata::engine::{Batch, Bounds, Engine, Source};
use halidom::metadata::rocks::RocksEngine;
use halidom::model::BlobKey;
use serde::Deserialize;

use crate::copy::{self, unhex};

/// One kind of damage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// What happened, for people.
    pub description: String,
    /// What is done, in this order: rows first, then files.
    pub steps: Vec<Step>,
}

/// One change.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// A row is lost.
    DeleteRow { column: String, row: usize },
    /// One byte of a row's value has another lowest bit; from the end where it is negative.
    FlipValue { column: String, row: usize, byte: isize },
    /// A row has another value, in hex.
    SetValue { column: String, row: usize, value: String },
    /// A row appears under another key: that of a row with the lowest bit of one byte turned; from the end where it is negative.
    AddRow { column: String, like: usize, byte: isize },
    /// A row appears in a column under the key of a row in another one.
    AddRowUnderKeyOf { column: String, of: String, row: usize, value: String },
    /// The copy that a blob's row names is queued for deletion.
    DoomNamedCopy { blob: usize },
    /// A blob's copy is gone.
    DeleteCopy { blob: usize },
    /// One byte in the middle of a blob's copy has another lowest bit.
    FlipCopy { blob: usize },
    /// A blob's copy has lost this many bytes at its end.
    ShortenCopy { blob: usize, by: u64 },
    /// A blob's copy has these bytes more.
    LengthenCopy { blob: usize, text: String },
    /// A blob's copy was moved to another place in the store.
    MoveCopy { blob: usize, to: String },
    /// The directory that holds a blob's copy was replaced by a link that leads nowhere.
    ReplaceDirectoryByLink { blob: usize },
    /// The directory that holds a blob's copy was replaced by a file.
    ReplaceDirectoryByFile { blob: usize },
    /// The directory that holds the directory of a blob's copy was replaced by a file.
    ReplaceParentByFile { blob: usize },
    /// A file has this text; it is made where there is none.
    WriteFile { path: String, text: String },
    /// A file is gone.
    DeleteFile { path: String },
    /// One byte of the first table that holds a column has another lowest bit.
    FlipTable { table: String, byte: usize },
}

/// Does a damage to the store in `data`.
pub fn inflict(data: &Path, damage: &Damage) {
    for step in &damage.steps {
        step.inflict(data);
    }
}

impl Step {
    fn inflict(&self, data: &Path) {
        match self {
            Self::DeleteRow { column, row } => {
                let engine = copy::engine(data).unwrap();
                let (column, (key, _)) = nth(&engine, column, *row);
                set(&engine, column, key, None);
            }
            Self::FlipValue { column, row, byte } => {
                let engine = copy::engine(data).unwrap();
                let (column, (key, mut value)) = nth(&engine, column, *row);
                flip(&mut value, *byte);
                set(&engine, column, key, Some(value));
            }
            Self::SetValue { column, row, value } => {
                let engine = copy::engine(data).unwrap();
                let (column, (key, _)) = nth(&engine, column, *row);
                set(&engine, column, key, Some(unhex(value)));
            }
            Self::AddRow { column, like, byte } => {
                let engine = copy::engine(data).unwrap();
                let (column, (mut key, value)) = nth(&engine, column, *like);
                flip(&mut key, *byte);
                set(&engine, column, key, Some(value));
            }
            Self::AddRowUnderKeyOf { column, of, row, value } => {
                let engine = copy::engine(data).unwrap();
                let (_, (key, _)) = nth(&engine, of, *row);
                set(&engine, column_id(column), key, Some(unhex(value)));
            }
            Self::DoomNamedCopy { blob } => {
                let key = blob_key(data, *blob).to_bytes().to_vec();
                // Version 1, one millisecond after the epoch.
                set(&copy::engine(data).unwrap(), ColumnId::Doomed, key, Some(vec![1, 1]));
            }
            Self::DeleteCopy { blob } => fs::remove_file(copy_path(data, *blob)).unwrap(),
            Self::FlipCopy { blob } => edit(&copy_path(data, *blob), |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }),
            Self::ShortenCopy { blob, by } => edit(&copy_path(data, *blob), |bytes| {
                bytes.truncate(bytes.len() - usize::try_from(*by).unwrap());
            }),
            Self::LengthenCopy { blob, text } => edit(&copy_path(data, *blob), |bytes| bytes.extend(text.as_bytes())),
            Self::MoveCopy { blob, to } => {
                let to = data.join(to);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::rename(copy_path(data, *blob), to).unwrap();
            }
            Self::ReplaceDirectoryByLink { blob } => {
                let leaf = copy_path(data, *blob).parent().unwrap().to_owned();
                fs::remove_dir_all(&leaf).unwrap();
                std::os::unix::fs::symlink("nowhere", leaf).unwrap();
            }
            Self::ReplaceDirectoryByFile { blob } => replace_by_file(copy_path(data, *blob).parent().unwrap()),
            Self::ReplaceParentByFile { blob } => replace_by_file(copy_path(data, *blob).parent().unwrap().parent().unwrap()),
            Self::WriteFile { path, text } => {
                let path = data.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self::DeleteFile { path } => fs::remove_file(data.join(path)).unwrap(),
            Self::FlipTable { table, byte } => edit(&data.join("metadata").join(table), |bytes| bytes[*byte] ^= 1),
        }
    }
}

fn replace_by_file(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
    fs::write(directory, "not a directory").unwrap();
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn flip(bytes: &mut [u8], at: isize) {
    let at = if at < 0 { bytes.len().checked_add_signed(at).unwrap() } else { at.unsigned_abs() };
    bytes[at] ^= 1;
}

fn column_id(name: &str) -> ColumnId {
    COLUMNS.iter().find(|column| column.name == name).unwrap_or_else(|| panic!("there is no column {name}")).id
}

fn set(engine: &RocksEngine, column: ColumnId, key: Vec<u8>, value: Option<Vec<u8>>) {
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(column, key, value),
        None => batch.delete(column, key),
    }
    engine.write(batch, true).unwrap();
}

fn nth(engine: &RocksEngine, column: &str, row: usize) -> (ColumnId, (Vec<u8>, Vec<u8>)) {
    let column = column_id(column);
    let mut rows = vec![];
    let mut each = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    engine.scan(column, &Bounds::all(), &mut each).unwrap();
    (column, rows.swap_remove(row))
}

fn blob_key(data: &Path, blob: usize) -> BlobKey {
    let (_, (hash, row)) = nth(&copy::engine(data).unwrap(), "blobs", blob);
    // The nonce stands after the row's version.
    BlobKey::from_bytes(&[&hash[..], &row[1..13]].concat()).unwrap()
}

fn copy_path(data: &Path, blob: usize) -> PathBuf {
    data.join("blobs").join(halidom::blobs::path::copy(&blob_key(data, blob)))
}
