//! RAF, Fujifilm's: a head of fixed places, big-endian, a JPEG with all that is said of the photo, and what the sensor saw.

use super::{Contents, cut_off};
use crate::imaging::error::ImagingError;
use crate::imaging::structure::be_u32;
use crate::model::format::RawFormat;

/// Where the head says where the JPEG lies, and then what the sensor saw.
const JPEG_AT: usize = 84;
const SENSOR_AT: usize = 100;

/// Reads what a RAF holds. Its EXIF is the JPEG's own.
pub(super) fn read(bytes: &[u8]) -> Result<Contents<'_>, ImagingError> {
    let place = |at: usize| Some((u64::from(be_u32(bytes, at)?), u64::from(be_u32(bytes, at + 4)?)));
    let cut_off = || cut_off(RawFormat::Raf);
    let (jpeg, sensor) = place(JPEG_AT).zip(place(SENSOR_AT)).ok_or_else(cut_off)?;
    let mut contents = Contents::default();
    contents.take(bytes, jpeg.0, jpeg.1).ok_or_else(cut_off)?;
    if sensor.0 + sensor.1 > bytes.len() as u64 {
        return Err(cut_off());
    }
    Ok(contents)
}
