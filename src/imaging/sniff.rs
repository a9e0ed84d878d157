//! What a file is, by its first bytes.

use crate::model::format::{Format, RawFormat};

/// How many bytes [`sniff`] looks at, at most.
pub const SNIFF_BYTES: usize = 64;

/// The format by content, from the first [`SNIFF_BYTES`] of a file or fewer. `None` for what is no image of a known kind, SVG too: it is a
/// program as much as a picture. That a format is recognised does not say that the file can be decoded. Raw formats of cameras that begin as any TIFF does are TIFF here.
pub fn sniff(head: &[u8]) -> Option<Format> {
    let at = |from: usize, to: usize| head.get(from..to).unwrap_or_default();
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'R', b'I', b'F', b'F', ..] if at(8, 12) == b"WEBP" => Some(Format::WebP),
        [b'I', b'I', 0x2A, 0, _, _, _, _, b'C', b'R', ..] => Some(Format::Raw(RawFormat::Cr2)),
        [b'I', b'I', b'R', b'O' | b'S', ..] | [b'M', b'M', b'O', b'R', ..] => Some(Format::Raw(RawFormat::Orf)),
        [b'I', b'I', b'U', 0, ..] => Some(Format::Raw(RawFormat::Rw2)),
        _ if head.starts_with(b"FUJIFILMCCD-RAW") => Some(Format::Raw(RawFormat::Raf)),
        [b'I', b'I', 0x2A | 0x2B, 0, ..] | [b'M', b'M', 0, 0x2A | 0x2B, ..] => Some(Format::Tiff),
        // "BM" alone begins many texts: the size of the header after it says more.
        [b'B', b'M', ..] if matches!(at(14, 18), [12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]) => Some(Format::Bmp),
        _ if at(4, 8) == b"ftyp" => sniff_brands(head),
        _ => None,
    }
}

/// The brands of an ISO media file: the major one at 8, the compatible ones from 16 to the end of the box.
fn sniff_brands(head: &[u8]) -> Option<Format> {
    let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
    let end = length.min(head.len()).min(SNIFF_BYTES);
    let brands = || [8].into_iter().chain((16..end).step_by(4)).filter_map(|at| head.get(at..at + 4));
    if head.get(8..12) == Some(b"crx ") {
        return Some(Format::Raw(RawFormat::Cr3));
    }
    if brands().any(|brand| matches!(brand, b"avif" | b"avis")) {
        return Some(Format::Avif);
    }
    brands()
        .any(|brand| matches!(brand, b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" | b"avci" | b"avcs"))
        .then_some(Format::Heic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_content() {
        let bmp = |header: u8| [b"BM".as_slice(), &[0; 12], &[header, 0, 0, 0]].concat();
        let raw = |raw| Some(Format::Raw(raw));
        let cases: [(&[u8], Option<Format>); 26] = [
            (b"\xFF\xD8\xFF\xE0", Some(Format::Jpeg)),
            (b"\xFF\xD8", None),
            (b"\x89PNG\r\n\x1a\n", Some(Format::Png)),
            (b"GIF89a", Some(Format::Gif)),
            (b"GIF90a", None),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Format::WebP)),
            (b"RIFF\0\0\0\0AVI ", None),
            (b"II*\0", Some(Format::Tiff)),
            (b"MM\0+", Some(Format::Tiff)),
            (b"II*\0\x10\0\0\0CR\x02\0", raw(RawFormat::Cr2)),
            (b"MM\0*\0\0\0\x10CR\x02\0", Some(Format::Tiff)),
            (b"IIRO\x08\0\0\0", raw(RawFormat::Orf)),
            (b"MMOR\0\0\0\x08", raw(RawFormat::Orf)),
            (b"IIU\0\x18\0\0\0", raw(RawFormat::Rw2)),
            (b"FUJIFILMCCD-RAW 0201", raw(RawFormat::Raf)),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", raw(RawFormat::Cr3)),
            (&bmp(40), Some(Format::Bmp)),
            (b"BMW is a make of car, and this a text", None),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some(Format::Heic)),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Some(Format::Avif)),
            (b"\0\0\0\x14ftypisom\0\0\0\0mp41avif", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
            (b"<!doctype html>", None),
            (b"\x7fELF", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ];
        for (head, expected) in cases {
            assert_eq!(sniff(head), expected, "{head:?}");
        }
    }
}
