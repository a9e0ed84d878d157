//! How a photo looks, in 64 bits: near duplicates differ in few of them.

use serde::{Deserialize, Serialize};

use std::fmt;

/// A photo's perceptual hash, of the picture as it is shown. What its bits are stands in `imaging`; here only how many differ counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerceptualHash(pub u64);

impl PerceptualHash {
    /// Bits.
    pub const BITS: u32 = u64::BITS;

    /// In how many bits the two differ (Hamming distance): 0 to 64.
    pub const fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }

    /// Big-endian, as stored.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`PerceptualHash::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_forms() {
        let hash = PerceptualHash(0x0123_4567_89ab_cdef);
        assert_eq!(hash.to_string(), "0123456789abcdef");
        assert_eq!(PerceptualHash::from_bytes(hash.to_bytes()), hash);
        assert_eq!(hash.distance(hash), 0);
        assert_eq!(hash.distance(PerceptualHash(!hash.0)), PerceptualHash::BITS);
        assert_eq!(hash.distance(PerceptualHash(hash.0 ^ 0x8000_0000_0000_0001)), 2);
    }
}
