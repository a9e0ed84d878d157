//! Bytes by column family, and those of a photo's row by field.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use halidom::metadata::column::{COLUMNS, ColumnId};
use halidom::metadata::engine::{Bounds, Source};
use halidom::metadata::rocks::RocksEngine;
use halidom::model::row::{Births, Register, Row};
use halidom::model::{Kind, Stamp};

/// Names of a photo's fixed fields by number; `storage-layout.md` has the same.
const FIXED: [&str; 16] = [
    "hash",
    "size_bytes",
    "format",
    "width",
    "height",
    "orientation",
    "sha256",
    "crc32",
    "taken_at",
    "camera_make",
    "camera_model",
    "lens",
    "gps",
    "placeholder",
    "first_created_ms",
    "perceptual_hash",
];

/// The kind's place in a row's key: after tenant and user.
const KIND_AT: usize = 32;

/// Bytes of all tables.
pub fn table_bytes(engine: &RocksEngine) -> u64 {
    COLUMNS.iter().map(|column| engine.table_bytes(column.id)).sum()
}

pub fn print(engine: &RocksEngine, photos: u64) {
    let each = |bytes: u64| bytes as f64 / photos as f64;
    println!("\n| column | rows a photo | key bytes | value bytes | on disk |\n| --- | ---: | ---: | ---: | ---: |");
    let mut total = [0; 4];
    for column in COLUMNS {
        let [rows, keys, values] = sizes(engine, column.id);
        let disk = engine.table_bytes(column.id);
        if rows > 0 {
            println!("| `{}` | {:.3} | {:.1} | {:.1} | {:.1} |", column.name, each(rows), each(keys), each(values), each(disk));
        }
        for (total, part) in total.iter_mut().zip([rows, keys, values, disk]) {
            *total += part;
        }
    }
    let [rows, keys, values, disk] = total.map(each);
    println!("| all | {rows:.3} | {keys:.1} | {values:.1} | {disk:.1} |");
    println!("\n| part of a photo's value in `rows` | bytes |\n| --- | ---: |");
    let mut sum = 0;
    for (part, bytes) in photo_parts(engine) {
        println!("| {} | {:.1} |", part.1, each(bytes));
        sum += bytes;
    }
    println!("| all | {:.1} |\n", each(sum));
}

fn sizes(engine: &RocksEngine, column: ColumnId) -> [u64; 3] {
    let mut sizes = [0; 3];
    let mut each = |key: &[u8], value: &[u8]| {
        sizes[0] += 1;
        sizes[1] += key.len() as u64;
        sizes[2] += value.len() as u64;
        ControlFlow::Continue(())
    };
    engine.scan(column, &Bounds::all(), &mut each).expect("the column is read");
    sizes
}

/// Bytes of a number as a varint.
fn varint(number: u64) -> u64 {
    u64::from((64 - number.max(1).leading_zeros()).div_ceil(7))
}

fn stamp(stamp: &Stamp) -> u64 {
    varint(stamp.hlc.0) + 16 + varint(stamp.seq.0)
}

fn text(value: &[u8]) -> u64 {
    varint(value.len() as u64) + value.len() as u64
}

/// Sums over all photos, in the order in which the parts stand.
fn photo_parts(engine: &RocksEngine) -> BTreeMap<(u32, String), u64> {
    let mut parts = BTreeMap::new();
    let mut each = |key: &[u8], value: &[u8]| {
        if key[KIND_AT] == Kind::PHOTO.0 {
            let births = Births::decode(value).expect("a row decodes");
            assert_eq!(add(&births, &mut parts), value.len() as u64, "the parts are the whole");
        }
        ControlFlow::Continue(())
    };
    engine.scan(ColumnId::Rows, &Bounds::all(), &mut each).expect("rows are read");
    parts
}

fn add(births: &Births, parts: &mut BTreeMap<(u32, String), u64>) -> u64 {
    let mut sum = 0;
    let mut put = |order: u32, part: &str, bytes: u64| {
        *parts.entry((order, part.to_owned())).or_default() += bytes;
        sum += bytes;
    };
    let register = |register: &Register| (stamp(&register.stamp), text(&register.value));
    put(0, "version, number of births", 2);
    for (birth, row) in births.iter() {
        put(1, "birth: stamp", stamp(birth));
        // Live or dead; whether there are fixed fields, a place, a trash mark; how many fields, how many registers.
        put(2, "tags and numbers of fields", 1);
        let Row::Live(live) = row else { continue };
        put(2, "tags and numbers of fields", 3);
        if let Some(fixed) = &live.fixed {
            put(2, "tags and numbers of fields", varint(fixed.len() as u64));
            for (field, value) in fixed {
                let name = FIXED.get(usize::from(field.0) - 1).copied().unwrap_or("unknown");
                put(2 + u32::from(field.0), &format!("`{name}`"), varint(field.0.into()) + text(value));
            }
        }
        if let Some(place) = &live.place {
            let (at, value) = register(place);
            put(100, "place: stamp", at);
            put(101, "place: album", value);
        }
        if let Some(removed) = &live.removed {
            put(102, "trash mark", stamp(removed));
        }
        put(2, "tags and numbers of fields", varint(live.registers.len() as u64));
        for (field, value) in &live.registers {
            let (at, value) = register(value);
            put(103, "registers: number, stamp", varint(field.0.into()) + at);
            put(104, "registers: value (the name)", value);
        }
    }
    sum
}
