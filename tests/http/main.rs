//! The HTTP surface from outside: a whole site in this process, on a port of its own, and a plain HTTP client.
//!
//! One program, because linking the server takes longer than all of these tests together.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod animated;
mod answer;
mod bad_input;
mod cold;
mod corpus;
mod damage;
mod download;
mod edges;
#[path = "../harness/mod.rs"]
mod harness;
mod hot;
mod iiif;
#[path = "../imaging_samples/mod.rs"]
mod imaging_samples;
mod inventory;
mod limits;
mod openapi;
mod photos;
mod presets;
mod previews;
mod privacy;
mod raw;
mod rendition_disk;
mod renditions;
mod scopes;
mod server_timing;
mod signatures;
mod similar;
mod site;
mod tokens;
mod upload;
mod upload_refused;
