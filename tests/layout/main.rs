//! What lies on disk: a store of the first layout opens for ever, `storage-layout.md` suffices to read it, and `check` names every damage.
//!
//! `fixtures/layout/v1` was made once, by `make`; `fixtures/SOURCES.md` says how. `HALIDOM_BLESS=1` writes what is expected of each store
//! in `fixtures/damaged` anew: read the difference before you keep it.

#![allow(clippy::unwrap_used)] // Test code throughout: what fails here fails the test.

mod copy;
mod damage;
mod damaged;
mod describe;
mod document;
mod fixture;
mod make;
mod reader;
