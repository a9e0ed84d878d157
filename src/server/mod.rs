//! What a running server needs besides its parts: metrics and logs.

pub mod logging;
pub mod metrics;
