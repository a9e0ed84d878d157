//! Trees of photos that others made: a filer's folders, what Google Takeout and Immich write, or a manifest. What stands in one, and which
//! album, user, name, date and caption each file has.
//!
//! Nothing here follows a link, leaves the directory that it was given, or holds more than one directory's names at once. What a file's
//! bytes are is not asked here: only names, and the small files beside the photos.

mod facts;
mod layout;
mod manifest;
mod plan;
mod root;
mod walk;

pub use facts::{Facts, Sidecar, SidecarKind};
pub use layout::Layout;
pub use manifest::ManifestEntry;
pub use plan::{Batch, Found, Plan, PlanOptions, Refusal, looks_like_photo};
pub use root::{Root, relative};

/// Why a tree cannot be gone through.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The directory, or the manifest, cannot be opened or read: look at it.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not one: correct it.
    #[error("the manifest, line {line}: {reason}")]
    Manifest {
        /// From one.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

impl TreeError {
    fn unreadable(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Unreadable { path: path.display().to_string(), source }
    }
}
