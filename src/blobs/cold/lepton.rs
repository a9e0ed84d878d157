//! Recompressing a JPEG and getting it back, by the crate `lepton_jpeg`, on the calling thread alone.
//!
//! All memory is bounded by what is taken: a JPEG's coefficients are held whole while it is encoded, two bytes each.

use std::io::{Cursor, Write};

use bytes::Bytes;
use lepton_jpeg::{EnabledFeatures, SingleThreadPool, catch_unwind_result, decode_lepton, encode_lepton};

use super::container::{Codec, HEAD_BYTES, Head};
use super::frame::{self, Frame};
use crate::blobs::Content;
use crate::model::BlobHash;

/// The codec as this program writes it.
pub const CODEC: Codec = Codec { version: [0, 5, 8], flags: Codec::DC_16_BIT | Codec::ADV_16_BIT };
/// Originals of fewer bytes are left alone: a file system gives room in blocks.
const MIN_ORIGINAL_BYTES: usize = 16 << 10;
/// Originals of more bytes are left alone.
pub const MAX_ORIGINAL_BYTES: usize = 64 << 20;
/// So are those of more pixels: three components of 64 Mi take 384 MiB.
const MAX_PIXELS: u64 = 64 << 20;
/// And those of more scans, each of which goes over the whole picture.
const MAX_SCANS: usize = 128;
/// A copy has to be smaller by one part in so many.
const LEAST_GAIN: u64 = 32;
/// A picture is encoded in up to so many parts, and each is given out when it is decoded.
const PARTS: u32 = 8;

/// A JPEG in a container, proven to be decoded to the same bytes.
#[derive(Debug, Clone)]
pub struct Encoded {
    bytes: Bytes,
    content: Content,
}

impl Encoded {
    /// The container: what is to be written.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What these bytes are.
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// Why an original stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StaysRaw {
    /// It would hardly be smaller.
    #[error("it would hardly be smaller")]
    NoGain,
    /// The codec does not take it, or it is past what is tried.
    #[error("it is not recompressed: {0}")]
    Unfit(String),
    /// The codec took it, and did not give the same bytes back.
    #[error("what was recompressed is not the same: {0}")]
    Unproven(String),
}

/// Recompresses a JPEG, and decodes what came of it to see that it is the same. Takes up to 400 MiB and some seconds; half a second a photo mostly.
///
/// # Errors
/// [`StaysRaw`] says why it is better left as it is: it will be so with the same bytes and the same codec.
pub fn encode(original: &[u8]) -> Result<Encoded, StaysRaw> {
    let frame = require_fit(original)?;
    let features = features(CODEC, Some(frame));
    let mut container = Cursor::new(vec![0; HEAD_BYTES]);
    container.set_position(HEAD_BYTES as u64);
    let encoded =
        catch_unwind_result(|| encode_lepton(&mut Cursor::new(original), &mut container, &features, &SingleThreadPool::default()));
    encoded.map_err(|error| StaysRaw::Unfit(error.to_string()))?;
    let mut container = container.into_inner();
    let payload = container.get(HEAD_BYTES..).unwrap_or_default();
    let original_bytes = original.len() as u64;
    if container.len() as u64 > original_bytes - original_bytes / LEAST_GAIN {
        return Err(StaysRaw::NoGain);
    }
    let coefficients = if frame.is_single_scan { 0 } else { coefficient_bytes(frame) };
    let memory_bytes = coefficients + original_bytes + payload.len() as u64;
    let head = Head {
        codec: CODEC,
        memory_kib: u32::try_from(memory_bytes >> 10).unwrap_or(u32::MAX),
        original_bytes,
        payload_bytes: payload.len() as u64,
        payload_hash: BlobHash::of(payload),
        original_hash: BlobHash::of(original),
    };
    let mut same = Same { left: original };
    decode(&head, payload, &mut same).map_err(StaysRaw::Unproven)?;
    if !same.left.is_empty() {
        return Err(StaysRaw::Unproven("bytes are missing at the end".to_owned()));
    }
    if let Some(place) = container.get_mut(..HEAD_BYTES) {
        place.copy_from_slice(&head.to_bytes());
    }
    let content = Content::proven(head.original_hash, BlobHash::of(&container));
    Ok(Encoded { bytes: container.into(), content })
}

/// Decodes what follows a head into `out`, a piece at a time where all of it stands in one scan. Exactly `head.original_bytes`, or an error,
/// which may come late; whether they are the original's only their hash says.
///
/// # Errors
/// What the codec says, or `out`.
pub(super) fn decode(head: &Head, payload: &[u8], out: &mut impl Write) -> Result<(), String> {
    let mut counted = Counted { out, written: 0 };
    let features = features(head.codec, None);
    let decoded =
        catch_unwind_result(|| decode_lepton(&mut Cursor::new(payload), &mut counted, &features, &SingleThreadPool::default()).map(drop));
    decoded.map_err(|error| error.to_string())?;
    counted.out.flush().map_err(|error| error.to_string())?;
    if counted.written == head.original_bytes {
        return Ok(());
    }
    Err(format!("{} bytes came of it, not {}", counted.written, head.original_bytes))
}

fn require_fit(original: &[u8]) -> Result<Frame, StaysRaw> {
    let unfit = |why: &str| Err(StaysRaw::Unfit(why.to_owned()));
    if original.len() < MIN_ORIGINAL_BYTES {
        return Err(StaysRaw::NoGain);
    }
    if original.len() > MAX_ORIGINAL_BYTES {
        return unfit("more bytes than are tried");
    }
    let Some(frame) = frame::look(original) else { return unfit("no JPEG of a kind that is tried") };
    if !matches!(frame.components, 1 | 3) {
        return unfit("its colours are neither one nor three components");
    }
    if u64::from(frame.width) * u64::from(frame.height) > MAX_PIXELS {
        return unfit("more pixels than are tried");
    }
    if frame::count_scans(original) > MAX_SCANS {
        return unfit("more scans than are tried");
    }
    Ok(frame)
}

/// What the coefficients of a whole picture take at most.
fn coefficient_bytes(frame: Frame) -> u64 {
    u64::from(frame.width) * u64::from(frame.height) * u64::from(frame.components) * 2
}

/// What the codec is told: for encoding the picture is no larger than its frame said, whatever else the file says.
fn features(codec: Codec, frame: Option<Frame>) -> EnabledFeatures {
    let base = if frame.is_some() { EnabledFeatures::compat_lepton_vector_write() } else { EnabledFeatures::compat_lepton_vector_read() };
    EnabledFeatures {
        max_jpeg_width: frame.map_or(base.max_jpeg_width, |frame| frame.width),
        max_jpeg_height: frame.map_or(base.max_jpeg_height, |frame| frame.height),
        use_16bit_dc_estimate: codec.flags & Codec::DC_16_BIT != 0,
        use_16bit_adv_predict: codec.flags & Codec::ADV_16_BIT != 0,
        max_partitions: PARTS,
        max_processor_threads: 1,
        max_jpeg_file_size: MAX_ORIGINAL_BYTES as u32,
        ..base
    }
}

/// Counts what goes through.
struct Counted<'a, W> {
    out: &'a mut W,
    written: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Compares what is written with what should be.
struct Same<'a> {
    left: &'a [u8],
}

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.left = self.left.strip_prefix(bytes).ok_or_else(|| std::io::Error::other("other bytes than the original's"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codec_is_the_crate_that_is_linked() {
        let [major, minor, patch] = CODEC.version;
        let linked = lepton_jpeg::get_version_string();
        assert!(linked.starts_with(&format!("{major}.{minor}.{patch}-")), "{linked}: what it writes has to be proven anew");
    }

    #[test]
    fn what_is_no_photo_for_it_stays_as_it_is() {
        let unfit = |bytes: &[u8]| matches!(encode(bytes), Err(StaysRaw::Unfit(_)));
        assert!(unfit(&vec![7; 100_000]));
        assert_eq!(encode(&[]).unwrap_err(), StaysRaw::NoGain);
        assert!(unfit(&vec![0; MAX_ORIGINAL_BYTES + 1]));
    }
}
