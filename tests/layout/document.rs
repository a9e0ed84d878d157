//! The document is exact: a reader written from it finds in the fixture what the program says is there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use halidom::metadata::Read;
use halidom::metadata::column::{COLUMNS, SumOf};
use halidom::metadata::engine::{Bounds, Source};
use halidom::model::photo::PhotoView;
use halidom::model::{Owner, TenantId};

use crate::copy;
use crate::reader::{Entry, Live, Reader, Stamp, number};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// All columns of the fixture, as bytes.
fn columns(source: &dyn Source) -> BTreeMap<&'static str, Rows> {
    let read = |column: &halidom::metadata::column::ColumnInfo| {
        let mut rows = vec![];
        let mut each = |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        source.scan(column.id, &Bounds::all(), &mut each).unwrap();
        (column.name, rows)
    };
    COLUMNS.iter().map(read).collect()
}

/// Lengths of keys as the document's table gives them: the sum of the numbers that follow its words.
fn key_lengths(column: &str) -> Vec<usize> {
    match column {
        "site" | "heads" | "format" => vec![0],
        "erased" => vec![32, 49],
        "counts" => vec![1, 17, 33, 49],
        "sums" => vec![1, 3, 35],
        _ => {
            let document = std::fs::read_to_string(copy::fixtures().join("../storage-layout.md")).unwrap();
            let row = document.lines().find(|line| line.starts_with(&format!("| `{column}` |"))).expect("the column has a row").to_owned();
            let key = row.split('|').nth(3).unwrap().to_owned();
            vec![key.split(' ').filter_map(|word| word.parse::<usize>().ok()).sum()]
        }
    }
}

#[test]
fn every_key_and_value_is_what_the_document_says() {
    let data = copy::of_v1();
    let columns = columns(&copy::engine(data.path()).unwrap());
    for (column, rows) in &columns {
        let lengths = key_lengths(column);
        for (key, value) in rows {
            assert!(lengths.contains(&key.len()), "{column}: a key of {} bytes, not {lengths:?}", key.len());
            Reader(value).value(column);
        }
    }
    assert_eq!(columns["format"], [(vec![], vec![0, 0, 0, 0, 0, 0, 0, 1])]);
}

#[test]
fn a_photos_row_reads_as_the_program_shows_it() {
    let data = copy::of_v1();
    let rows = columns(&copy::engine(data.path()).unwrap()).remove("rows").unwrap();
    let metadata = copy::metadata(data.path()).unwrap();
    let at = metadata.read();
    let users = at.list_users(TenantId::DEFAULT, None, 100).unwrap().items;
    let mut compared = 0;
    for owner in users.iter().map(|user| user.owner()) {
        for (album, _) in at.list_albums(owner, None, 100).unwrap().items {
            for photo in at.list_photos(owner, album.id, None, 100).unwrap().items {
                compare(&rows, owner, &photo);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 7);
    metadata.close();
}

fn compare(rows: &Rows, owner: Owner, photo: &PhotoView) {
    let key = [owner.tenant.as_bytes(), owner.user.as_bytes(), &[4][..], photo.key.id.as_bytes()].concat();
    let (_, value) = rows.iter().find(|(found, _)| *found == key).expect("the row stands under its key");
    let births = Reader(value).births();
    let of_hash = |live: &&Live| live.fixed.as_ref().is_some_and(|fixed| fixed[&1] == photo.hash.as_bytes());
    let lives: Vec<&Live> = births.iter().filter_map(|(_, live)| live.as_ref()).filter(of_hash).collect();
    let [live] = lives[..] else { panic!("one birth of these bytes") };
    let birth = births.iter().find(|(_, found)| found.as_ref() == Some(live)).unwrap().0;
    assert_eq!(birth.fixed(), photo.created.to_bytes());
    let fixed = live.fixed.as_ref().unwrap();
    let text = |field: u64| fixed.get(&field).map(|value| String::from_utf8(value.clone()).unwrap());
    assert_eq!(number(&fixed[&2]), photo.size_bytes);
    assert_eq!(text(3).as_ref(), Some(&photo.format));
    let shown: [u64; 3] = [photo.width.into(), photo.height.into(), photo.orientation.into()];
    assert_eq!([4_u64, 5, 6].map(|field| number(&fixed[&field])), shown);
    assert_eq!(fixed[&7], photo.sha256.as_bytes());
    assert_eq!(fixed[&8], photo.crc32.to_be_bytes());
    assert_eq!([9, 10, 11, 12].map(text), [&photo.taken_at, &photo.camera_make, &photo.camera_model, &photo.lens].map(Clone::clone));
    let gps = photo.gps.map(|gps| [Some(gps.latitude_e7), Some(gps.longitude_e7), gps.altitude_mm]);
    let gps = gps.map(|numbers| numbers.into_iter().flatten().flat_map(i32::to_be_bytes).collect::<Vec<u8>>());
    assert_eq!(fixed.get(&13), gps.as_ref());
    assert_eq!(fixed.get(&14), photo.placeholder.as_ref());
    assert_eq!(live.place.as_ref().unwrap().1, photo.album.as_bytes());
    assert_eq!(live.removed, None);
    assert_eq!(String::from_utf8(live.registers[&1].1.clone()).unwrap(), photo.name);
    assert_eq!(live.registers.get(&2).map(|caption| String::from_utf8(caption.1.clone()).unwrap()), photo.caption);
}

/// Entries in the order of their keys, with the bytes that are hashed.
fn entries(rows: &Rows) -> Vec<(Vec<u8>, Entry)> {
    let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let mut stored = Reader(value);
        assert_eq!(stored.varint(), 1);
        stored.varint();
        let bytes = stored.bytes();
        let entry = Reader(&bytes).entry();
        assert_eq!(*key, [&entry.origin[..], &entry.seq.to_be_bytes()].concat());
        (bytes, entry)
    };
    rows.iter().map(read).collect()
}

#[test]
fn the_log_chains_as_the_document_says_and_gives_the_rows() {
    let data = copy::of_v1();
    let columns = columns(&copy::engine(data.path()).unwrap());
    let entries = entries(&columns["entries"]);
    let mut heads: BTreeMap<[u8; 16], (u64, [u8; 32])> = BTreeMap::new();
    for (bytes, entry) in &entries {
        let (seq, chain) = heads.get(&entry.origin).copied().unwrap_or((0, [0; 32]));
        assert_eq!((entry.seq, entry.previous), (seq + 1, chain));
        heads.insert(entry.origin, (entry.seq, *blake3::hash(bytes).as_bytes()));
    }
    for (origin, head) in &columns["vector"] {
        let mut head = Reader(head);
        assert_eq!(head.varint(), 1);
        let found = (head.varint(), head.option(Reader::array::<32>).unwrap());
        let origin: [u8; 16] = origin[..].try_into().unwrap();
        assert_eq!(found, heads[&origin]);
    }
    // Two lives: the later one names the end of the former.
    assert_eq!(heads.len(), 2);
    let former: Vec<_> = entries.iter().filter_map(|(_, entry)| entry.predecessor).collect();
    let [(origin, seq, chain)] = former[..] else { panic!("one life has a predecessor") };
    assert_eq!(heads[&origin], (seq, chain));

    // What created a photo is in its row still.
    let created = entries.iter().flat_map(|(_, entry)| &entry.deltas).filter(|(key, _, row)| key[32] == 4 && is_creation(row));
    let mut found = 0;
    for (key, birth, row) in created {
        let Some((_, value)) = columns["rows"].iter().find(|(other, _)| other == key) else { continue };
        let births = Reader(value).births();
        let Some((_, Some(now))) = births.iter().find(|(at, _)| at == birth) else { continue };
        assert_eq!(now.fixed, row.as_ref().unwrap().fixed);
        found += 1;
    }
    assert_eq!(found, 8);
}

fn is_creation(row: &Option<Live>) -> bool {
    row.as_ref().is_some_and(|live| live.fixed.is_some())
}

#[test]
fn the_root_follows_from_the_rows_as_the_document_says() {
    let data = copy::of_v1();
    let columns = columns(&copy::engine(data.path()).unwrap());
    let mut site = Reader(&columns["site"][0].1);
    assert_eq!(site.varint(), 1);
    site.id();
    let set_key: [u8; 32] = site.array();
    let (mut sum, mut count) = ([0_u8; 32], 0_u64);
    for (key, value) in &columns["rows"] {
        let births = Reader(value).births();
        let lives: Vec<(&Stamp, &Live)> = births.iter().filter_map(|(birth, live)| Some((birth, live.as_ref()?))).collect();
        if !lives.is_empty() {
            add(&mut sum, &row_hash(&set_key, key, &lives));
            count += 1;
        }
    }
    let metadata = copy::metadata(data.path()).unwrap();
    assert_eq!(metadata.read().sum(SumOf::Root).unwrap().to_bytes()[..], [&sum[..], &count.to_be_bytes()].concat());
    metadata.close();
}

fn row_hash(set_key: &[u8; 32], key: &[u8], births: &[(&Stamp, &Live)]) -> [u8; 32] {
    let mut form = vec![1];
    form.extend_from_slice(key);
    let sized = |form: &mut Vec<u8>, bytes: &[u8]| {
        form.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        form.extend_from_slice(bytes);
    };
    for (birth, live) in births {
        form.push(b'b');
        form.extend(birth.fixed());
        if let Some(fixed) = &live.fixed {
            form.push(b'f');
            form.extend_from_slice(&(fixed.len() as u64).to_be_bytes());
            for (field, value) in fixed {
                form.extend_from_slice(&u16::try_from(*field).unwrap().to_be_bytes());
                sized(&mut form, value);
            }
        }
        if let Some((at, value)) = &live.place {
            form.push(b'p');
            form.extend(at.fixed());
            sized(&mut form, value);
        }
        if let Some(removed) = &live.removed {
            form.push(b'x');
            form.extend(removed.fixed());
        }
        for (field, (at, value)) in &live.registers {
            form.push(b'r');
            form.extend_from_slice(&u16::try_from(*field).unwrap().to_be_bytes());
            form.extend(at.fixed());
            sized(&mut form, value);
        }
    }
    *blake3::keyed_hash(set_key, &form).as_bytes()
}

/// Big-endian addition modulo 2^256.
fn add(sum: &mut [u8; 32], hash: &[u8; 32]) {
    let mut carry = 0_u16;
    for (digit, other) in sum.iter_mut().zip(hash).rev() {
        let total = u16::from(*digit) + u16::from(*other) + carry;
        (*digit, carry) = (total.to_be_bytes()[1], total >> 8);
    }
}
