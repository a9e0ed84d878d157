//! Content hashes and the physical keys of copies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not the name it should be (wrong length, or a character outside `0-9a-f`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseNameError {
    /// What would have been accepted, for people.
    pub expected: &'static str,
}

/// Writes `bytes` as lowercase hexadecimal digits.
fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `N` bytes of lowercase hexadecimal digits; upper case is refused, so that a name has one spelling.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    fn digit(c: u8) -> Option<u8> {
        match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        }
    }
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// A newtype of fixed-length bytes that people read as lowercase hex: serialized as text in readable formats, as raw bytes elsewhere.
macro_rules! hex_name {
    ($(#[$doc:meta])* $name:ident, $length:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// Takes the raw bytes.
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseNameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self).ok_or(ParseNameError { expected: $expected })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; $length]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

hex_name!(
    /// The name of a blob: the BLAKE3 hash of its bytes, written as 64 lowercase hex digits.
    BlobHash,
    32,
    "64 lowercase hex digits"
);

hex_name!(
    /// The first half of a blob's hash: what files of caches are called by. 128 bits name one blob as well as 256, where nobody gains by two.
    HashPrefix,
    16,
    "32 lowercase hex digits"
);

impl BlobHash {
    /// The first half.
    pub fn prefix(&self) -> HashPrefix {
        let mut prefix = [0; HashPrefix::LENGTH];
        prefix.copy_from_slice(&self.0[..HashPrefix::LENGTH]);
        HashPrefix(prefix)
    }

    /// Hashes bytes that are already in memory. Streams use `blake3::Hasher` and [`BlobHash::from`].
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }
}

impl From<blake3::Hash> for BlobHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

/// 96 random bits, fresh for every copy ever written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobNonce([u8; 12]);

impl BlobNonce {
    /// Takes 12 bytes from a source of randomness (`runtime::Random`); never a counter.
    pub const fn from_random(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Display for BlobNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for BlobNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// The key of one copy of a blob, `{hash}.{nonce}`: 64 and 24 lowercase hex digits.
///
/// A key is named by at most one commit and never again once it is queued for deletion, so that a late or repeated delete cannot
/// hit anything else (`blobs.md`, lemma 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobKey {
    /// What the bytes hash to.
    pub hash: BlobHash,
    /// Which copy of them this is.
    pub nonce: BlobNonce,
}

impl BlobKey {
    /// Length in bytes of [`BlobKey::to_bytes`].
    pub const LENGTH: usize = BlobHash::LENGTH + 12;

    /// Hash, then nonce: the form of a RocksDB key.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..32].copy_from_slice(self.hash.as_bytes());
        out[32..].copy_from_slice(self.nonce.as_bytes());
        out
    }

    /// The inverse of [`BlobKey::to_bytes`]; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hash, nonce) = bytes.split_at_checked(32)?;
        Some(Self { hash: BlobHash(hash.try_into().ok()?), nonce: BlobNonce(nonce.try_into().ok()?) })
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.hash, self.nonce)
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobKey {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseNameError { expected: "64 lowercase hex digits, a dot and 24 more" };
        let (hash, nonce) = text.split_once('.').ok_or(error)?;
        Ok(Self { hash: hash.parse().map_err(|_| error)?, nonce: BlobNonce(parse_hex(nonce).ok_or(error)?) })
    }
}

hex_name!(
    /// SHA-256 (FIPS 180-4) of a blob's bytes, kept for `Repr-Digest`.
    Sha256,
    32,
    "64 lowercase hex digits"
);

hex_name!(
    /// The name of a key that signs rendition URLs: it follows from the key, and tells nothing of it.
    SigningKeyId,
    8,
    "16 lowercase hex digits"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let key = BlobKey { hash: BlobHash::of(b"photo"), nonce: BlobNonce([0xab; 12]) };
        let text = key.to_string();
        assert_eq!(text.len(), 64 + 1 + 24);
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(BlobKey::from_bytes(&key.to_bytes()), Some(key));
        for wrong in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), text.replace('.', "/"), String::new()] {
            assert!(wrong.parse::<BlobKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hashes_are_text_for_people_and_bytes_for_machines() {
        let hash = BlobHash::of(b"photo");
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<BlobHash>(&format!("\"{hash}\"")).unwrap(), hash);
        assert_eq!(postcard::to_stdvec(&hash).unwrap(), hash.as_bytes());
        assert_eq!(postcard::from_bytes::<BlobHash>(hash.as_bytes()).unwrap(), hash);
    }
}
