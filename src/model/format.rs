//! The kinds of image file that a photo may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a file is by its content. The name that it came under says nothing.
///
/// Written as its short name (`"jpeg"`) everywhere: in records, in JSON, in text. Names never change; more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// GIF, also animated.
    Gif,
    /// WebP, also animated.
    WebP,
    /// TIFF and BigTIFF, but not the raw formats of cameras built on it.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// AV1 pictures in HEIF.
    Avif,
    /// HEVC and other pictures in HEIF.
    Heic,
    /// What a camera's sensor saw, and a JPEG beside it that shows it.
    Raw(RawFormat),
}

/// The raw formats of cameras. Each is a container of its own: of TIFF's directories, but for [`RawFormat::Cr3`] and [`RawFormat::Raf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RawFormat {
    /// Adobe's Digital Negative, which many makers write.
    Dng,
    /// Canon's, until 2018.
    Cr2,
    /// Canon's since: ISO media boxes.
    Cr3,
    /// Nikon's, NRW too.
    Nef,
    /// Sony's.
    Arw,
    /// Fujifilm's: a head of its own.
    Raf,
    /// Panasonic's, and Leica's RWL.
    Rw2,
    /// Olympus's, and OM System's.
    Orf,
    /// Pentax's.
    Pef,
}

impl Format {
    /// Every format, in no order that means anything.
    pub const ALL: [Self; 17] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Avif,
        Self::Heic,
        Self::Raw(RawFormat::Dng),
        Self::Raw(RawFormat::Cr2),
        Self::Raw(RawFormat::Cr3),
        Self::Raw(RawFormat::Nef),
        Self::Raw(RawFormat::Arw),
        Self::Raw(RawFormat::Raf),
        Self::Raw(RawFormat::Rw2),
        Self::Raw(RawFormat::Orf),
        Self::Raw(RawFormat::Pef),
    ];

    /// The short name: `jpeg`, `png`, `gif`, `webp`, `tiff`, `bmp`, `avif`, `heic`; of a raw format its extension, `dng`, `cr2`, `cr3`, `nef`,
    /// `arw`, `raf`, `rw2`, `orf`, `pef`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::WebP => "webp",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Avif => "avif",
            Self::Heic => "heic",
            Self::Raw(raw) => raw.as_str(),
        }
    }

    /// The media type as registered with IANA; of a raw format, which has none there, the one that systems know it by (shared-mime-info).
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
            Self::Avif => "image/avif",
            Self::Heic => "image/heic",
            Self::Raw(raw) => raw.media_type(),
        }
    }

    /// The usual file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Tiff => "tif",
            other => other.as_str(),
        }
    }
}

impl RawFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Dng => "dng",
            Self::Cr2 => "cr2",
            Self::Cr3 => "cr3",
            Self::Nef => "nef",
            Self::Arw => "arw",
            Self::Raf => "raf",
            Self::Rw2 => "rw2",
            Self::Orf => "orf",
            Self::Pef => "pef",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Dng => "image/x-adobe-dng",
            Self::Cr2 => "image/x-canon-cr2",
            Self::Cr3 => "image/x-canon-cr3",
            Self::Nef => "image/x-nikon-nef",
            Self::Arw => "image/x-sony-arw",
            Self::Raf => "image/x-fuji-raf",
            Self::Rw2 => "image/x-panasonic-rw2",
            Self::Orf => "image/x-olympus-orf",
            Self::Pef => "image/x-pentax-pef",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no format that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown image format")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

impl Serialize for Format {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            let json = serde_json::to_string(&format).unwrap();
            assert_eq!(json, format!("\"{format}\""));
            assert_eq!(serde_json::from_str::<Format>(&json).unwrap(), format);
            let record = postcard::to_stdvec(&format).unwrap();
            assert_eq!(postcard::from_bytes::<Format>(&record).unwrap(), format);
        }
        assert_eq!("JPEG".parse::<Format>(), Err(UnknownFormat));
    }
}
