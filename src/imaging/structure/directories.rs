//! The directories that TIFF is made of, EXIF blocks too, and most raw formats of cameras: entries with a tag, read where they lie.

/// Tags of TIFF 6.0, EXIF 2.3, TIFF/EP and DNG 1.7 that are looked at.
pub(super) mod tag {
    pub(in super::super) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(in super::super) const IMAGE_WIDTH: u16 = 256;
    pub(in super::super) const IMAGE_LENGTH: u16 = 257;
    pub(in super::super) const BITS_PER_SAMPLE: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const MAKE: u16 = 271;
    pub(in super::super) const MODEL: u16 = 272;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const ORIENTATION: u16 = 274;
    pub(in super::super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in super::super) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in super::super) const SUB_DIRECTORIES: u16 = 330;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const JPEG_OFFSET: u16 = 513;
    pub(in super::super) const JPEG_LENGTH: u16 = 514;
    pub(in super::super) const XMP: u16 = 700;
    pub(in super::super) const EXIF: u16 = 34_665;
    pub(in super::super) const GPS: u16 = 34_853;
    pub(in super::super) const MAKER_NOTE: u16 = 37_500;
    pub(in super::super) const DNG_VERSION: u16 = 50_706;
}

/// Photometric interpretation: a colour filter array, as the sensor saw it.
pub(super) const CFA: u64 = 32_803;
/// Photometric interpretation: the same, with all colours of a pixel put together.
pub(super) const LINEAR_RAW: u64 = 34_892;

/// Numbers of either byte order, of classic and of big files.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

/// Where a directory lies.
#[derive(Clone, Copy)]
pub(super) struct Directory<'a> {
    reader: Reader<'a>,
    entries_at: u64,
    count: u64,
    /// Where the next of its chain lies; 0: nowhere. `None` where the file ends before it says so.
    pub(super) next: Option<u64>,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tag: u16,
    pub(super) kind: u16,
    /// Values that it has.
    pub(super) count: u64,
    /// Where the value lies in the file.
    at: u64,
}

impl<'a> Directory<'a> {
    /// Entry by entry, so that a directory of a million entries costs no memory.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let Self { reader, entries_at, count, .. } = *self;
        (0..count).map_while(move |nth| reader.entry(entries_at, nth))
    }

    /// How many entries it says that it has.
    pub(super) fn len(&self) -> u64 {
        self.count
    }

    /// Whether all its entries lie within the file.
    pub(super) fn is_whole(&self) -> bool {
        self.count == 0 || self.reader.entry(self.entries_at, self.count - 1).is_some()
    }

    /// The first entry of this tag.
    pub(super) fn find(&self, tag: u16) -> Option<Entry> {
        self.entries().find(|entry| entry.tag == tag)
    }
}

impl<'a> Reader<'a> {
    /// Needs a byte order and a number after it; what other number than 42 it may be is for the caller to know.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = bytes.first()? == &b'I';
        let mut reader = Self { bytes, little, big: false };
        reader.big = reader.unsigned(2, 2)? == 43;
        Some(reader)
    }

    /// The same byte order and sizes, of other bytes: offsets count from their beginning.
    pub(super) fn of(self, bytes: &'a [u8]) -> Self {
        Self { bytes, ..self }
    }

    pub(super) fn is_little(self) -> bool {
        self.little
    }

    pub(super) fn unsigned(self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    }

    fn word(self, at: u64) -> Option<u64> {
        self.unsigned(at, if self.big { 8 } else { 4 })
    }

    /// Where the first directory lies.
    pub(super) fn first_directory(self) -> Option<u64> {
        self.word(if self.big { 8 } else { 4 })
    }

    pub(super) fn directory(self, at: u64) -> Option<Directory<'a>> {
        let (count_bytes, entry_bytes) = if self.big { (8, 20) } else { (2, 12) };
        let count = self.unsigned(at, count_bytes as usize)?;
        let entries_at = at.checked_add(count_bytes)?;
        let next = self.word(entries_at.checked_add(count.checked_mul(entry_bytes)?)?);
        Some(Directory { reader: self, entries_at, count, next })
    }

    fn entry(self, entries_at: u64, nth: u64) -> Option<Entry> {
        let (size, word) = if self.big { (20, 8) } else { (12, 4) };
        let at = entries_at.checked_add(nth.checked_mul(size)?)?;
        let count = self.word(at + 4)?;
        let kind = self.unsigned(at + 2, 2)? as u16;
        let inline = count.checked_mul(value_bytes(kind)).is_some_and(|bytes| bytes <= word);
        let value_at = if inline { at + 4 + word } else { self.word(at + 4 + word)? };
        Some(Entry { tag: self.unsigned(at, 2)? as u16, kind, count, at: value_at })
    }

    /// The nth number of an entry, where it is an unsigned one.
    pub(super) fn number(self, entry: Entry, nth: u64) -> Option<u64> {
        if !matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            return None;
        }
        let size = value_bytes(entry.kind);
        (nth < entry.count).then(|| self.unsigned(entry.at.checked_add(nth.checked_mul(size)?)?, size as usize))?
    }

    /// Where an entry's value lies, and how many bytes it has; the file may end before.
    pub(super) fn place(self, entry: Entry) -> Option<(u64, u64)> {
        Some((entry.at, entry.count.checked_mul(value_bytes(entry.kind))?))
    }

    /// An entry's value.
    pub(super) fn bytes(self, entry: Entry) -> Option<&'a [u8]> {
        let (start, length) = self.place(entry)?;
        let start = usize::try_from(start).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }
}

/// Bytes of one value of a type; an unknown type is taken for bytes, so that the entries after it are still found.
fn value_bytes(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}
