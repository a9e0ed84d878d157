//! What the product does, between HTTP and the stores.
