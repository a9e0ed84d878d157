//! PNG: the chunks, with their checksums.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{Outline, be_u32, without_exif_prefix};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

/// ImageMagick's way to keep EXIF from before PNG had a chunk for it: hex in a text chunk of one of these names.
const RAW_PROFILES: [&[u8]; 2] = [b"Raw profile type exif", b"Raw profile type APP1"];
/// Numbers of PNG have 31 bits.
const MAX_NUMBER: u32 = (1 << 31) - 1;
const XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Png, detail)
}

/// Needs the header first, data, and the end; every chunk that the picture depends on must match its checksum. A damaged chunk that it
/// does not depend on is passed over, as libpng does.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let mut outline = None;
    let mut have_data = false;
    let mut frames = None;
    let mut has_tried = false;
    let mut at = 8;
    loop {
        let length = be_u32(bytes, at).ok_or_else(|| broken("cut off"))? as usize;
        let whole = bytes.get(at + 4..).and_then(|rest| rest.get(..length.checked_add(8)?)).ok_or_else(|| broken("cut off"))?;
        let (named, checksum) = whole.split_at(length + 4);
        let (kind, data) = named.split_at(4);
        at += length + 12;

        let critical = kind[0] & 0x20 == 0;
        let read = critical || matches!(kind, b"acTL" | b"eXIf" | b"tEXt" | b"zTXt" | b"iTXt");
        let sound = !read || crc32fast::hash(named).to_be_bytes() == checksum;
        if !sound {
            if critical {
                return Err(broken("a chunk does not match its checksum"));
            }
            continue;
        }
        let Some(outline) = outline.as_mut() else {
            if kind != b"IHDR" {
                return Err(broken("does not begin with its header"));
            }
            outline = Some(header(data, limits)?);
            continue;
        };
        match kind {
            b"IHDR" => return Err(broken("a second header")),
            b"PLTE" => {}
            b"IDAT" => have_data = true,
            b"IEND" => break,
            // A later one, or one behind the data, is passed over, as decoders do.
            b"acTL" if !have_data && frames.is_none() => frames = animation_frames(data),
            b"acTL" => {}
            _ if critical => return Err(ImagingError::unsupported(Format::Png, "an unknown critical chunk")),
            _ => ancillary(outline, kind, data, limits, &mut has_tried),
        }
    }
    let mut outline = outline.filter(|_| have_data).ok_or_else(|| broken("no image data"))?;
    outline.frames = frames.unwrap_or(1);
    Ok(outline)
}

/// How many frames an animation says it has; `None` where that is no number that it may say.
fn animation_frames(data: &[u8]) -> Option<u32> {
    let (frames, plays) = (be_u32(data, 0)?, be_u32(data, 4)?);
    (frames > 0 && frames <= MAX_NUMBER && plays <= MAX_NUMBER).then_some(frames)
}

fn header<'a>(data: &[u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let [.., depth, colour, compression, filter, interlace] = *data else { return Err(broken("a wrong header")) };
    let (Some(width), Some(height), 13) = (be_u32(data, 0), be_u32(data, 4), data.len()) else { return Err(broken("a wrong header")) };
    limits.check_dimensions(width, height)?;
    let channels: u64 = match (colour, depth) {
        (0, 1 | 2 | 4 | 8 | 16) => 2, // Grey, and transparency from a chunk.
        (2, 8 | 16) | (3, 1 | 2 | 4 | 8) | (6, 8 | 16) => 4,
        (4, 8 | 16) => 2,
        _ => return Err(broken("a wrong colour type")),
    };
    if compression != 0 || filter != 0 || interlace > 1 {
        return Err(broken("an unknown method"));
    }
    let mut outline = Outline::new(Format::Png, (width, height));
    outline.decoded_bytes = outline.pixels().saturating_mul(channels * if depth == 16 { 2 } else { 1 });
    limits.check(Extent::DecodedBytes, outline.decoded_bytes)?;
    Ok(outline)
}

fn ancillary<'a>(outline: &mut Outline<'a>, kind: &[u8], data: &'a [u8], limits: &Limits, has_tried: &mut bool) {
    match kind {
        // The chunk made for it wins over the text form.
        b"eXIf" if data.len() <= limits.max_metadata_bytes => outline.exif = Some(Cow::Borrowed(without_exif_prefix(data))),
        b"tEXt" | b"zTXt" if outline.exif.is_none() && !*has_tried && is_raw_profile(data) => {
            // The first that says it is one, whatever it holds: each may unpack to megabytes.
            *has_tried = true;
            outline.exif = raw_profile(kind, data, limits.max_metadata_bytes).map(Cow::Owned);
        }
        b"iTXt" if data.len() <= limits.max_metadata_bytes => {
            outline.xmp = outline.xmp.take().or_else(|| data.strip_prefix(XMP).map(Cow::Borrowed))
        }
        _ => {}
    }
}

fn is_raw_profile(data: &[u8]) -> bool {
    RAW_PROFILES.iter().any(|keyword| data.starts_with(keyword))
}

/// EXIF from a text chunk: a keyword, then (packed in `zTXt`) a line with the kind, a line with the length, and hex in lines.
fn raw_profile(kind: &[u8], data: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let rest = RAW_PROFILES.iter().find_map(|keyword| data.strip_prefix(*keyword))?;
    let text = match (kind, rest) {
        (b"tEXt", [0, text @ ..]) => Cow::Borrowed(text),
        (b"zTXt", [0, 0, packed @ ..]) => {
            let mut text = vec![];
            // Twice for the hex, a little for the line ends.
            ZlibDecoder::new(packed).take(max_bytes as u64 * 3).read_to_end(&mut text).ok()?;
            Cow::Owned(text)
        }
        _ => return None,
    };
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let _kind = words.next()?;
    let length: usize = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let mut block = vec![];
    for pair in words.flatten().copied().collect::<Vec<_>>().chunks_exact(2) {
        let digit = |b: u8| char::from(b).to_digit(16);
        block.push((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    }
    (block.len() == length && length <= max_bytes).then(|| without_exif_prefix(&block).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one pixel with these text chunks before its data.
    fn with_texts(texts: &[&[u8]]) -> Vec<u8> {
        let mut png = std::io::Cursor::new(vec![]);
        image::GrayImage::new(1, 1).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let mut png = png.into_inner();
        let chunks = texts.iter().flat_map(|text| {
            let named = [b"tEXt", *text].concat();
            [&(text.len() as u32).to_be_bytes()[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
        });
        // Behind signature and header.
        png.splice(33..33, chunks.collect::<Vec<_>>());
        png
    }

    #[test]
    fn of_several_blocks_that_say_they_are_exif_the_first_is_unpacked_and_no_other() {
        let good: &[u8] = b"Raw profile type exif\0\nexif\n2\n4d4d\n";
        let bad: &[u8] = b"Raw profile type exif\0\nexif\n9\n4d4d\n";
        let other: &[u8] = b"Comment\0of no matter";
        let exif_of = |texts: &[&[u8]]| outline(&with_texts(texts), &Limits::default()).unwrap().exif.map(Cow::into_owned);
        assert_eq!(exif_of(&[other, good]), Some(b"MM".to_vec()));
        assert_eq!(exif_of(&[bad, good]), None);
        assert_eq!(exif_of(&[good, bad]), Some(b"MM".to_vec()));
    }
}
