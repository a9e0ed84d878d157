//! Distinct small photos: a tiny JPEG with comments of seeded bytes, so that every byte of photo N follows from seed and N.

use halidom::model::{AlbumId, BlobHash, PhotoId};
use turbojpeg::{Image, PixelFormat, Subsamp};

/// The photos of one run.
#[derive(Debug, Clone)]
pub struct Photos {
    seed: u64,
    /// A whole JPEG without its SOI marker.
    tail: Vec<u8>,
    /// The longest that the seeded bytes get.
    longest: u64,
}

/// How the client names what it sends. Each way may be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// `PUT` under the client's own id.
    Own(PhotoId),
    /// `POST` with an idempotency key.
    Key(String),
    /// `POST`; sent again, the same bytes in the same album are the same photo.
    Fresh,
}

/// Bytes of one JPEG comment, at most.
const COMMENT: usize = 65_000;
const SOI: [u8; 2] = [0xff, 0xd8];
const COM: [u8; 2] = [0xff, 0xfe];

impl Photos {
    /// Photos of up to about `longest_bytes`; most are much smaller.
    pub fn new(seed: u64, longest_bytes: u64) -> Self {
        let pixels: Vec<u8> = (0..16 * 16 * 3).map(|n| (n * 5 % 251) as u8).collect();
        let image = Image { pixels: pixels.as_slice(), width: 16, pitch: 16 * 3, height: 16, format: PixelFormat::RGB };
        let jpeg = turbojpeg::compress(image, 80, Subsamp::Sub2x2).expect("16 x 16 pixels are compressed");
        assert_eq!(jpeg[..2], SOI);
        Self { seed, tail: jpeg[2..].to_vec(), longest: longest_bytes.max(2) }
    }

    /// The bytes that upload `number` sends. Every eighth sends those of the one before it, into the other album: a second photo of one
    /// blob, often at the very same time.
    pub fn bytes(&self, number: u64) -> Vec<u8> {
        let content = if number % 8 == 7 { number - 1 } else { number };
        let mut stream = self.stream("content", content);
        let mut draw = [0; 16];
        stream.fill(&mut draw);
        let [a, b] = [0, 8].map(|at| u64::from_be_bytes(draw[at..at + 8].try_into().expect("eight bytes")));
        // Small ones are more common, as edges of blocks and buffers stand near them.
        let length = (1 + a % self.longest) >> (b % 12);
        let mut seeded = vec![0; length as usize];
        stream.fill(&mut seeded);
        // The number is in the bytes, so that no two short ones are alike.
        seeded.extend(content.to_be_bytes());
        self.wrap(&seeded)
    }

    fn wrap(&self, seeded: &[u8]) -> Vec<u8> {
        let mut jpeg = SOI.to_vec();
        for piece in seeded.chunks(COMMENT) {
            let length = u16::try_from(piece.len() + 2).expect("a comment's length has 16 bits");
            jpeg.extend(COM);
            jpeg.extend(length.to_be_bytes());
            jpeg.extend(piece);
        }
        jpeg.extend(&self.tail);
        jpeg
    }

    /// Its hash, computed here and not taken from the server.
    pub fn hash(&self, number: u64) -> BlobHash {
        blake3::hash(&self.bytes(number)).to_hex().parse().expect("64 hex digits")
    }

    /// Its file name, which says the number.
    pub fn name(number: u64) -> String {
        format!("{number:08}.jpg")
    }

    /// The number that a file name says.
    pub fn number(name: &str) -> Option<u64> {
        name.strip_suffix(".jpg")?.parse().ok()
    }

    /// The two albums, with ids of the client's own.
    pub fn albums(&self) -> [AlbumId; 2] {
        [0, 1].map(|n| self.uuid("album", n).parse().expect("a UUID"))
    }

    /// The album that upload `number` goes into.
    pub fn album(&self, number: u64) -> AlbumId {
        self.albums()[(number % 2) as usize]
    }

    /// How upload `number` names its photo.
    pub fn naming(&self, number: u64) -> Naming {
        match number % 3 {
            0 => Naming::Own(self.uuid("photo", number).parse().expect("a UUID")),
            1 => Naming::Key(format!("key-{}-{number}", self.seed)),
            _ => Naming::Fresh,
        }
    }

    fn uuid(&self, what: &str, number: u64) -> String {
        let mut bytes = [0; 16];
        self.stream(what, number).fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn stream(&self, what: &str, number: u64) -> blake3::OutputReader {
        blake3::Hasher::new_derive_key("halidom test photos")
            .update(what.as_bytes())
            .update(&self.seed.to_be_bytes())
            .update(&number.to_be_bytes())
            .finalize_xof()
    }
}
