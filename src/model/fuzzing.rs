//! What the fuzz targets in `fuzz/` do with any bytes (`imaging::fuzzing` says more): records as they are stored and sent between sites.

use super::derive::derive;
use super::entry::Entry;
use super::journal::Record;
use super::row::{Births, Delta};
use super::set_hash::SetKey;
use super::{DecodeError, Kind, Owner, PhotoId, RowKey};

/// A row, an entry of the change log, a record of the journal: what can be read is written again as what is read as the same; everything
/// follows from any row, and joining what is there already changes nothing.
pub fn stored_record(bytes: &[u8]) {
    if let Some(births) = read_again(bytes, Births::decode, Births::encode) {
        let id = PhotoId::from_bytes([7; 16]);
        for kind in [Kind::PHOTO, Kind::ALBUM, Kind::TENANT, Kind::USER, Kind::TOKEN] {
            all_follows(&RowKey { kind, ..RowKey::photo(Owner::DEFAULT, id) }, &births);
        }
    }
    let mut deltas = vec![];
    if let Some(entry) = read_again(bytes, Entry::decode, Entry::encode) {
        deltas.extend(entry.deltas);
    }
    match read_again(bytes, Record::decode, Record::encode) {
        Some(Record::Entry(encoded)) => {
            deltas.extend(read_again(&encoded, Entry::decode, Entry::encode).into_iter().flat_map(|entry| entry.deltas));
        }
        Some(Record::Reconciled { deltas: reconciled, .. }) => deltas.extend(reconciled),
        Some(Record::Vector(_)) | None => {}
    }
    let (mut births, mut backwards) = (Births::default(), Births::default());
    let join = |births: &mut Births, delta: &Delta| births.join(delta.birth, &delta.row, false);
    deltas.iter().for_each(|delta| join(&mut births, delta));
    deltas.iter().rev().for_each(|delta| join(&mut backwards, delta));
    assert_eq!(births, backwards, "in whatever order they come");
    deltas.iter().for_each(|delta| all_follows(&delta.key, &births));
}

fn all_follows(key: &RowKey, births: &Births) {
    let derived = derive(&SetKey([1; 32]), key, births);
    assert!(derived.refs.is_sorted(), "{derived:?}");
    let mut again = births.clone();
    births.iter().for_each(|(birth, row)| again.join(*birth, row, false));
    assert_eq!(&again, births);
}

/// Reads, and holds what was read to its own form.
fn read_again<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let value = decode(bytes).ok()?;
    assert_eq!(decode(&encode(&value)).as_ref(), Ok(&value));
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::album::NewAlbum;
    use super::super::entry::ChainHash;
    use super::super::{AlbumId, Hlc, Origin, Seq, Stamp};
    use super::*;
    use crate::runtime::seeds::{hold, run};

    #[test]
    fn records_hold_for_their_seeds() {
        let at = Stamp { hlc: Hlc(0x0193_5d5b_0000_0000), origin: Origin([0xee; 16]), seq: Seq(1) };
        let album = NewAlbum { name: "a".to_owned(), description: "d".to_owned() };
        let delta = album.create(Owner::DEFAULT, AlbumId::from_bytes([7; 16]), at);
        let mut births = Births::default();
        births.join(delta.birth, &delta.row, false);
        let entry = Entry {
            origin: at.origin,
            seq: at.seq,
            hlc: at.hlc,
            previous: ChainHash::ROOT,
            predecessor: None,
            deltas: vec![delta.clone()],
            erasures: vec![],
        };
        let reconciled = Record::Reconciled { erasures: vec![], deltas: vec![delta] };
        let seeds = [
            ("row", births.encode()),
            ("entry", entry.encode()),
            ("record", Record::of_entry(&entry).encode()),
            ("reconciled", reconciled.encode()),
        ];
        hold("fuzz/seeds/stored_record", seeds);
        run(stored_record, &["fuzz/seeds/stored_record"]);
    }
}
