//! IIIF Image API 3.0 (<https://iiif.io/api/image/3.0/>): identifiers that carry their own signature, and what a request asks of an image.
//!
//! Pure: whoever asks brings the keys, the time, and how large the image is.

mod error;
mod identifier;
mod number;
mod region;
mod request;
mod rotation;
mod size;
#[cfg(test)]
mod tests;

pub use error::IiifError;
pub use identifier::Identifier;
pub use request::ImageRequest;
pub use size::Bounds;

/// What the paths of images begin with; the identifier follows.
pub const PREFIX: &str = "/iiif/3/";
