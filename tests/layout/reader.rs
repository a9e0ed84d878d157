//! A reader of stored bytes, written from `storage-layout.md` alone: it shares nothing with the code that writes them.

use std::collections::BTreeMap;

/// Bytes that are read from the front; what does not fit panics, as in a test it should.
pub struct Reader<'a>(pub &'a [u8]);

/// Hybrid logical time, origin, sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub hlc: u64,
    pub origin: [u8; 16],
    pub seq: u64,
}

impl Stamp {
    /// The form in keys and hashes: 32 bytes.
    pub fn fixed(&self) -> Vec<u8> {
        [&self.hlc.to_be_bytes()[..], &self.origin, &self.seq.to_be_bytes()].concat()
    }
}

/// A register: when it was set, to what.
pub type Register = (Stamp, Vec<u8>);

/// A birth that is alive.
#[derive(Debug, PartialEq, Eq)]
pub struct Live {
    pub fixed: Option<BTreeMap<u64, Vec<u8>>>,
    pub place: Option<Register>,
    pub removed: Option<Stamp>,
    pub registers: BTreeMap<u64, Register>,
}

/// A log entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub origin: [u8; 16],
    pub seq: u64,
    pub hlc: u64,
    pub previous: [u8; 32],
    pub predecessor: Option<([u8; 16], u64, [u8; 32])>,
    /// Key (49 bytes), birth, row; `None`: dead.
    pub deltas: Vec<(Vec<u8>, Stamp, Option<Live>)>,
    /// An owner (32 bytes) or a row's key (49 bytes).
    pub erasures: Vec<Vec<u8>>,
}

impl<'a> Reader<'a> {
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap()
    }

    /// LEB128: seven bits a byte, least significant first, the highest bit set on all but the last.
    pub fn varint(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
        }
        unreachable!()
    }

    /// 0, -1, 1, -2, … as 0, 1, 2, 3, …
    pub fn signed(&mut self) -> i64 {
        let number = self.varint();
        (number >> 1) as i64 ^ -((number & 1) as i64)
    }

    /// A length, then so many bytes.
    pub fn bytes(&mut self) -> Vec<u8> {
        let length = self.varint();
        self.take(usize::try_from(length).unwrap()).to_vec()
    }

    pub fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// A byte of 0 or 1; after a 1 the value.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.take(1)[0] {
            0 => None,
            1 => Some(read(self)),
            other => panic!("an option of {other}"),
        }
    }

    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.varint();
        (0..length).map(|_| read(self)).collect()
    }

    /// An id within a value: its length, always 16, then its bytes.
    pub fn id(&mut self) -> [u8; 16] {
        self.bytes().try_into().unwrap()
    }

    pub fn stamp(&mut self) -> Stamp {
        Stamp { hlc: self.varint(), origin: self.array(), seq: self.varint() }
    }

    fn register(&mut self) -> Register {
        (self.stamp(), self.bytes())
    }

    fn owner(&mut self) -> Vec<u8> {
        [self.id(), self.id()].concat()
    }

    /// Owner, kind, id, as the 49 bytes that they are in keys.
    fn row_key(&mut self) -> Vec<u8> {
        [self.owner(), self.take(1).to_vec(), self.id().to_vec()].concat()
    }

    /// A birth; `None`: dead.
    fn row(&mut self) -> Option<Live> {
        match self.varint() {
            0 => Some(Live {
                fixed: self.option(|r| r.list(|r| (r.varint(), r.bytes())).into_iter().collect()),
                place: self.option(Self::register),
                removed: self.option(Self::stamp),
                registers: self.list(|r| (r.varint(), r.register())).into_iter().collect(),
            }),
            1 => None,
            other => panic!("a row of {other}"),
        }
    }

    /// The value of a row.
    pub fn births(&mut self) -> Vec<(Stamp, Option<Live>)> {
        assert_eq!(self.varint(), 1, "the version");
        self.list(|r| (r.stamp(), r.row()))
    }

    pub fn entry(&mut self) -> Entry {
        assert_eq!(self.varint(), 1, "the version");
        Entry {
            origin: self.array(),
            seq: self.varint(),
            hlc: self.varint(),
            previous: self.array(),
            predecessor: self.option(|r| (r.array(), r.varint(), r.array())),
            deltas: self.list(|r| (r.row_key(), r.stamp(), r.row())),
            erasures: self.list(|r| match r.varint() {
                0 => r.owner(),
                1 => r.row_key(),
                other => panic!("an erasure of {other}"),
            }),
        }
    }

    /// Reads the value of any column's row to its end; says it in a form for people.
    pub fn value(&mut self, column: &str) -> String {
        let empty = ["died", "candidates", "album_photos", "album_hashes", "similar", "other_ids", "names", "token_secrets", "stubs"];
        let said = match column {
            "format" => format!("{:?}", u64::from_be_bytes(self.array())),
            _ if empty.contains(&column) => String::new(),
            "rows" => format!("{:?}", self.births()),
            "doomed" => match self.varint() {
                1 => format!("{}", self.varint()),
                2 => format!("{} {}", self.varint(), self.take(1)[0]),
                other => panic!("version {other} of a record in doomed"),
            },
            _ => {
                assert_eq!(self.varint(), 1, "the version of a record in {column}");
                self.record(column)
            }
        };
        assert_eq!(self.0, [0; 0], "bytes are left over in {column}");
        said
    }

    fn record(&mut self, column: &str) -> String {
        match column {
            "erased" | "pins" | "token_uses" | "refs" | "held" | "held_by_owner" => format!("{}", self.varint()),
            "entries" => format!("{} {:?}", self.varint(), Reader(&self.bytes()).entry()),
            "vector" => format!("{} {:?}", self.varint(), self.option(Self::array::<32>)),
            "journal" => match self.varint() {
                0 => format!("entry {:?} {}", self.array::<16>(), self.varint()),
                1 => "local".to_owned(),
                other => panic!("a commit of {other}"),
            },
            "blobs" => {
                let (nonce, encoding) = (self.array::<12>(), self.varint());
                let (size, stored) = (self.varint(), self.varint());
                let other_hash = self.option(Self::array::<32>);
                let (sha256, crc32) = (self.array::<32>(), self.varint());
                let damaged = self.take(1)[0];
                assert_eq!((encoding, damaged), (0, 0), "as they were uploaded, whole");
                format!("{nonce:?} {size} {stored} {other_hash:?} {sha256:?} {crc32}")
            }
            "snapshots" => format!("{} {}", self.text(), self.varint()),
            "counts" => format!("{:?}", (0..9).map(|_| self.signed()).collect::<Vec<_>>()),
            "sums" => format!("{:?}", (0..5).map(|_| self.varint()).collect::<Vec<_>>()),
            "audit" => format!("{} {:?}", self.varint(), (0..4).map(|_| self.text()).collect::<Vec<_>>()),
            "site" => format!("{:?} {:?}", self.id(), self.array::<32>()),
            "heads" => format!("{} {} {:?}", self.varint(), self.varint(), self.option(|r| (r.array::<16>(), r.varint(), r.array::<32>()))),
            other => panic!("the document says nothing of {other}"),
        }
    }
}

/// A number in a field or register: big-endian without leading zeros.
pub fn number(bytes: &[u8]) -> u64 {
    assert_ne!(bytes.first(), Some(&0), "one spelling");
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
