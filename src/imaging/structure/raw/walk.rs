//! Raw files that are made of TIFF's directories: DNG, CR2, NEF, ARW, PEF, and with another number in the head ORF and RW2.

use std::collections::{HashSet, VecDeque};

use super::notes::Notes;
use super::{Contents, cut_off, olympus};
use crate::imaging::error::ImagingError;
use crate::imaging::structure::directories::{CFA, Directory, LINEAR_RAW, Reader, tag};
use crate::model::format::{Format, RawFormat};

/// Entries of one directory that are looked at; files of cameras have up to 120.
pub(super) const MAX_ENTRIES: u64 = 1_024;
/// Directories of one file that are looked at; files of cameras have up to ten.
const MAX_DIRECTORIES: usize = 64;
/// Directories below one.
const MAX_SUB_DIRECTORIES: u64 = 16;
/// How far they lie below one another.
const MAX_DEPTH: u32 = 4;
/// Strips and tiles of one file that are looked at: a tile of 256 pixels a side is 15 gigapixels then.
const MAX_STRIPS: u64 = 1 << 18;

/// RW2: the JPEG as the value of an entry.
const RW2_JPEG: u16 = 0x2E;
/// RW2: where what the sensor saw begins; the strips say nothing.
const RW2_RAW_OFFSET: u16 = 0x118;

/// What raw format a file that begins as TIFF does is, where it is one: DNG says so itself, others by the camera's maker and by pixels that
/// only a sensor has. Costs little for any other TIFF.
pub(in crate::imaging::structure) fn format_of_tiff(bytes: &[u8]) -> Option<RawFormat> {
    let reader = Reader::new(bytes)?;
    let first = reader.directory(reader.first_directory()?)?;
    let find = |tag: u16| first.entries().take(MAX_ENTRIES as usize).find(|entry| entry.tag == tag);
    if find(tag::DNG_VERSION).is_some() {
        return Some(RawFormat::Dng);
    }
    let make = find(tag::MAKE).and_then(|entry| reader.bytes(entry))?;
    let is_of = |maker: &&str| make.get(..maker.len()).is_some_and(|start| start.eq_ignore_ascii_case(maker.as_bytes()));
    let raw = if is_of(&"NIKON") {
        RawFormat::Nef
    } else if is_of(&"SONY") {
        RawFormat::Arw
    } else if ["PENTAX", "RICOH", "ASAHI"].iter().any(is_of) {
        RawFormat::Pef
    } else {
        return None;
    };
    Walk::of(reader).directories.iter().any(|directory| is_of_sensor(reader, *directory)).then_some(raw)
}

/// Whether a directory is of what the sensor saw. Makers have compressions of their own for it.
fn is_of_sensor(reader: Reader<'_>, directory: Directory<'_>) -> bool {
    let number = |tag: u16| directory.find(tag).and_then(|entry| reader.number(entry, 0));
    const OF_SONY: u64 = 32_767;
    const OF_NIKON: u64 = 34_713;
    const OF_PENTAX: u64 = 65_535;
    matches!(number(tag::PHOTOMETRIC), Some(CFA | LINEAR_RAW)) || matches!(number(tag::COMPRESSION), Some(OF_SONY | OF_NIKON | OF_PENTAX))
}

/// The directories of a file, the first ones first, each once.
struct Walk<'a> {
    directories: Vec<Directory<'a>>,
    /// Whether there are more than are looked at, or larger ones.
    is_too_much: bool,
    /// Whether one that is named does not lie within the file. (After the last of another chain than a TIFF's first there is often no place.)
    is_cut_off: bool,
}

impl<'a> Walk<'a> {
    fn of(reader: Reader<'a>) -> Self {
        let mut walk = Self { directories: vec![], is_too_much: false, is_cut_off: false };
        let is_tiff = matches!(reader.unsigned(2, 2), Some(42 | 43));
        let (mut seen, mut left) = (HashSet::new(), VecDeque::from_iter(reader.first_directory().map(|at| (at, 0, true))));
        while let Some((at, depth, is_named)) = left.pop_front() {
            // A chain that bites its tail ends here.
            if at == 0 || !seen.insert(at) {
                continue;
            }
            let Some(directory) = reader.directory(at).filter(Directory::is_whole) else {
                walk.is_cut_off |= is_named;
                continue;
            };
            if walk.directories.len() == MAX_DIRECTORIES || directory.len() > MAX_ENTRIES || depth > MAX_DEPTH {
                walk.is_too_much = true;
                break;
            }
            let is_first_chain = is_tiff && depth == 0;
            match directory.next {
                Some(next) => left.push_back((next, depth, is_first_chain)),
                None => walk.is_cut_off |= is_first_chain,
            }
            if let Some(entry) = directory.find(tag::SUB_DIRECTORIES) {
                walk.is_too_much |= entry.count > MAX_SUB_DIRECTORIES;
                for nth in 0..entry.count.min(MAX_SUB_DIRECTORIES) {
                    match reader.number(entry, nth) {
                        Some(at) => left.push_back((at, depth + 1, true)),
                        None => walk.is_cut_off = true,
                    }
                }
            }
            walk.directories.push(directory);
        }
        walk
    }
}

/// Reads what a raw file of directories holds.
pub(super) fn read(bytes: &[u8], raw: RawFormat) -> Result<Contents<'_>, ImagingError> {
    let broken = |detail: &str| ImagingError::broken(Format::Raw(raw), detail);
    let reader = Reader::new(bytes).ok_or_else(|| broken("a wrong header"))?;
    let walk = Walk::of(reader);
    if walk.is_too_much {
        return Err(broken("more directories or entries than a camera writes"));
    }
    if walk.is_cut_off {
        return Err(cut_off(raw));
    }
    let first = *walk.directories.first().ok_or_else(|| broken("no directory"))?;
    let mut contents = Contents { notes: Notes::of_file(reader, first), ..Contents::default() };
    contents.xmp = first.find(tag::XMP).and_then(|entry| reader.bytes(entry));
    let mut strips_left = MAX_STRIPS;
    for directory in walk.directories {
        let number = |tag: u16| directory.find(tag).and_then(|entry| reader.number(entry, 0));
        if let (Some(start), Some(length @ 1..)) = (number(tag::JPEG_OFFSET), number(tag::JPEG_LENGTH)) {
            contents.take(bytes, start, length).ok_or_else(|| cut_off(raw))?;
        }
        if raw != RawFormat::Rw2 {
            let is_jpeg = matches!(number(tag::COMPRESSION), Some(6 | 7)) && !is_of_sensor(reader, directory);
            read_strips(bytes, reader, directory, is_jpeg.then_some(&mut contents), &mut strips_left).map_err(|wrong| match wrong {
                Strips::CutOff => cut_off(raw),
                Strips::TooMany => broken("more strips than a camera writes"),
            })?;
        }
    }
    match raw {
        RawFormat::Rw2 => {
            let place = |tag: u16| first.find(tag).and_then(|entry| reader.place(entry));
            if let Some((start, length)) = place(RW2_JPEG) {
                contents.take(bytes, start, length).ok_or_else(|| cut_off(raw))?;
            }
            let sensor = first.find(RW2_RAW_OFFSET).and_then(|entry| reader.number(entry, 0));
            if sensor.is_some_and(|start| start >= bytes.len() as u64) {
                return Err(cut_off(raw));
            }
        }
        RawFormat::Orf => olympus::take_preview(bytes, reader, first, &mut contents),
        _ => {}
    }
    Ok(contents)
}

enum Strips {
    CutOff,
    TooMany,
}

/// Checks that a directory's strips and tiles lie within the file, and takes the one of a JPEG that is in one piece.
fn read_strips<'a>(
    bytes: &'a [u8],
    reader: Reader<'_>,
    directory: Directory<'_>,
    mut jpegs: Option<&mut Contents<'a>>,
    strips_left: &mut u64,
) -> Result<(), Strips> {
    for (offsets, counts) in [(tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS), (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)] {
        let (Some(offsets), Some(counts)) = (directory.find(offsets), directory.find(counts)) else { continue };
        let strips = offsets.count.min(counts.count);
        *strips_left = strips_left.checked_sub(strips).ok_or(Strips::TooMany)?;
        for nth in 0..strips {
            let (start, length) = reader.number(offsets, nth).zip(reader.number(counts, nth)).ok_or(Strips::CutOff)?;
            match &mut jpegs {
                Some(contents) if strips == 1 => contents.take(bytes, start, length).ok_or(Strips::CutOff)?,
                _ if start.checked_add(length).is_some_and(|end| end <= bytes.len() as u64) => {}
                _ => return Err(Strips::CutOff),
            }
        }
    }
    Ok(())
}
