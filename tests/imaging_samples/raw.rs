//! Raw files as cameras lay them out, but small: a preview, a thumbnail, and noise where the sensor's data would be.

use halidom::imaging::{Format, RawFormat};

/// A value of an entry.
#[derive(Clone)]
pub enum Value {
    Short(u16),
    Long(u32),
    Text(&'static str),
    Fractions(Vec<(u32, u32)>),
    /// Bytes, as the value itself.
    Bytes(Vec<u8>),
    /// Bytes that lie elsewhere; the value is where.
    Elsewhere(Vec<u8>),
    /// Directories that lie elsewhere; the value is where.
    Directories(Vec<Directory>),
}

/// A directory: entries, and the one that follows it.
#[derive(Clone, Default)]
pub struct Directory {
    pub entries: Vec<(u16, Value)>,
    pub next: Option<Box<Directory>>,
}

/// A directory of these entries.
pub fn directory(entries: Vec<(u16, Value)>) -> Directory {
    Directory { entries, next: None }
}

impl Directory {
    pub fn then(mut self, next: Directory) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    pub fn with(mut self, tag: u16, value: Value) -> Self {
        self.entries.push((tag, value));
        self
    }
}

/// A file of directories, in either byte order.
pub struct Writer {
    pub bytes: Vec<u8>,
    little: bool,
}

impl Writer {
    /// The head of four bytes, and after the place for the first directory what else a format has there.
    pub fn new(head: &[u8; 4], more: &[u8]) -> Self {
        Self { bytes: [head.as_slice(), &[0; 4], more].concat(), little: head[0] == b'I' }
    }

    pub fn file(mut self, first: &Directory) -> Vec<u8> {
        let at = self.write(first);
        let at = self.long(at);
        self.bytes[4..8].copy_from_slice(&at);
        self.bytes
    }

    fn long(&self, number: u32) -> [u8; 4] {
        if self.little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    fn short(&self, number: u16) -> [u8; 2] {
        if self.little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// Where these bytes lie now.
    fn append(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(2), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        at
    }

    /// Writes a directory and all that it names, and answers where it lies. What it names comes after it: first what is said of the photo, as
    /// cameras do, then the rest in order.
    fn write(&mut self, directory: &Directory) -> u32 {
        let mut entries = directory.entries.clone();
        entries.sort_by_key(|(tag, _)| (!matches!(tag, 34_665 | 34_853), *tag));
        let at = self.append(&vec![0; 2 + 12 * entries.len() + 4]);
        let mut rows = vec![];
        for (tag, value) in entries {
            let (kind, count, value): (u16, u32, Vec<u8>) = match value {
                Value::Short(number) => (3, 1, self.short(number).to_vec()),
                Value::Long(number) => (4, 1, self.long(number).to_vec()),
                Value::Text(text) => (2, text.len() as u32 + 1, [text.as_bytes(), b"\0"].concat()),
                Value::Fractions(fractions) => {
                    let halves = fractions.iter().flat_map(|(num, denom)| [self.long(*num), self.long(*denom)]);
                    (5, fractions.len() as u32, halves.flatten().collect())
                }
                Value::Bytes(bytes) => (7, bytes.len() as u32, bytes),
                Value::Elsewhere(bytes) => {
                    let at = self.append(&bytes);
                    (4, 1, self.long(at).to_vec())
                }
                Value::Directories(all) => {
                    let places: Vec<u32> = all.iter().map(|one| self.write(one)).collect();
                    (4, places.len() as u32, places.into_iter().flat_map(|at| self.long(at)).collect())
                }
            };
            let value = if value.len() <= 4 {
                [value.as_slice(), &[0; 4][value.len()..]].concat()
            } else {
                let at = self.append(&value);
                self.long(at).to_vec()
            };
            rows.push((tag, [&self.short(tag)[..], &self.short(kind), &self.long(count), &value].concat()));
        }
        rows.sort();
        let mut table = self.short(rows.len() as u16).to_vec();
        table.extend(rows.into_iter().flat_map(|(_, row)| row));
        let next = directory.next.as_ref().map_or(0, |next| self.write(next));
        table.extend(self.long(next));
        self.bytes[at as usize..at as usize + table.len()].copy_from_slice(&table);
        at
    }
}

/// A lossless JPEG's head, and nothing that could be decoded after it.
pub fn lossless_jpeg(width: u16, height: u16) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let frame = [&[0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 14], h.as_slice(), &w, &[1, 0, 0x11, 0]].concat();
    [frame.as_slice(), &[0xFF, 0xDA, 0, 8, 1, 0, 0, 1, 0, 0], &[0x5A; 300], &[0xFF, 0xD9]].concat()
}

/// What raw files of every kind are made of here.
pub struct Raw {
    pub preview: Vec<u8>,
    pub thumbnail: Vec<u8>,
    pub orientation: u16,
}

/// The sensor's data.
const NOISE: [u8; 400] = [0x5A; 400];

impl Raw {
    pub fn of(preview: &[u8], thumbnail: &[u8]) -> Self {
        Self { preview: preview.to_vec(), thumbnail: thumbnail.to_vec(), orientation: 6 }
    }

    /// One of each kind.
    pub fn all(&self) -> Vec<(Format, Vec<u8>)> {
        vec![
            (Format::Raw(RawFormat::Dng), self.dng(b"II*\0")),
            (Format::Raw(RawFormat::Dng), self.dng(b"MM\0*")),
            (Format::Raw(RawFormat::Cr2), self.cr2()),
            (Format::Raw(RawFormat::Cr3), self.cr3()),
            (Format::Raw(RawFormat::Nef), self.nef()),
            (Format::Raw(RawFormat::Arw), self.arw()),
            (Format::Raw(RawFormat::Raf), self.raf()),
            (Format::Raw(RawFormat::Rw2), self.rw2()),
            (Format::Raw(RawFormat::Orf), self.orf(b"IIRO")),
            (Format::Raw(RawFormat::Orf), self.orf(b"MMOR")),
            (Format::Raw(RawFormat::Pef), self.pef()),
        ]
    }

    fn exif() -> Directory {
        directory(vec![
            (0x9003, Value::Text("2021:06:05 04:03:02")),
            (0x9011, Value::Text("+02:00")),
            (0x9291, Value::Text("25")),
            (0xA434, Value::Text("50mm F1.4")),
        ])
    }

    fn gps() -> Directory {
        directory(vec![
            (1, Value::Text("S")),
            (2, Value::Fractions(vec![(33, 1), (51, 1), (2421, 100)])),
            (3, Value::Text("E")),
            (4, Value::Fractions(vec![(151, 1), (12, 1), (36, 1)])),
            (6, Value::Fractions(vec![(135, 10)])),
        ])
    }

    /// What every first directory says.
    fn main(&self, make: &'static str) -> Directory {
        directory(vec![
            (271, Value::Text(make)),
            (272, Value::Text("H-1")),
            (274, Value::Short(self.orientation)),
            (34_665, Value::Directories(vec![Self::exif()])),
            (34_853, Value::Directories(vec![Self::gps()])),
        ])
    }

    /// What the sensor saw, in one strip.
    pub fn sensor(compression: u16, data: Vec<u8>) -> Directory {
        directory(vec![
            (254, Value::Long(0)),
            (256, Value::Long(6_000)),
            (257, Value::Long(4_000)),
            (259, Value::Short(compression)),
            (262, Value::Short(32_803)),
            (279, Value::Long(data.len() as u32)),
            (273, Value::Elsewhere(data)),
        ])
    }

    /// A JPEG as TIFF's sixth revision has them.
    pub fn old_jpeg(jpeg: &[u8]) -> Directory {
        directory(vec![(259, Value::Short(6)), (513, Value::Elsewhere(jpeg.to_vec())), (514, Value::Long(jpeg.len() as u32))])
    }

    /// A JPEG as the strip of a directory.
    pub fn strip_jpeg(compression: u16, jpeg: &[u8]) -> Directory {
        let length = jpeg.len() as u32;
        directory(vec![(259, Value::Short(compression)), (273, Value::Elsewhere(jpeg.to_vec())), (279, Value::Long(length))])
    }

    /// DNG of which the second directory below the first is the preview, the first the sensor's data as a lossless JPEG.
    pub fn dng(&self, head: &[u8; 4]) -> Vec<u8> {
        let preview = Self::strip_jpeg(7, &self.preview).with(254, Value::Long(1)).with(262, Value::Short(6));
        let sensor = Self::sensor(7, lossless_jpeg(6_000, 4_000));
        let first = self
            .main("Halidom Optics ")
            .with(254, Value::Long(1))
            .with(259, Value::Short(1))
            .with(262, Value::Short(2))
            .with(273, Value::Elsewhere(vec![90; 12]))
            .with(279, Value::Long(12))
            .with(50_706, Value::Bytes(vec![1, 4, 0, 0]))
            .with(330, Value::Directories(vec![Self::old_jpeg(&self.thumbnail), preview, sensor]));
        Writer::new(head, &[]).file(&first)
    }

    pub fn cr2(&self) -> Vec<u8> {
        let mut first = self.main("Canon");
        first.entries.extend(Self::strip_jpeg(6, &self.preview).entries);
        let sensor = Self::strip_jpeg(6, &lossless_jpeg(6_000, 4_000));
        let small = Self::strip_jpeg(1, &[7; 60]);
        let first = first.then(Self::old_jpeg(&self.thumbnail).then(small.then(sensor)));
        Writer::new(b"II*\0", b"CR\x02\0\0\0\0\0").file(&first)
    }

    pub fn nef(&self) -> Vec<u8> {
        let below = vec![Self::old_jpeg(&self.preview), Self::old_jpeg(&self.thumbnail), Self::sensor(34_713, NOISE.to_vec())];
        let first = self.main("NIKON CORPORATION").with(254, Value::Long(1)).with(330, Value::Directories(below));
        Writer::new(b"MM\0*", &[]).file(&first)
    }

    pub fn arw(&self) -> Vec<u8> {
        let mut first = self.main("SONY");
        first.entries.extend(Self::old_jpeg(&self.preview).entries);
        let first = first.with(254, Value::Long(1)).with(330, Value::Directories(vec![Self::sensor(32_767, NOISE.to_vec())]));
        // The thumbnail comes before the directory that is below the first.
        Writer::new(b"II*\0", &[]).file(&directory(vec![]).then(Self::old_jpeg(&self.thumbnail)).replaced(first))
    }

    pub fn pef(&self) -> Vec<u8> {
        let mut first = self.main("PENTAX Corporation");
        first.entries.extend(Self::strip_jpeg(65_535, &NOISE).entries);
        let first = first.with(262, Value::Short(32_803));
        Writer::new(b"MM\0*", &[]).file(&first.then(Self::old_jpeg(&self.thumbnail).then(Self::old_jpeg(&self.preview))))
    }

    /// The preview lies in the maker's notes.
    pub fn orf(&self, head: &[u8; 4]) -> Vec<u8> {
        let mut notes = Writer::new(if head[0] == b'I' { b"II\x03\0" } else { b"MM\0\x03" }, &[]);
        // The head of twelve bytes, the notes' directory right after it, and all counted from the head's beginning.
        notes.bytes = [b"OLYMPUS\0".as_slice(), &notes.bytes[..4]].concat();
        let length = self.preview.len() as u32;
        let settings = directory(vec![(0x101, Value::Elsewhere(self.preview.clone())), (0x102, Value::Long(length))]);
        notes.write(&directory(vec![(0x2020, Value::Directories(vec![settings]))]));
        let mut first = self.main("OLYMPUS CORPORATION");
        first.entries.retain(|(tag, _)| *tag != 34_665);
        first.entries.extend(Self::strip_jpeg(1, &NOISE).entries);
        let exif = Self::exif().with(37_500, Value::Bytes(notes.bytes));
        Writer::new(head, &[]).file(&first.with(34_665, Value::Directories(vec![exif])))
    }

    pub fn rw2(&self) -> Vec<u8> {
        let first = self.main("Panasonic").with(0x2E, Value::Bytes(self.preview.clone())).with(273, Value::Long(u32::MAX));
        Writer::new(b"IIU\0", &[]).file(&first.with(0x118, Value::Elsewhere(NOISE.to_vec())))
    }

    /// The JPEG says all that is said, which way up as well.
    pub fn raf(&self) -> Vec<u8> {
        let jpeg = super::jpeg_with_exif(&self.preview, &super::exif_block(self.orientation));
        let (jpeg_at, sensor_at) = (160, 160 + jpeg.len() as u32);
        let mut head = b"FUJIFILMCCD-RAW 0201FF389501H-1".to_vec();
        head.resize(84, 0);
        for number in [jpeg_at, jpeg.len() as u32, 0, 0, sensor_at, NOISE.len() as u32] {
            head.extend(number.to_be_bytes());
        }
        head.resize(160, 0);
        [head.as_slice(), &jpeg, &NOISE].concat()
    }

    pub fn cr3(&self) -> Vec<u8> {
        let block = |directory: &Directory| Writer::new(b"II*\0", &[]).file(directory);
        let mut main = self.main("Canon");
        main.entries.retain(|(tag, _)| *tag < 34_000);
        let thumbnail = [&[0; 8], (self.thumbnail.len() as u32).to_be_bytes().as_slice(), &[0, 1, 0, 0], &self.thumbnail].concat();
        let of_photo = [
            b"\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48".to_vec(),
            boxed(b"CNCV", b"CanonCR3_001/00.09.00/00.00.00"),
            boxed(b"CMT1", &block(&main)),
            boxed(b"CMT2", &block(&Self::exif())),
            boxed(b"CMT4", &block(&Self::gps())),
            boxed(b"THMB", &thumbnail),
        ];
        let of_preview = [
            b"\xea\xf4\x2b\x5e\x1c\x98\x4b\x88\xb9\xfb\xb7\xdc\x40\x6e\x4d\x16\0\0\0\0\0\0\0\x01".to_vec(),
            boxed(b"PRVW", &[&[0; 12], (self.thumbnail.len() as u32).to_be_bytes().as_slice(), &self.thumbnail].concat()),
        ];
        let track = |at: u64, length: u32| {
            let sizes = boxed(b"stsz", &[&[0; 4], length.to_be_bytes().as_slice(), &1_u32.to_be_bytes()].concat());
            let places = boxed(b"co64", &[&[0; 4], 1_u32.to_be_bytes().as_slice(), &at.to_be_bytes()].concat());
            let table = boxed(b"stbl", &[sizes, places].concat());
            boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &table)))
        };
        let whole = |at: u64| {
            let (of_photo, preview_bytes) = (boxed(b"uuid", &of_photo.concat()), self.preview.len() as u32);
            let tracks = [track(at, preview_bytes), track(at + u64::from(preview_bytes), NOISE.len() as u32)].concat();
            let movie = boxed(b"moov", &[of_photo, tracks].concat());
            [boxed(b"ftyp", b"crx \0\0\0\x01crx isom"), movie, boxed(b"uuid", &of_preview.concat())].concat()
        };
        let data_at = whole(0).len() as u64 + 8;
        [whole(data_at), boxed(b"mdat", &[self.preview.as_slice(), &NOISE].concat())].concat()
    }
}

impl Directory {
    /// The same place in the chain, of other entries.
    fn replaced(self, by: Directory) -> Self {
        Self { entries: by.entries, next: self.next }
    }
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
}
