//! The little that is read of a raw file's EXIF, as a block of its own: maker notes of megabytes and the pictures stay behind, and formats
//! that spread it over several blocks, or begin otherwise than TIFF, are read as all others.

use std::collections::BTreeMap;

use crate::imaging::structure::directories::{Directory, Entry, Reader, tag};

/// A longer value is none of those that are read.
const MAX_VALUE_BYTES: u64 = 1_024;

/// Which directory a note stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// TIFF's own: camera, orientation.
    Main,
    /// Dates, lens.
    Exif,
    /// Position.
    Gps,
}

impl Part {
    fn has(self, tag: u16) -> bool {
        match self {
            Self::Main => matches!(tag, tag::MAKE | tag::MODEL | tag::ORIENTATION),
            // Dates of taking and digitizing, their offsets and fractions of a second; the lens.
            Self::Exif => matches!(tag, 0x9003 | 0x9004 | 0x9010..=0x9012 | 0x9290..=0x9292 | 0xA434),
            Self::Gps => (1..=6).contains(&tag),
        }
    }
}

#[derive(Clone, Debug)]
struct Note {
    kind: u16,
    count: u32,
    /// Little-endian.
    value: Vec<u8>,
}

/// What is read, by where it stands and its tag.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(BTreeMap<(Part, u16), Note>);

impl Notes {
    /// Of an EXIF block in TIFF form; empty where it is none.
    pub(super) fn of_block(block: &[u8]) -> Self {
        let first = |reader: Reader<'_>| Some(Self::of_file(reader, reader.directory(reader.first_directory()?)?));
        Reader::new(block).and_then(first).unwrap_or_default()
    }

    /// Of a file, by its first directory and those that it names.
    pub(super) fn of_file(reader: Reader<'_>, first: Directory<'_>) -> Self {
        let mut notes = Self::default();
        notes.take(reader, first, Part::Main);
        for (pointer, part) in [(tag::EXIF, Part::Exif), (tag::GPS, Part::Gps)] {
            let at = find(first, pointer).and_then(|entry| reader.number(entry, 0));
            if let Some(directory) = at.and_then(|at| reader.directory(at)) {
                notes.take(reader, directory, part);
            }
        }
        // TIFF/EP has the date of taking in the first directory.
        if !notes.has(Part::Exif) {
            notes.take(reader, first, Part::Exif);
        }
        notes
    }

    /// Takes what a directory has for this part.
    pub(super) fn take(&mut self, reader: Reader<'_>, directory: Directory<'_>, part: Part) {
        for entry in entries(directory).filter(|entry| part.has(entry.tag)) {
            if let Some(note) = note(reader, entry) {
                self.0.entry((part, entry.tag)).or_insert(note);
            }
        }
    }

    /// Adds what is missing: tags of the main directory, of the others only all together.
    pub(super) fn complete(&mut self, other: Self) {
        let (has_exif, has_gps) = (self.has(Part::Exif), self.has(Part::Gps));
        for ((part, tag), note) in other.0 {
            if !matches!((part, has_exif, has_gps), (Part::Exif, true, _) | (Part::Gps, _, true)) {
                self.0.entry((part, tag)).or_insert(note);
            }
        }
    }

    fn has(&self, part: Part) -> bool {
        self.0.range((part, 0)..=(part, u16::MAX)).next().is_some()
    }

    /// An EXIF block in TIFF form, at most some 20 KiB long.
    pub(super) fn to_block(&self) -> Vec<u8> {
        const POINTERS: [(u16, Part); 2] = [(tag::EXIF, Part::Exif), (tag::GPS, Part::Gps)];
        let of = |part: Part| self.0.range((part, 0)..=(part, u16::MAX)).map(|((_, tag), note)| (*tag, note));
        let length = |entries: usize| 2 + 12 * entries + 4;
        let pointers = POINTERS.into_iter().filter(|(_, part)| self.has(*part));
        let main_at = 8;
        let exif_at = main_at + length(of(Part::Main).count() + pointers.clone().count());
        let gps_at = exif_at + length(of(Part::Exif).count());
        let data_at = gps_at + length(of(Part::Gps).count());

        let (mut block, mut data) = (b"II*\0\x08\0\0\0".to_vec(), vec![]);
        for part in [Part::Main, Part::Exif, Part::Gps] {
            let named = pointers.clone().filter(|_| part == Part::Main);
            let count = of(part).count() + named.clone().count();
            block.extend_from_slice(&(count as u16).to_le_bytes());
            for (tag, note) in of(part) {
                let value = &note.value;
                head(&mut block, tag, note.kind, note.count);
                if value.len() <= 4 {
                    block.extend_from_slice(value);
                    block.extend_from_slice(&[0; 4][value.len()..]);
                } else {
                    block.extend_from_slice(&((data_at + data.len()) as u32).to_le_bytes());
                    data.extend_from_slice(value);
                }
            }
            for (tag, part) in named {
                const LONG: u16 = 4;
                head(&mut block, tag, LONG, 1);
                let at = if part == Part::Exif { exif_at } else { gps_at };
                block.extend_from_slice(&(at as u32).to_le_bytes());
            }
            block.extend_from_slice(&[0; 4]);
        }
        block.extend_from_slice(&data);
        block
    }
}

/// The thumbnail of an EXIF block in TIFF form: its second directory's (EXIF 4.5.5).
pub(super) fn thumbnail(block: &[u8]) -> Option<&[u8]> {
    let reader = Reader::new(block)?;
    let second = reader.directory(reader.directory(reader.first_directory()?)?.next?)?;
    let number = |tag: u16| find(second, tag).and_then(|entry| reader.number(entry, 0)).and_then(|number| usize::try_from(number).ok());
    let start = number(tag::JPEG_OFFSET)?;
    block.get(start..start.checked_add(number(tag::JPEG_LENGTH)?)?)
}

fn head(block: &mut Vec<u8>, tag: u16, kind: u16, count: u32) {
    block.extend_from_slice(&tag.to_le_bytes());
    block.extend_from_slice(&kind.to_le_bytes());
    block.extend_from_slice(&count.to_le_bytes());
}

/// As many as a directory is read of.
fn entries(directory: Directory<'_>) -> impl Iterator<Item = Entry> {
    directory.entries().take(super::walk::MAX_ENTRIES as usize)
}

fn find(directory: Directory<'_>, tag: u16) -> Option<Entry> {
    entries(directory).find(|entry| entry.tag == tag)
}

/// `None` for a value that is not there, too long, or of a type that classic files do not have.
fn note(reader: Reader<'_>, entry: Entry) -> Option<Note> {
    // Numbers that are turned around for the other byte order; a fraction is two.
    let unit = match entry.kind {
        1 | 2 | 7 => 1,
        3 | 8 => 2,
        4 | 5 | 9 | 10 => 4,
        _ => return None,
    };
    let (_, length) = reader.place(entry).filter(|(_, length)| *length <= MAX_VALUE_BYTES)?;
    let mut value = reader.bytes(entry)?.to_vec();
    if !reader.is_little() {
        value.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
    (length > 0).then_some(Note { kind: entry.kind, count: u32::try_from(entry.count).ok()?, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_the_same_again() {
        // Make "ab", orientation 6, and a directory for EXIF with a date, big-endian.
        let mut block = b"MM\0*\0\0\0\x08\0\x03".to_vec();
        for (tag, kind, count, value) in
            [(tag::MAKE, 2_u16, 3_u32, *b"ab\0\0"), (tag::ORIENTATION, 3, 1, [0, 6, 0, 0]), (tag::EXIF, 4, 1, [0, 0, 0, 50])]
        {
            block.extend_from_slice(&tag.to_be_bytes());
            block.extend_from_slice(&kind.to_be_bytes());
            block.extend_from_slice(&count.to_be_bytes());
            block.extend_from_slice(&value);
        }
        block.extend_from_slice(&[0; 4]);
        assert_eq!(block.len(), 50);
        block.extend_from_slice(b"\0\x01\x90\x03\0\x02\0\0\0\x14\0\0\0\x44\0\0\0\0");
        block.extend_from_slice(b"2013:07:05 03:18:27\0");
        let notes = Notes::of_block(&block);
        let (said, again) = (format!("{notes:?}"), Notes::of_block(&notes.to_block()));
        assert_eq!(notes.0.len(), 3, "{said}");
        assert_eq!(format!("{again:?}"), said);
        assert_eq!(notes.0[&(Part::Main, tag::ORIENTATION)].value, [6, 0]);
        assert_eq!(notes.0[&(Part::Exif, 0x9003)].value, b"2013:07:05 03:18:27\0");
    }

    #[test]
    fn what_is_no_block_has_no_notes() {
        for bytes in [&b""[..], b"II", b"II*\0\xFF\xFF\xFF\xFF", b"MM\0*\0\0\0\x08\xFF\xFF"] {
            assert!(Notes::of_block(bytes).0.is_empty());
        }
        assert!(Notes::of_block(&Notes::default().to_block()).0.is_empty());
    }
}
