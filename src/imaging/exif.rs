//! What a photo says of itself: EXIF, and XMP where EXIF has no date.

use std::borrow::Cow;

use exif::{Exif, Field, In, Rational, Reader, Tag, Value};
use memchr::memmem;

use super::orientation::Orientation;
use super::shield::shielded_option;
use crate::model::taken::{Gps, TakenAt};

/// Longer texts are cut: no camera has such a name.
const MAX_TEXT_CHARS: usize = 128;

/// What was found. Damaged metadata gives less, never an error: the picture is what counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) orientation: Option<Orientation>,
    pub(super) taken_at: Option<TakenAt>,
    pub(super) camera_make: Option<String>,
    pub(super) camera_model: Option<String>,
    pub(super) lens: Option<String>,
    pub(super) gps: Option<Gps>,
    /// The embedded thumbnail, a JPEG; stored the same way up as the picture.
    pub(super) thumbnail: Option<Vec<u8>>,
}

/// Reads an EXIF block in TIFF form and an XMP packet.
pub(super) fn read(block: Option<&[u8]>, xmp: Option<&[u8]>) -> Metadata {
    let mut metadata = block.and_then(|block| shielded_option(|| parse(block).map(|exif| from_exif(&exif)))).unwrap_or_default();
    if metadata.taken_at.is_none() {
        metadata.taken_at = xmp.and_then(|xmp| shielded_option(|| date_of_xmp(xmp)));
    }
    metadata
}

/// Takes what can be read of a block with errors.
fn parse(block: &[u8]) -> Option<Exif> {
    Reader::new().continue_on_error(true).read_raw(block.to_vec()).or_else(|error| error.distill_partial_result(|_| ())).ok()
}

fn from_exif(exif: &Exif) -> Metadata {
    let text = |tag: Tag| exif.get_field(tag, In::PRIMARY).and_then(ascii).and_then(|raw| clean(&raw));
    let raw = |tag: Tag| exif.get_field(tag, In::PRIMARY).and_then(ascii);
    let taken = |date: Tag, subseconds: Tag, offset: Tag| {
        let offset = raw(offset).or_else(|| raw(Tag::OffsetTime));
        TakenAt::from_exif(&raw(date)?, raw(subseconds).as_deref(), offset.as_deref())
    };
    Metadata {
        orientation: exif.get_field(Tag::Orientation, In::PRIMARY).and_then(|field| field.value.get_uint(0)).map(Orientation::from_tag),
        taken_at: taken(Tag::DateTimeOriginal, Tag::SubSecTimeOriginal, Tag::OffsetTimeOriginal)
            .or_else(|| taken(Tag::DateTimeDigitized, Tag::SubSecTimeDigitized, Tag::OffsetTimeDigitized)),
        camera_make: text(Tag::Make),
        camera_model: text(Tag::Model),
        lens: text(Tag::LensModel),
        gps: gps(exif),
        thumbnail: thumbnail(exif),
    }
}

/// A text field; what is after its first part is dropped. Some writers use bytes instead of text.
fn ascii(field: &Field) -> Option<Cow<'_, str>> {
    match &field.value {
        Value::Ascii(parts) => parts.first().map(|part| String::from_utf8_lossy(part)),
        Value::Byte(bytes) | Value::Undefined(bytes, _) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    }
}

/// Without control characters, blanks at the ends, and beyond what fits; `None` where nothing is left.
fn clean(raw: &str) -> Option<String> {
    let text: String = raw.trim_end_matches('\0').chars().filter(|c| !c.is_control()).take(MAX_TEXT_CHARS).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn gps(exif: &Exif) -> Option<Gps> {
    let field = |tag: Tag| exif.get_field(tag, In::PRIMARY);
    let degrees = |value: Tag, reference: Tag, negative: char| {
        let Value::Rational(parts) = &field(value)?.value else { return None };
        let part = |nth: usize| parts.get(nth).map_or(Some(0.0), number);
        let degrees = part(0)? + part(1)? / 60.0 + part(2)? / 3600.0;
        let reference = ascii(field(reference)?)?;
        Some(if reference.trim_start().to_ascii_uppercase().starts_with(negative) { -degrees } else { degrees })
    };
    let altitude = || {
        let Value::Rational(parts) = &field(Tag::GPSAltitude)?.value else { return None };
        let metres = number(parts.first()?)?;
        let below = field(Tag::GPSAltitudeRef).and_then(|field| field.value.get_uint(0)) == Some(1);
        Some(if below { -metres } else { metres })
    };
    let latitude = degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, 'S')?;
    let longitude = degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, 'W')?;
    Gps::from_degrees(latitude, longitude, altitude())
}

/// `None` for a fraction that is no number, as written where there was no fix.
fn number(fraction: &Rational) -> Option<f64> {
    (fraction.denom != 0).then(|| fraction.to_f64())
}

fn thumbnail(exif: &Exif) -> Option<Vec<u8>> {
    let number = |tag: Tag| exif.get_field(tag, In::THUMBNAIL)?.value.get_uint(0).map(|number| number as usize);
    let start = number(Tag::JPEGInterchangeFormat)?;
    let end = start.checked_add(number(Tag::JPEGInterchangeFormatLength)?)?;
    exif.buf().get(start..end).map(<[u8]>::to_vec)
}

/// The date of taking from an XMP packet, as an attribute or an element (not the date when a file was made of it, `xmp:CreateDate`). A packet is XML, but to find one value of it takes no parser: what
/// [`TakenAt`] does not recognise is no date.
fn date_of_xmp(xmp: &[u8]) -> Option<TakenAt> {
    ["exif:DateTimeOriginal", "photoshop:DateCreated"].into_iter().find_map(|name| {
        let after = memmem::find(xmp, name.as_bytes())? + name.len();
        let value = xmp.get(after..xmp.len().min(after + 64))?;
        let text = std::str::from_utf8(value).or_else(|error| std::str::from_utf8(&value[..error.valid_up_to()])).ok()?;
        let quoted = text.trim_start_matches([' ', '=', '"', '\'', '>']);
        let end = quoted.find(['"', '\'', '<']).unwrap_or(quoted.len());
        TakenAt::from_exif(&quoted[..end], None, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_xmp() {
        let cases: [(&str, Option<&str>); 7] = [
            (r#"<rdf:Description exif:DateTimeOriginal="2013-07-05T03:18:27Z"/>"#, Some("2013-07-05T03:18:27+00:00")),
            ("<exif:DateTimeOriginal>2013-07-05T03:18:27.25-07:00</exif:DateTimeOriginal>", Some("2013-07-05T03:18:27.25-07:00")),
            ("<photoshop:DateCreated>2013-07-05T03:18:27</photoshop:DateCreated>", Some("2013-07-05T03:18:27")),
            ("<xmp:CreateDate>2013-07-05T03:18:27</xmp:CreateDate>", None),
            ("exif:DateTimeOriginal='nonsense'", None),
            ("exif:DateTimeOriginal", None),
            ("", None),
        ];
        for (xmp, expected) in cases {
            assert_eq!(read(None, Some(xmp.as_bytes())).taken_at.map(|taken| taken.to_string()).as_deref(), expected, "{xmp}");
        }
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(clean("NIKON CORPORATION \0\0").as_deref(), Some("NIKON CORPORATION"));
        assert_eq!(clean("a\u{1b}[31m\nb").as_deref(), Some("a[31mb"));
        assert_eq!(clean(" \0").as_deref(), None);
        assert_eq!(clean(&"x".repeat(1000)).unwrap().len(), MAX_TEXT_CHARS);
    }
}
