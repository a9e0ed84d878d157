//! Fingerprints of sets of rows: two sites hold the same rows where the roots are equal, and drill down to a difference by sums of
//! parts (`metadata.md`, section 2, "Set hash").
//!
//! A row's hash is keyed, so that nobody who may choose a row's contents can make a sum come out as another; sums are modulo 2^256,
//! so that a changed row costs one subtraction and one addition, in any order.

use serde::{Deserialize, Serialize};

use super::row::{Births, Register};
use super::{Owner, RowKey, Stamp};

/// The secret that keys row hashes; sites that compare hashes share it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SetKey(pub [u8; 32]);

impl std::fmt::Debug for SetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetKey(secret)")
    }
}

/// The hash of one row, as an element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHash(pub [u8; 32]);

/// The first byte of the hashed form; a new number for every change of it.
const FORM: u8 = 1;

/// The hash of a row: keyed BLAKE3 over its key and its births that are not deleted, edits without a creation among them; `None` where
/// there are none. Deleted stubs are left out: they are not state, they only wait.
///
/// Two sites must compute the same from the same births, whatever their versions: the form is written out here and not left to a library.
pub fn row_hash(set_key: &SetKey, key: &RowKey, births: &Births) -> Option<RowHash> {
    let mut live = births.live().peekable();
    live.peek()?;
    let mut hasher = blake3::Hasher::new_keyed(&set_key.0);
    hasher.update(&[FORM]);
    hasher.update(&key.to_bytes());
    for (birth, live) in live {
        hasher.update(b"b");
        hasher.update(&birth.to_bytes());
        if let Some(fixed) = &live.fixed {
            hasher.update(b"f");
            length(&mut hasher, fixed.len());
            for (field, value) in fixed {
                hasher.update(&field.0.to_be_bytes());
                bytes(&mut hasher, value);
            }
        }
        if let Some(place) = &live.place {
            hasher.update(b"p");
            register(&mut hasher, place);
        }
        if let Some(removed) = &live.removed {
            hasher.update(b"x");
            hasher.update(&Stamp::to_bytes(*removed));
        }
        for (field, value) in &live.registers {
            hasher.update(b"r");
            hasher.update(&field.0.to_be_bytes());
            register(&mut hasher, value);
        }
    }
    Some(RowHash(*hasher.finalize().as_bytes()))
}

fn length(hasher: &mut blake3::Hasher, length: usize) {
    hasher.update(&(length as u64).to_be_bytes());
}

fn bytes(hasher: &mut blake3::Hasher, value: &[u8]) {
    length(hasher, value.len());
    hasher.update(value);
}

fn register(hasher: &mut blake3::Hasher, register: &Register) {
    hasher.update(&register.stamp.to_bytes());
    bytes(hasher, &register.value);
}

/// The sum of row hashes modulo 2^256, and how many they are. Kept for each owner, each bucket of owners, and the whole (the root).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetHash {
    /// Least significant first.
    sum: [u64; 4],
    count: u64,
}

impl SetHash {
    /// Length in bytes of [`SetHash::to_bytes`].
    pub const LENGTH: usize = 32 + 8;

    /// Takes a row in. The same row twice counts twice: the caller subtracts the row's former hash first.
    pub fn add(&mut self, row: &RowHash) {
        self.sum = sum(self.sum, limbs(&row.0));
        self.count = self.count.wrapping_add(1);
    }

    /// Takes a row out that was added before.
    pub fn subtract(&mut self, row: &RowHash) {
        self.sum = sum(self.sum, negative(limbs(&row.0)));
        self.count = self.count.wrapping_sub(1);
    }

    /// Replaces a row's former hash by its present one.
    pub fn replace(&mut self, former: Option<&RowHash>, present: Option<&RowHash>) {
        if former == present {
            return;
        }
        if let Some(row) = former {
            self.subtract(row);
        }
        if let Some(row) = present {
            self.add(row);
        }
    }

    /// How many rows are in it.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Nothing is in it: such a sum need not be stored.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of two disjoint sets, as of owners in a bucket.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { sum: sum(self.sum, other.sum), count: self.count.wrapping_add(other.count) }
    }

    /// Sum, most significant byte first, then count: the stored form, and what sites compare.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        for (chunk, limb) in out.chunks_exact_mut(8).zip(self.sum.iter().rev().chain([&self.count])) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        out
    }

    /// The inverse of [`SetHash::to_bytes`]; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sum, count) = bytes.split_at_checked(32)?;
        Some(Self { sum: limbs(sum.try_into().ok()?), count: u64::from_be_bytes(count.try_into().ok()?) })
    }
}

fn limbs(bytes: &[u8; 32]) -> [u64; 4] {
    let limb = |from: usize| u64::from_be_bytes(std::array::from_fn(|i| bytes[from + i]));
    [limb(24), limb(16), limb(8), limb(0)]
}

fn sum(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let mut carry = false;
    std::array::from_fn(|i| {
        let (limb, over) = a[i].overflowing_add(b[i]);
        let (limb, over_by_carry) = limb.overflowing_add(carry.into());
        carry = over || over_by_carry;
        limb
    })
}

/// The number that gives 0 with this one: its complement and one.
fn negative(a: [u64; 4]) -> [u64; 4] {
    sum(a.map(|limb| !limb), [1, 0, 0, 0])
}

/// One of 65,536 sets of owners, by hash, between an owner's sum and the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u16);

impl Bucket {
    /// In which an owner's rows are counted, the same at every site.
    pub fn of(owner: &Owner) -> Self {
        let hash = blake3::derive_key("halidom 2026-11 bucket of an owner", &owner.to_bytes());
        Self(u16::from_be_bytes([hash[0], hash[1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_go_through_all_limbs() {
        let all = RowHash([0xff; 32]);
        let one = RowHash(std::array::from_fn(|i| u8::from(i == 31)));
        let mut set = SetHash::default();
        set.add(&all);
        set.add(&one);
        assert_eq!(set.to_bytes()[..32], [0; 32], "2^256 is 0");
        assert_eq!(set.count(), 2);
        assert!(!set.is_empty(), "the count tells");
        set.subtract(&one);
        assert_eq!(set.to_bytes()[..32], [0xff; 32]);
        set.subtract(&all);
        assert!(set.is_empty());
    }

    #[test]
    fn a_sum_knows_no_order() {
        let rows: Vec<RowHash> = (0..20u8).map(|i| RowHash(*blake3::hash(&[i]).as_bytes())).collect();
        let (mut forth, mut back, mut halves) = (SetHash::default(), SetHash::default(), [SetHash::default(); 2]);
        rows.iter().for_each(|row| forth.add(row));
        rows.iter().rev().for_each(|row| back.add(row));
        rows.iter().enumerate().for_each(|(i, row)| halves[i % 2].add(row));
        assert_eq!(forth, back);
        assert_eq!(forth, halves[0].union(&halves[1]));
        assert_eq!(SetHash::from_bytes(&forth.to_bytes()), Some(forth));
        assert_eq!(SetHash::from_bytes(&[0; 39]), None);
        back.replace(Some(&rows[3]), None);
        back.replace(None, Some(&rows[3]));
        back.replace(Some(&rows[4]), Some(&rows[4]));
        assert_eq!(forth, back);
    }
}
