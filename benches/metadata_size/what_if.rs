//! What other forms of the largest columns would cost: measured on the same rows, before the layout is fixed for ever.

use std::ops::ControlFlow;
use std::path::Path;

use halidom::metadata::column::ColumnId;
use halidom::metadata::engine::{Bounds, Source};
use halidom::metadata::rocks::RocksEngine;
use rocksdb::{BlockBasedOptions, DB, DBCompressionType, Options, WriteOptions};

/// A form of a value.
type Form = fn(&[u8], &[u8; 16]) -> Vec<u8>;

const FORMS: [(&str, Form); 3] = [("as it is", as_it_is), ("origins interned", interned), ("repeated stamps as one byte", folded)];

pub fn print(engine: &RocksEngine, data: &Path, photos: u64) {
    println!("| column | compression | form | on disk |\n| --- | --- | --- | ---: |");
    let origin = origin(engine);
    for column in [ColumnId::Rows, ColumnId::Entries] {
        for (compression, name) in [(DBCompressionType::Lz4, "LZ4"), (DBCompressionType::Zstd, "Zstandard")] {
            for (form, with) in FORMS {
                let bytes = rewrite(engine, &data.join("what-if"), column, compression, |value| with(value, &origin));
                println!("| `{}` | {name} | {form} | {:.1} |", column.name(), bytes as f64 / photos as f64);
            }
        }
    }
    println!();
}

/// The only origin of this store.
fn origin(engine: &RocksEngine) -> [u8; 16] {
    let mut origin = [0; 16];
    let mut each = |key: &[u8], _: &[u8]| {
        origin.copy_from_slice(key);
        ControlFlow::Break(())
    };
    engine.scan(ColumnId::Vector, &Bounds::all(), &mut each).expect("the vector is read");
    origin
}

fn rewrite(engine: &RocksEngine, path: &Path, column: ColumnId, compression: DBCompressionType, form: impl Fn(&[u8]) -> Vec<u8>) -> u64 {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_size(8 << 10);
    tables.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(compression);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_block_based_table_factory(&tables);
    let bytes = {
        let db = DB::open(&options, path).expect("a database is made");
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let mut each = |key: &[u8], value: &[u8]| {
            db.put_opt(key, form(value), &unlogged).expect("a row is written");
            ControlFlow::Continue(())
        };
        engine.scan(column, &Bounds::all(), &mut each).expect("the column is read");
        db.flush().expect("the database is flushed");
        db.compact_range(None::<&[u8]>, None::<&[u8]>);
        db.property_int_value("rocksdb.total-sst-files-size").ok().flatten().unwrap_or(0)
    };
    DB::destroy(&Options::default(), path).expect("the database is removed");
    bytes
}

fn as_it_is(value: &[u8], _: &[u8; 16]) -> Vec<u8> {
    value.to_vec()
}

fn interned(value: &[u8], origin: &[u8; 16]) -> Vec<u8> {
    let mut out = vec![];
    let mut rest = value;
    while let Some(at) = rest.windows(16).position(|window| window == origin) {
        out.extend_from_slice(&rest[..at]);
        out.push(1);
        rest = &rest[at + 16..];
    }
    out.extend_from_slice(rest);
    out
}

/// The second and later stamps that equal the first become one byte: in a photo that was never edited, all do.
fn folded(value: &[u8], origin: &[u8; 16]) -> Vec<u8> {
    let Some(first) = value.windows(16).position(|window| window == origin) else { return value.to_vec() };
    // Nine bytes of time before the origin; the sequence after it ends with the first byte below 128.
    let Some(sequence) = value[first + 16..].iter().position(|byte| *byte < 128) else { return value.to_vec() };
    let stamp = &value[first.saturating_sub(9)..first + 16 + sequence + 1];
    let after = first + 16 + sequence + 1;
    let mut out = value[..after].to_vec();
    let mut rest = &value[after..];
    while let Some(at) = rest.windows(stamp.len()).position(|window| window == stamp) {
        out.extend_from_slice(&rest[..at]);
        out.push(1);
        rest = &rest[at + stamp.len()..];
    }
    out.extend_from_slice(rest);
    out
}
