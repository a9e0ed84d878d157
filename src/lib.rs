//! Halidom: a content-addressed photo store.
//!
//! `ARCHITECTURE.md` maps the layers and says who may import whom; `tests/architecture.rs` holds the code to it.

#![forbid(unsafe_code)]

pub mod metadata;
pub mod model;
pub mod runtime;
