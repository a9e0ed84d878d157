use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::hash::Hashed;
use crate::model::{BlobHash, Sha256};

/// How many blobs are asked for, or linked, in one call.
pub(super) const BATCH: usize = 500;

/// Files of this run that have the same bytes: they travel once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) hash: BlobHash,
    pub(super) sha256: Sha256,
    pub(super) size_bytes: u64,
    /// At least one. The first gives the photo its name.
    pub(super) paths: Vec<PathBuf>,
}

impl Group {
    /// How many files it stands for.
    pub(super) fn files(&self) -> u64 {
        self.paths.len() as u64
    }

    /// The file whose bytes are sent.
    pub(super) fn first(&self) -> &Path {
        &self.paths[0]
    }

    /// What the photo is called.
    pub(super) fn name(&self) -> String {
        photo_name(self.first())
    }

    /// The group without its first file; `None` where that was the only one.
    pub(super) fn rest(mut self) -> Option<Self> {
        self.paths.remove(0);
        (!self.paths.is_empty()).then_some(self)
    }
}

impl From<Hashed> for Group {
    fn from(Hashed { path, hash, sha256, size_bytes }: Hashed) -> Self {
        Self { hash, sha256, size_bytes, paths: vec![path] }
    }
}

/// Puts files of the same bytes together, in the order of their first.
pub(super) fn group(files: Vec<Hashed>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(files.len());
    let mut places: HashMap<BlobHash, usize> = HashMap::with_capacity(files.len());
    for file in files {
        match places.get(&file.hash) {
            // One file named twice is one file.
            Some(&place) if groups[place].paths.contains(&file.path) => {}
            Some(&place) => groups[place].paths.push(file.path),
            None => {
                places.insert(file.hash, groups.len());
                groups.push(file.into());
            }
        }
    }
    groups
}

/// The file's name as the server takes it: text, without control characters.
pub(super) fn photo_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    name.chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashed(index: usize, content: u8) -> Hashed {
        Hashed {
            path: format!("folder/{index}.jpg").into(),
            hash: BlobHash::of(&[content]),
            sha256: Sha256::from_bytes([content; 32]),
            size_bytes: 1,
        }
    }

    #[test]
    fn names_are_text_without_control_characters() {
        assert_eq!(photo_name(Path::new("a/Ski\nfahren.jpg")), "Ski_fahren.jpg");
        assert_eq!(photo_name(Path::new("a/Größe.jpg")), "Größe.jpg");
    }

    #[test]
    fn a_file_named_twice_is_one_file() {
        let groups = group(vec![hashed(0, 1), hashed(0, 1)]);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].files(), 1);
    }

    proptest! {
        #[test]
        fn every_file_is_in_exactly_one_group_and_no_bytes_are_in_two(contents in proptest::collection::vec(0_u8..8, 0..60)) {
            let files: Vec<_> = contents.iter().enumerate().map(|(index, content)| hashed(index, *content)).collect();
            let groups = group(files.clone());
            let mut hashes: Vec<_> = groups.iter().map(|group| group.hash).collect();
            hashes.sort_unstable();
            hashes.dedup();
            prop_assert_eq!(hashes.len(), groups.len());
            let mut paths: Vec<_> = groups.iter().flat_map(|group| group.paths.clone()).collect();
            paths.sort_unstable();
            let mut expected: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
            expected.sort_unstable();
            prop_assert_eq!(paths, expected);
        }
    }
}
