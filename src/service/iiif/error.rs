//! What is wrong with a request.

/// A request that no image can be made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IiifError {
    /// The identifier is not written as one is: it names nothing.
    #[error("no image has this identifier")]
    NoIdentifier,
    /// No live key made the identifier's signature.
    #[error("the signature does not fit the identifier")]
    Signature,
    /// A parameter has a value that it does not take.
    #[error("it takes {expected}, not {value:?}")]
    BadValue {
        /// As the specification names it.
        parameter: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        expected: &'static str,
    },
    /// Nothing of the region lies in the image.
    #[error("it lies outside of the image, which has {width} x {height} pixels")]
    Outside {
        /// Of the image.
        width: u32,
        /// Of the image.
        height: u32,
    },
    /// Without `^` nothing is made larger than it is.
    #[error("it is larger than the region, which has {width} x {height} pixels; with ^ before it the region is enlarged")]
    Enlarges {
        /// Of the region.
        width: u32,
        /// Of the region.
        height: u32,
    },
    /// More than is made.
    #[error("{width} x {height} pixels are more than this site makes: {max_side} a side, {max_pixels} in all")]
    TooLarge {
        /// What it comes to.
        width: u32,
        /// What it comes to.
        height: u32,
        /// At most so many pixels a side.
        max_side: u32,
        /// At most so many pixels.
        max_pixels: u64,
    },
    /// Less than a pixel.
    #[error("not a pixel would be left")]
    Empty {
        /// What says so.
        parameter: &'static str,
    },
}

impl IiifError {
    /// The parameter that is wrong.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::NoIdentifier | Self::Signature => "identifier",
            Self::BadValue { parameter, .. } | Self::Empty { parameter } => parameter,
            Self::Outside { .. } => "region",
            Self::Enlarges { .. } | Self::TooLarge { .. } => "size",
        }
    }
}
