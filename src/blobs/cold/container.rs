//! The head of a recompressed copy, as `storage-layout.md` has it: what it is, so that it can be read without metadata.

use crate::model::BlobHash;

/// What such a copy begins with, and no photo that is taken.
pub const MAGIC: [u8; 8] = *b"\xc0HALIDOM";
/// Length of the head.
pub const HEAD_BYTES: usize = 112;
/// The version that this program writes, and the last that it reads.
const VERSION: u16 = 1;
/// The number of Lepton among codecs.
const LEPTON: u16 = 1;
/// The head but for its own check.
const CHECKED_BYTES: usize = HEAD_BYTES - 8;

/// Which program wrote what the head is followed by, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codec {
    /// Version of the crate `lepton_jpeg`.
    pub version: [u16; 3],
    /// The [`Codec::DC_16_BIT`] and [`Codec::ADV_16_BIT`] that hold.
    pub flags: u16,
}

impl Codec {
    /// DC coefficients are predicted in 16 bits, as the original program does with SIMD.
    pub const DC_16_BIT: u16 = 1;
    /// So are the others.
    pub const ADV_16_BIT: u16 = 2;
    const KNOWN_FLAGS: u16 = Self::DC_16_BIT | Self::ADV_16_BIT;
}

/// The head of a recompressed copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What wrote it.
    pub codec: Codec,
    /// Memory that decoding takes, in KiB.
    pub memory_kib: u32,
    /// Length of the original.
    pub original_bytes: u64,
    /// Length of what follows the head.
    pub payload_bytes: u64,
    /// BLAKE3 of what follows the head.
    pub payload_hash: BlobHash,
    /// BLAKE3 of the original.
    pub original_hash: BlobHash,
}

/// What the first bytes of a copy say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// They are no head: the copy is the original.
    Raw,
    /// A head.
    Container(Head),
    /// A head that something has happened to.
    Damaged,
    /// A head that only a newer program can read.
    Newer,
}

impl Head {
    /// As it is written.
    pub fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let [major, minor, patch] = self.codec.version;
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(&MAGIC);
        for number in [VERSION, LEPTON, major, minor, patch, self.codec.flags] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.memory_kib.to_be_bytes());
        bytes.extend_from_slice(&self.original_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.payload_bytes.to_be_bytes());
        bytes.extend_from_slice(self.payload_hash.as_bytes());
        bytes.extend_from_slice(self.original_hash.as_bytes());
        let check = check_of(&bytes);
        bytes.extend_from_slice(&check);
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&bytes);
        head
    }
}

/// Reads the beginning of a copy of `size_bytes`: [`HEAD_BYTES`] of it, or all where it has fewer.
pub fn read(beginning: &[u8], size_bytes: u64) -> Beginning {
    if !beginning.starts_with(&MAGIC) {
        return Beginning::Raw;
    }
    let Some((version, codec, head)) = take_head(beginning) else { return Beginning::Damaged };
    if version > VERSION || codec != LEPTON || head.codec.flags & !Codec::KNOWN_FLAGS != 0 {
        return Beginning::Newer;
    }
    let is_whole = head.payload_bytes.checked_add(HEAD_BYTES as u64) == Some(size_bytes);
    if is_whole { Beginning::Container(head) } else { Beginning::Damaged }
}

fn check_of(bytes: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut check);
    check
}

/// Version, codec, and all else; `None` where it does not agree with its check.
fn take_head(beginning: &[u8]) -> Option<(u16, u16, Head)> {
    let checked = beginning.get(..CHECKED_BYTES)?;
    if beginning.get(CHECKED_BYTES..HEAD_BYTES)? != check_of(checked) {
        return None;
    }
    let mut rest = checked.get(MAGIC.len()..)?;
    let mut short = || take(&mut rest).map(u16::from_be_bytes);
    let (version, codec) = (short()?, short()?);
    let codec_version = [short()?, short()?, short()?];
    let flags = short()?;
    let head = Head {
        codec: Codec { version: codec_version, flags },
        memory_kib: u32::from_be_bytes(take(&mut rest)?),
        original_bytes: u64::from_be_bytes(take(&mut rest)?),
        payload_bytes: u64::from_be_bytes(take(&mut rest)?),
        payload_hash: BlobHash::from_bytes(take(&mut rest)?),
        original_hash: BlobHash::from_bytes(take(&mut rest)?),
    };
    Some((version, codec, head))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        Head {
            codec: Codec { version: [0, 5, 8], flags: 3 },
            memory_kib: 7,
            original_bytes: 1_000,
            payload_bytes: 800,
            payload_hash: BlobHash::of(b"payload"),
            original_hash: BlobHash::of(b"original"),
        }
    }

    #[test]
    fn a_head_reads_back_and_a_changed_one_is_damage() {
        let bytes = head().to_bytes();
        assert_eq!(read(&bytes, 912), Beginning::Container(head()));
        assert_eq!(read(&bytes, 911), Beginning::Damaged, "cut off");
        for at in 8..HEAD_BYTES {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(read(&changed, 912), Beginning::Damaged, "byte {at}");
        }
        for length in 8..HEAD_BYTES {
            assert_eq!(read(&bytes[..length], length as u64), Beginning::Damaged);
        }
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_from_damage() {
        let newer = |at: usize, value: u8| {
            let mut bytes = head().to_bytes();
            bytes[at] = value;
            let check = check_of(&bytes[..CHECKED_BYTES]);
            bytes[CHECKED_BYTES..].copy_from_slice(&check);
            read(&bytes, 912)
        };
        assert_eq!([newer(9, 2), newer(11, 2), newer(19, 4)], [Beginning::Newer; 3], "version, codec, a flag");
    }

    proptest! {
        #[test]
        fn anything_reads_as_something(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_marked in any::<bool>()) {
            let bytes = if is_marked { [&MAGIC[..], &bytes].concat() } else { bytes };
            let found = read(&bytes, bytes.len() as u64);
            prop_assert_eq!(found, if bytes.starts_with(&MAGIC) { Beginning::Damaged } else { Beginning::Raw });
        }
    }
}
