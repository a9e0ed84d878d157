//! What the product does, between HTTP and the stores.

pub mod rendition_url;
