//! Going through a tree, directory by directory, in the order of names.

use std::io;
use std::path::{Path, PathBuf};

use super::root::{Listing, Root};

/// Directories in directories: a tree that is deeper was made by a mistake, or to do harm.
const MAX_DEPTH: usize = 64;
/// Names in one directory.
const MAX_NAMES: usize = 1_000_000;

/// A walk. Holds the names of directories that are still to come, and nothing of the files.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The next one last.
    waiting: Vec<PathBuf>,
}

/// One directory of a walk.
#[derive(Debug)]
pub(super) struct Step {
    /// Relative to the root; empty for the root itself.
    pub(super) path: PathBuf,
    /// What stands in it, or why that is not known: the walk goes on.
    pub(super) listing: io::Result<Listing>,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { waiting: vec![PathBuf::new()] }
    }

    /// The next directory; `enter` says into which of those in it the walk goes.
    pub(super) fn next(&mut self, root: &Root, enter: impl Fn(&Path) -> bool) -> Option<Step> {
        let path = self.waiting.pop()?;
        let listing = root.list(&path, MAX_NAMES);
        if let Ok(listing) = &listing {
            if !listing.directories.is_empty() && path.components().count() >= MAX_DEPTH {
                return Some(Step { path, listing: Err(io::Error::other(format!("more than {MAX_DEPTH} directories in one another"))) });
            }
            let below = listing.directories.iter().rev().map(|name| path.join(name)).filter(|path| enter(path));
            self.waiting.extend(below);
        }
        Some(Step { path, listing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_in_order_and_depth_has_an_end() {
        let place = tempfile::tempdir().unwrap();
        for path in ["b/c", "a", "b/a", "c"] {
            std::fs::create_dir_all(place.path().join(path)).unwrap();
        }
        let deep: PathBuf = std::iter::repeat_n("d", MAX_DEPTH + 3).collect();
        std::fs::create_dir_all(place.path().join(deep)).unwrap();
        let root = Root::open(place.path(), Path::new("")).unwrap();
        let mut walk = Walk::new();
        let steps: Vec<_> = std::iter::from_fn(|| walk.next(&root, |path| path != Path::new("c"))).collect();
        let paths: Vec<_> = steps.iter().take(5).map(|step| step.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["", "a", "b", "b/a", "b/c"]);
        assert_eq!(steps.len(), 5 + MAX_DEPTH);
        assert!(steps.last().unwrap().listing.is_err(), "too deep");
        assert!(steps[..steps.len() - 1].iter().all(|step| step.listing.is_ok()));
    }

    #[test]
    fn a_directory_that_went_meanwhile_does_not_end_it() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("a")).unwrap();
        std::fs::create_dir_all(place.path().join("b")).unwrap();
        let root = Root::open(place.path(), Path::new("")).unwrap();
        let mut walk = Walk::new();
        walk.next(&root, |_| true).unwrap();
        std::fs::remove_dir(place.path().join("a")).unwrap();
        assert!(walk.next(&root, |_| true).unwrap().listing.is_err());
        assert!(walk.next(&root, |_| true).unwrap().listing.is_ok());
        assert!(walk.next(&root, |_| true).is_none());
    }
}
