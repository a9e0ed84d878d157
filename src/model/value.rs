//! How the values of fields and registers are written: these bytes are stored and travel, so they never change.
//!
//! Text is UTF-8, a number is big-endian without leading zeros, names and ids are their raw bytes. A value that cannot be read
//! (from a newer version, which may widen a field) counts as absent: the bytes are kept all the same.

use serde_bytes::ByteBuf;

use super::row::{Field, Fixed, Live};

/// A number, big-endian, without leading zeros; zero is empty.
pub(super) fn write_number(number: u64) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The inverse of [`write_number`]; `None` for what does not fit.
pub(super) fn read_number<N: TryFrom<u64>>(bytes: &[u8]) -> Option<N> {
    if bytes.len() > 8 {
        return None;
    }
    let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    number.try_into().ok()
}

/// Text; `None` where it is not UTF-8.
pub(super) fn read_text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Bytes of a known length.
pub(super) fn read_array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Collects the fixed part of a birth.
#[derive(Default)]
pub(super) struct FixedBuilder(Fixed);

impl FixedBuilder {
    /// Sets a field.
    pub(super) fn put(mut self, field: Field, value: impl Into<Vec<u8>>) -> Self {
        self.0.insert(field, ByteBuf::from(value.into()));
        self
    }

    /// Sets a field that may be absent.
    pub(super) fn put_some(self, field: Field, value: Option<impl Into<Vec<u8>>>) -> Self {
        match value {
            Some(value) => self.put(field, value),
            None => self,
        }
    }

    /// The fixed part.
    pub(super) fn build(self) -> Fixed {
        self.0
    }
}

/// The bytes of a fixed field.
pub(super) fn fixed(live: &Live, field: Field) -> Option<&[u8]> {
    live.fixed.as_ref()?.get(&field).map(|value| value.as_slice())
}

/// The bytes of a register.
pub(super) fn register(live: &Live, field: Field) -> Option<&[u8]> {
    live.registers.get(&field).map(|register| register.value.as_slice())
}

/// A register of text; `None` where it was never set, or was emptied.
pub(super) fn register_text(live: &Live, field: Field) -> Option<String> {
    register(live, field).and_then(read_text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for (number, bytes) in [(0, &[][..]), (1, &[1]), (255, &[255]), (256, &[1, 0]), (u64::MAX, &[255; 8])] {
            assert_eq!(write_number(number), bytes);
            assert_eq!(read_number(bytes), Some(number));
        }
        assert_eq!(read_number::<u64>(&[0; 9]), None);
        assert_eq!(read_number::<u8>(&[1, 0]), None, "what does not fit is not cut");
    }
}
