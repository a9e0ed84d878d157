//! How column keys become bytes: fixed-length parts, big-endian, one after the other, so that byte order is the order of the parts.

use uuid::Uuid;

use crate::model::{
    AlbumId, BlobHash, BlobKey, Hlc, Kind, Origin, Owner, PerceptualHash, PhotoId, RowKey, Seq, SnapshotId, Stamp, TenantId, TokenId,
    WallMs,
};

/// The local number of a commit: 1, 2, 3 without a gap, across all lives of this site. It never leaves the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Commit(pub u64);

/// A part of a key, or a whole one: of fixed length, except that the last part may take the rest.
pub trait Key: Sized {
    /// Appends the bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes the part off the front; `None` where it does not stand there.
    fn take(bytes: &mut &[u8]) -> Option<Self>;

    /// The bytes.
    fn to_key(&self) -> Vec<u8> {
        let mut out = vec![];
        self.put(&mut out);
        out
    }

    /// The inverse of [`Key::to_key`]; `None` for anything else.
    fn from_key(mut bytes: &[u8]) -> Option<Self> {
        let key = Self::take(&mut bytes)?;
        bytes.is_empty().then_some(key)
    }
}

macro_rules! array_keys {
    ($($type:ty, $length:expr, $to:expr, $from:expr;)*) => {$(
        impl Key for $type {
            fn put(&self, out: &mut Vec<u8>) {
                #[allow(clippy::redundant_closure_call)] // The closure is the macro's argument.
                out.extend_from_slice(&($to)(self)[..]);
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (part, rest) = bytes.split_at_checked($length)?;
                *bytes = rest;
                let part: [u8; $length] = part.try_into().ok()?;
                #[allow(clippy::redundant_closure_call)] // As above.
                ($from)(part)
            }
        }
    )*};
}

array_keys! {
    u8, 1, |v: &u8| [*v], |b: [u8; 1]| Some(b[0]);
    u16, 2, |v: &u16| v.to_be_bytes(), |b| Some(u16::from_be_bytes(b));
    Commit, 8, |v: &Commit| v.0.to_be_bytes(), |b| Some(Commit(u64::from_be_bytes(b)));
    WallMs, 8, |v: &WallMs| v.0.to_be_bytes(), |b| Some(WallMs(u64::from_be_bytes(b)));
    Hlc, 8, |v: &Hlc| v.0.to_be_bytes(), |b| Some(Hlc(u64::from_be_bytes(b)));
    Seq, 8, |v: &Seq| v.0.to_be_bytes(), |b| Some(Seq(u64::from_be_bytes(b)));
    Origin, 16, |v: &Origin| v.0, |b| Some(Origin(b));
    Kind, 1, |v: &Kind| [v.0], |b: [u8; 1]| Some(Kind(b[0]));
    Stamp, 32, |v: &Stamp| v.to_bytes(), |b| Some(Stamp::from_bytes(b));
    TenantId, 16, |v: &TenantId| *v.as_bytes(), |b| Some(TenantId::from_bytes(b));
    Uuid, 16, |v: &Uuid| *v.as_bytes(), |b| Some(Uuid::from_bytes(b));
    AlbumId, 16, |v: &AlbumId| *v.as_bytes(), |b| Some(AlbumId::from_bytes(b));
    PhotoId, 16, |v: &PhotoId| *v.as_bytes(), |b| Some(PhotoId::from_bytes(b));
    TokenId, 16, |v: &TokenId| *v.as_bytes(), |b| Some(TokenId::from_bytes(b));
    SnapshotId, 16, |v: &SnapshotId| *v.as_bytes(), |b| Some(SnapshotId::from_bytes(b));
    BlobHash, 32, |v: &BlobHash| *v.as_bytes(), |b| Some(BlobHash::from_bytes(b));
    BlobKey, 44, |v: &BlobKey| v.to_bytes(), |b: [u8; 44]| BlobKey::from_bytes(&b);
    PerceptualHash, 8, |v: &PerceptualHash| v.to_bytes(), |b| Some(PerceptualHash::from_bytes(b));
    Owner, 32, |v: &Owner| v.to_bytes(), |b: [u8; 32]| Owner::from_bytes(&b);
    RowKey, 49, |v: &RowKey| v.to_bytes(), |b: [u8; 49]| RowKey::from_bytes(&b);
    [u8; 32], 32, |v: &[u8; 32]| *v, Some;
}

/// The key of a column's only row.
impl Key for () {
    fn put(&self, _out: &mut Vec<u8>) {}

    fn take(_bytes: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

macro_rules! tuple_keys {
    ($($name:ident)*) => {
        impl<$($name: Key),*> Key for ($($name,)*) {
            fn put(&self, out: &mut Vec<u8>) {
                #[allow(non_snake_case)] // The parts are named like their types.
                let ($($name,)*) = self;
                $($name.put(out);)*
            }

            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($name::take(bytes)?,)*))
            }
        }
    };
}

tuple_keys!(A B);
tuple_keys!(A B C);
tuple_keys!(A B C D);
tuple_keys!(A B C D E);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_the_parts_do_and_read_back() {
        let keys = [(WallMs(1), u16::MAX), (WallMs(2), 0), (WallMs(255), 1), (WallMs(256), 0)];
        assert!(keys.is_sorted_by_key(Key::to_key));
        for key in keys {
            assert_eq!(Key::from_key(&key.to_key()), Some(key));
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let bytes = (Commit(1), 2u8).to_key();
        assert_eq!(<(Commit, u8)>::from_key(&bytes[1..]), None);
        assert_eq!(<(Commit, u8)>::from_key(&[bytes, vec![0]].concat()), None);
    }
}
