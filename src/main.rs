//! The `halidom` binary: everything is in the library.

fn main() {}
