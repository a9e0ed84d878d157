//! HTTP: the pure parts first, each one field or rule of the protocol.

pub mod accept;
pub mod conditional;
pub mod content_disposition;
pub mod digest_header;
pub mod range;
