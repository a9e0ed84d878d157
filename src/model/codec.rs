//! How model values become bytes: a version number, then postcard (<https://postcard.jamesmunns.com/wire-format>).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Stored or received bytes that do not say what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a version of the format that this program does not know: wait for an upgrade, change nothing.
    #[error("{what} has format version {found}, this program reads up to {known}")]
    Newer {
        /// What was being read.
        what: &'static str,
        /// The version that stands in the bytes.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// Not what was ever written: damage.
    #[error("{what} is malformed")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
}

/// The version as a varint, then the value.
pub(super) fn encode<T: Serialize>(version: u64, value: &T) -> Vec<u8> {
    // Serializing plain data into memory cannot fail: no map or sequence here is of unknown length.
    postcard::to_stdvec(&(version, value)).expect("plain data serializes")
}

/// Reads what [`encode`] wrote; bytes left over are damage.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, known: u64, bytes: &[u8]) -> Result<T, DecodeError> {
    let malformed = DecodeError::Malformed { what };
    let (found, rest) = postcard::take_from_bytes::<u64>(bytes).map_err(|_| malformed.clone())?;
    if found > known {
        return Err(DecodeError::Newer { what, found, known });
    }
    match postcard::take_from_bytes::<T>(rest) {
        Ok((value, [])) => Ok(value),
        _ => Err(malformed),
    }
}
