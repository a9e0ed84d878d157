//! Halidom: a content-addressed photo store.
//!
//! `ARCHITECTURE.md` maps the layers and says who may import whom; `tests/architecture.rs` holds the code to it.

#![deny(unsafe_code)]

pub mod api;
pub mod blobs;
pub mod cli;
pub mod client;
pub mod config;
pub mod edge;
pub mod http;
pub mod imaging;
pub mod maintenance;
pub mod metadata;
pub mod model;
pub mod runtime;
pub mod server;
pub mod service;
pub mod trees;
