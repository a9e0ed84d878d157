//! What folders and names mean to those who wrote them.

pub(super) mod folders;
pub(super) mod immich;
pub(super) mod takeout;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::root::Root;

/// Who laid a tree out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// People: an album is a folder, named by its path.
    Folders,
    /// Google Takeout.
    Takeout,
    /// Immich: its library or upload folder.
    Immich,
    /// A manifest says it.
    Manifest,
}

impl Layout {
    /// What a tree looks like.
    pub fn recognise(root: &Root) -> Self {
        let has = |name: &str| root.has(Path::new(name));
        let is = |names: &[&str]| names.iter().any(|name| root.name() == *name);
        if has("Takeout") || takeout::HOMES.iter().any(|home| has(home)) || is(takeout::HOMES) {
            Self::Takeout
        } else if (has("library") || has("upload")) && ["thumbs", "encoded-video", "profile", "backups"].iter().any(|name| has(name)) {
            Self::Immich
        } else {
            Self::Folders
        }
    }
}

/// A name as text. What is no UTF-8 shows as U+FFFD.
pub(super) fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// The part before the last dot, and the part from it on; a dot in front is none.
pub(super) fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

/// The XMP sidecar of a photo among the files beside it, sorted: `a.jpg.xmp`, or `a.xmp` where that is there.
pub(super) fn xmp_of(photo: &OsStr, files: &[OsString]) -> Option<OsString> {
    let named = |name: OsString| files.binary_search(&name).ok().map(|_| name);
    let appended = |extension: &str| {
        let mut name = photo.to_owned();
        name.push(extension);
        named(name)
    };
    appended(".xmp").or_else(|| appended(".XMP")).or_else(|| {
        let stem = Path::new(photo).with_extension("xmp").into_os_string();
        named(stem).filter(|name| name != photo)
    })
}
