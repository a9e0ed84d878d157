//! Distinct JPEGs of a given size, at next to no cost for the one who sends them.

use anyhow::Context as _;
use bytes::{BufMut, Bytes, BytesMut};
use turbojpeg::{Image, PixelFormat, Subsamp};

/// The longest payload of a JPEG segment.
const SEGMENT: usize = 65_533;
/// Marker and length of a segment.
const OVERHEAD: usize = 4;
/// Payload of the comment that makes each photo another one.
const UNIQUE: usize = 32;
/// After so much padding that comment comes again: a store that cuts files into blocks of 1 MiB finds no two alike.
const APART: usize = 512 * 1024 - SEGMENT - OVERHEAD;

/// A small JPEG, padded to size by comments of random bytes. Only a short comment every half MiB differs from photo to photo, so that
/// nothing is copied for each; the hash of the whole differs all the same.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    /// What all photos share: the unique comment comes between one and the next.
    shared: Vec<Bytes>,
}

impl Generator {
    /// From a drawn picture, the largest of a few that leaves room.
    ///
    /// # Errors
    /// Where the picture cannot be encoded.
    pub fn drawn(size_bytes: u64, seed: u64) -> anyhow::Result<Self> {
        let mut smallest = Vec::new();
        for side in [640, 160, 16] {
            smallest = draw(side)?;
            if (smallest.len() + UNIQUE + OVERHEAD) as u64 <= size_bytes {
                break;
            }
        }
        Self::of(&smallest, size_bytes, seed).context("the drawn picture is no JPEG")
    }

    /// From a given JPEG; `None` where it is none. Photos are never smaller than that, and up to 4 bytes short of `size_bytes`.
    pub fn of(base: &[u8], size_bytes: u64, seed: u64) -> Option<Self> {
        let rest = base.strip_prefix(&[0xff, 0xd8])?;
        // JFIF's header has to come first of all.
        let header = match rest {
            [0xff, 0xe0, high, low, ..] => 2 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        let (before, rest) = base.split_at_checked(2 + header)?;
        let room = usize::try_from(size_bytes).ok()?.saturating_sub(base.len() + OVERHEAD + UNIQUE);
        let mut shared = vec![Bytes::copy_from_slice(before)];
        let mut padding = BytesMut::with_capacity(room + rest.len());
        let mut noise = blake3::Hasher::new_derive_key("halidom bench padding").update(&seed.to_be_bytes()).finalize_xof();
        let mut left = room;
        while left > OVERHEAD {
            if padding.len() > APART && left > OVERHEAD + UNIQUE + OVERHEAD {
                shared.push(padding.split().freeze());
                left -= OVERHEAD + UNIQUE;
            }
            let length = (left - OVERHEAD).min(SEGMENT);
            comment_header(&mut padding, length);
            let from = padding.len();
            padding.resize(from + length, 0);
            noise.fill(&mut padding[from..]);
            left -= OVERHEAD + length;
        }
        padding.extend_from_slice(rest);
        shared.push(padding.freeze());
        Some(Self { seed, shared })
    }

    /// Bytes of every photo.
    pub fn size_bytes(&self) -> u64 {
        let shared: usize = self.shared.iter().map(Bytes::len).sum();
        (shared + (self.shared.len() - 1) * (OVERHEAD + UNIQUE)) as u64
    }

    /// The bytes of one photo.
    pub fn pieces(&self, index: u64) -> Vec<Bytes> {
        let mut unique = BytesMut::with_capacity(OVERHEAD + UNIQUE);
        comment_header(&mut unique, UNIQUE);
        unique.extend_from_slice(self.derived(index).as_bytes());
        let unique = unique.freeze();
        let mut pieces = Vec::with_capacity(2 * self.shared.len());
        for shared in &self.shared {
            pieces.extend([shared.clone(), unique.clone()]);
        }
        pieces.pop();
        pieces
    }

    /// An id for one photo.
    pub fn id(&self, index: u64) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.derived(index).as_bytes()[..16]);
        // UUIDv8 and variant, as for any id that is derived.
        id[6] = 0x80 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        id
    }

    fn derived(&self, index: u64) -> blake3::Hash {
        blake3::Hasher::new_derive_key("halidom bench photo").update(&self.seed.to_be_bytes()).update(&index.to_be_bytes()).finalize()
    }
}

fn comment_header(out: &mut BytesMut, length: usize) {
    out.put_slice(&[0xff, 0xfe]);
    out.put_u16(u16::try_from(length + 2).unwrap_or(u16::MAX));
}

/// A picture with some structure: rings of changing colour.
fn draw(side: usize) -> anyhow::Result<Vec<u8>> {
    let mut pixels = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            let distance = x * x + y * y;
            pixels.extend([(distance / side) as u8, (x * 255 / side) as u8, (y * 255 / side) as u8]);
        }
    }
    let image = Image { pixels: pixels.as_slice(), width: side, pitch: side * 3, height: side, format: PixelFormat::RGB };
    let encoded = turbojpeg::compress(image, 80, Subsamp::Sub2x2).context("could not draw a picture")?;
    Ok(encoded.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(generator: &Generator, index: u64) -> Vec<u8> {
        generator.pieces(index).concat()
    }

    #[test]
    fn photos_decode_alike_and_are_distinct() {
        let generator = Generator::drawn(300_000, 7).unwrap();
        let (a, b) = (whole(&generator, 0), whole(&generator, 1));
        assert_ne!(a, b);
        assert_eq!(a, whole(&Generator::drawn(300_000, 7).unwrap(), 0), "the same seed, the same photos");
        assert_ne!(a, whole(&Generator::drawn(300_000, 8).unwrap(), 0));
        let decode = |bytes: &[u8]| turbojpeg::decompress(bytes, PixelFormat::RGB).unwrap();
        let (a, b) = (decode(&a), decode(&b));
        assert_eq!((a.width, a.height), (640, 640));
        assert_eq!(a.pixels, b.pixels);
    }

    #[test]
    fn no_block_is_shared() {
        let generator = Generator::drawn(3_000_000, 7).unwrap();
        let (a, b) = (whole(&generator, 0), whole(&generator, 1));
        for (block, (a, b)) in a.chunks(1 << 20).zip(b.chunks(1 << 20)).enumerate() {
            assert!(a != b, "block {block} of 1 MiB is the same in two photos");
        }
    }

    #[test]
    fn what_is_no_jpeg_is_refused() {
        assert!(Generator::of(b"GIF89a", 1_000, 0).is_none());
        assert!(Generator::of(&[0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff], 1_000, 0).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn photos_have_the_size_asked_for(size in 3_000_u64..1_200_000) {
            let generator = Generator::drawn(size, 1).unwrap();
            prop_assert_eq!(whole(&generator, 3).len() as u64, generator.size_bytes());
            prop_assert!(generator.size_bytes() <= size && size - generator.size_bytes() <= 4, "{}", generator.size_bytes());
        }
    }
}
