//! Photos as bytes: what a file is, whether it is whole, what it says of itself, and pictures made from it.
//!
//! Bytes to bytes, synchronous, without I/O, clock or threads of its own, but for [`Decoders`], which has this done where it can do no harm. Everything here reads hostile input: nothing panics, and every
//! cost (pixels, memory, scans, metadata) is bounded by [`Limits`] before it is paid. Callers run it on a pool, under a permit where it
//! decodes, because the peak of memory is [`Limits::max_decoded_bytes`] plus the file itself.
//!
//! - [`inspect`] is for every upload: milliseconds, also for large photos, because it decodes only what is small.
//! - [`placeholder`] decodes, for the photos that [`inspect`] left without one.
//! - [`render`] makes a smaller picture, [`Renderer::ladder`] several from one decoding.

mod animation;
mod colour;
mod convolve;
mod decode;
mod decoders;
mod effects;
mod encode;
mod error;
mod exif;
mod fit;
mod framing;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inspect;
mod ladder;
mod limits;
mod machine;
mod orientation;
mod perceptual;
mod pixels;
mod placeholder;
mod planar;
mod preview;
mod recipe;
mod render;
mod resize;
mod shield;
mod smart;
mod sniff;
mod structure;

pub use decoders::{DecoderLimits, Decoders, Order, Priority, confine, decode_for_others};
pub use encode::OutputFormat;
pub use error::{Extent, ImagingError};
pub use fit::fit;
pub use framing::picture_size;
pub use inspect::{Inspection, inspect, placeholder};
pub use ladder::{Ladder, MAX_RUNGS, Made, MadeFrom, Rung};
pub use limits::Limits;
pub use machine::processor;
pub use placeholder::Impression;
pub use preview::{has_preview, preview_serves};
pub use recipe::{Align, Gravity, Recipe, Region, Resize, Tone, Turn};
pub use render::{Rendered, Renderer, render};
pub use sniff::{SNIFF_BYTES, sniff};

pub use crate::model::PerceptualHash;
pub use crate::model::format::{Format, RawFormat};
pub use crate::model::taken::{Gps, TakenAt};
