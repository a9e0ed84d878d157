//! What can be wrong with a file, named for what the caller does next.

use serde::{Deserialize, Serialize};

use crate::model::format::Format;

/// A dimension of a file that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Extent {
    /// Width × height.
    Pixels,
    /// The longer of width and height, in pixels.
    Side,
    /// Passes over the picture of a progressive JPEG.
    Scans,
    /// Blocks of 8 × 8 that all passes of a JPEG visit together: its decoding time.
    ScanBlocks,
    /// Frames of an animation, or pages.
    Frames,
    /// Bytes of memory that decoding takes.
    DecodedBytes,
    /// Time that decoding takes.
    Seconds,
}

/// Why a file was not taken, or a picture not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ImagingError {
    /// The bytes are no image of a kind that is known here: tell the client what is accepted.
    #[error("not an image of a known format")]
    NotAnImage,
    /// An image, but of a kind or with a feature that this build does not decode: tell the client to convert it.
    #[error("unsupported {format} image: {feature}")]
    Unsupported {
        /// What it is.
        format: Format,
        /// What is not supported about it.
        feature: String,
    },
    /// An image that is damaged or cut off: tell the client to send it again.
    #[error("broken {format} image: {detail}")]
    Broken {
        /// What it set out to be.
        format: Format,
        /// What is wrong, for a person to read. May quote a decoder's words, never the file's.
        detail: String,
    },
    /// An image past a limit, refused before the cost was paid.
    #[error("image too large: {extent:?} {found}, limit {limit}")]
    TooLarge {
        /// What is too large.
        extent: Extent,
        /// How large it is; where that is not known before decoding, the limit plus one.
        found: u64,
        /// How large it may be.
        limit: u64,
    },
    /// Whoever decodes was ended or held up from outside (by a system without memory or processors), or could not be started: nothing is wrong with the
    /// file, try again.
    #[error("the decoder was ended")]
    Interrupted,
    /// A picture could not be written: ours to look into, the file is not to blame.
    #[error("encoding failed: {0}")]
    Encoding(String),
}

impl ImagingError {
    /// Whether it took longer than a decoder has.
    pub(super) fn is_too_slow(&self) -> bool {
        matches!(self, Self::TooLarge { extent: Extent::Seconds, .. })
    }

    pub(super) fn broken(format: Format, detail: impl Into<String>) -> Self {
        Self::Broken { format, detail: detail.into() }
    }

    pub(super) fn unsupported(format: Format, feature: impl Into<String>) -> Self {
        Self::Unsupported { format, feature: feature.into() }
    }
}
