//! Hybrid logical time and stamps (`metadata.md`, section 1; Kulkarni et al., "Logical Physical Clocks", 2014).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Wall clock time in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct WallMs(pub u64);

/// Hybrid logical time: 48 bits of milliseconds since the Unix epoch, then 16 bits that count within one.
///
/// The count may overflow into the milliseconds: time then runs ahead of the wall clock, and stays ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    /// How far sites' clocks may differ.
    pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1_000;

    /// The last wall clock time that fits into 48 bits; a clock beyond it is taken to stand there.
    const LAST_WALL_MS: u64 = (1 << 48) - 1;

    /// The time of the next commit: larger than `self`, and not behind the wall clock. `None` at the end of time, past which nothing
    /// could be ordered any more.
    pub fn next(self, wall: WallMs) -> Option<Self> {
        let next = self.0.checked_add(1)?;
        Some(Self(next.max(wall.0.min(Self::LAST_WALL_MS) << 16)))
    }

    /// Whether it is further ahead of a wall clock than clocks may differ between sites. Such an entry waits: once joined, its time could
    /// only be outrun by times as wrong.
    pub const fn is_too_far_ahead(self, wall: WallMs) -> bool {
        self.wall().0 > wall.0.saturating_add(Self::MAX_AHEAD_MS)
    }

    /// The wall clock part.
    pub const fn wall(self) -> WallMs {
        WallMs(self.0 >> 16)
    }
}

/// One life of a site's change log: random, drawn at every opening of the metadata, so that an old copy can never reissue a sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(pub [u8; 16]);

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The number of an entry within its origin: 1, 2, 3 without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// When and by whom: one a commit, in total order. The `(origin, seq)` part is the commit's dot.
///
/// Equal times are told apart by origin, not by site: a site whose clock went back may pass the same time in two lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Hybrid logical time.
    pub hlc: Hlc,
    /// Whose commit.
    pub origin: Origin,
    /// Which of its commits.
    pub seq: Seq,
}

impl Stamp {
    /// Length in bytes of [`Stamp::to_bytes`].
    pub const LENGTH: usize = 8 + 16 + 8;

    /// Time, origin, sequence, big-endian: sorts as stamps do.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        out[..8].copy_from_slice(&self.hlc.0.to_be_bytes());
        out[8..24].copy_from_slice(&self.origin.0);
        out[24..].copy_from_slice(&self.seq.0.to_be_bytes());
        out
    }

    /// The inverse of [`Stamp::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let number = |from: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[from + i]));
        Self { hlc: Hlc(number(0)), origin: Origin(std::array::from_fn(|i| bytes[8 + i])), seq: Seq(number(24)) }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:?}/{}", self.hlc.0, self.origin, self.seq.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_only_goes_forward() {
        let first = Hlc::default().next(WallMs(1_000)).unwrap();
        assert_eq!(first.wall(), WallMs(1_000));
        let second = first.next(WallMs(1)).unwrap();
        assert!(second > first, "also when the wall clock goes back");
        assert_eq!(second.next(WallMs(2_000)).unwrap().wall(), WallMs(2_000));
    }

    #[test]
    fn time_ends_rather_than_begins_again() {
        let last = Hlc(u64::MAX);
        assert_eq!(Hlc(u64::MAX - 1).next(WallMs(0)), Some(last));
        assert_eq!(last.next(WallMs(0)), None);
        assert_eq!(last.next(WallMs(u64::MAX)), None);
        let far = Hlc::default().next(WallMs(u64::MAX)).unwrap();
        assert_eq!(far.wall(), WallMs((1 << 48) - 1), "a clock that is out of its mind does not wrap into the past");
    }

    #[test]
    fn clocks_may_differ_by_five_minutes() {
        let time = Hlc::default().next(WallMs(400_000)).unwrap();
        assert!(!time.is_too_far_ahead(WallMs(100_000)));
        assert!(time.is_too_far_ahead(WallMs(99_999)));
        assert!(!time.is_too_far_ahead(WallMs(u64::MAX)));
    }

    #[test]
    fn bytes_sort_as_stamps_do() {
        let stamp = |hlc, origin, seq| Stamp { hlc: Hlc(hlc), origin: Origin([origin; 16]), seq: Seq(seq) };
        let sorted = [stamp(1, 2, 3), stamp(1, 2, 256), stamp(1, 3, 1), stamp(256, 0, 1)];
        assert!(sorted.is_sorted());
        assert!(sorted.map(Stamp::to_bytes).is_sorted());
        assert_eq!(sorted.map(|stamp| Stamp::from_bytes(stamp.to_bytes())), sorted);
    }
}
