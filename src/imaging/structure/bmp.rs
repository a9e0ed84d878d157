//! BMP: one header, and rows of a known length.

use super::{Outline, le_u16, le_u32};
use crate::imaging::error::ImagingError;
use crate::imaging::limits::Limits;
use crate::model::format::Format;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Bmp, detail)
}

/// Needs a header, and where rows are not packed, all of them.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let cut_off = || broken("cut off");
    let word = |at: usize| le_u16(bytes, at).map(u32::from).ok_or_else(cut_off);
    let long = |at: usize| le_u32(bytes, at).ok_or_else(cut_off);
    let data_at = long(10)?;
    // The header of OS/2 1 has short sides; all others begin alike. A negative height means rows from the top.
    let (width, height, bits, compression) = match long(14)? {
        12 => (word(18)?, word(20)?, word(24)?, 0),
        _ => (long(18)?, (long(22)? as i32).unsigned_abs(), word(28)?, long(30)?),
    };
    if i32::try_from(width).is_err() {
        return Err(broken("a negative width"));
    }
    limits.check_dimensions(width, height)?;
    let mut outline = Outline::new(Format::Bmp, (width, height));
    outline.decoded_bytes = outline.pixels() * 4;
    const UNPACKED: u32 = 0;
    const BIT_FIELDS: [u32; 2] = [3, 6];
    let row_bytes = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let needed = if compression == UNPACKED || BIT_FIELDS.contains(&compression) { row_bytes * u64::from(height) } else { 1 };
    if u64::from(data_at) + needed > bytes.len() as u64 {
        return Err(cut_off());
    }
    Ok(outline)
}
