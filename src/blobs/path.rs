//! Where things lie in a store. The only file that builds a blob's path; nothing else formats one.
//!
//! ```text
//! blobs/{aa}/{bb}/{hash}.{nonce}   a copy: aa and bb are the first two bytes of the hash
//! previews/{aa}/{bb}/{hash}        what small renditions of it are made from: derived, made again where it is missing
//! trees/{aa}/{bb}/{hash}           what parts of a large one are checked by: derived as well
//! staging/{32 hex digits}          a copy being received, removed at the next opening
//! blobs-format                     says that the store was set up, and which layout it has
//! blobs-marker.json                who collects here
//! blobs-lock                       held by the process that has the store open
//! ```
//!
//! The layout is the same on every backend, so that a backend can be copied with any tool. All paths are relative to the store's root.

use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::DerivedKind;
use crate::model::{BlobHash, BlobKey};

/// The directory of all copies.
pub const BLOBS: &str = "blobs";
/// The directory of previews.
pub const PREVIEWS: &str = "previews";
/// The directory of the trees that parts of large blobs are checked by.
pub const TREES: &str = "trees";
/// The directory of copies being received.
pub const STAGING: &str = "staging";
/// The file that is written last when a store is set up.
pub const FORMAT: &str = "blobs-format";
/// What it holds.
pub const FORMAT_TEXT: &[u8] = b"halidom blobs 1\n";
/// The marker's file.
pub const MARKER: &str = "blobs-marker.json";
/// The lock's file.
pub const LOCK: &str = "blobs-lock";

/// Directories of one fan-out level.
pub const FAN_OUT: usize = 256;
/// Bytes of randomness in the name of a staging file.
pub const STAGING_NAME_LENGTH: usize = 16;

/// The first-level directory of copies whose hash begins with `first`.
pub fn fan_out(first: u8) -> PathBuf {
    Path::new(BLOBS).join(hex_byte(first))
}

/// The directory that holds copies under `hash`.
pub fn leaf(hash: &BlobHash) -> PathBuf {
    let [first, second, ..] = *hash.as_bytes();
    leaf_of(first, second)
}

/// The directory that holds copies whose hash begins with these two bytes.
pub fn leaf_of(first: u8, second: u8) -> PathBuf {
    fan_out(first).join(hex_byte(second))
}

/// Where the copy with this key lies.
pub fn copy(key: &BlobKey) -> PathBuf {
    leaf(&key.hash).join(key.to_string())
}

/// The directory of everything of this kind that is derived from blobs.
pub fn derived_top(kind: DerivedKind) -> &'static str {
    match kind {
        DerivedKind::Preview => PREVIEWS,
        DerivedKind::Tree => TREES,
    }
}

/// The directories that hold what of this kind is derived from a blob, outermost first.
pub fn derived_directories(kind: DerivedKind, hash: &BlobHash) -> [PathBuf; 3] {
    let [first, second, ..] = *hash.as_bytes();
    let all = PathBuf::from(derived_top(kind));
    let fan_out = all.join(hex_byte(first));
    let leaf = fan_out.join(hex_byte(second));
    [all, fan_out, leaf]
}

/// Where what of this kind is derived from a blob lies.
pub fn derived(kind: DerivedKind, hash: &BlobHash) -> PathBuf {
    let [.., leaf] = derived_directories(kind, hash);
    leaf.join(hash.to_string())
}

/// The name, in an object store, of what lies there in a store whose names begin with `prefix`.
pub fn object(prefix: &str, relative: &str) -> String {
    if prefix.is_empty() { relative.to_owned() } else { format!("{prefix}/{relative}") }
}

/// What the path of everything in [`BLOBS`] begins with, and of nothing else.
pub const BLOBS_BEGIN: &str = "blobs/";

/// What the paths of all copies under `hash` begin with.
pub fn copies_begin(hash: &BlobHash) -> PathBuf {
    leaf(hash).join(hash.to_string())
}

/// Whether a name is that of a directory of copies, or of one above them. Tools that copy directories to an object store put an empty object there, its
/// name with a slash at the end.
pub fn is_copies_directory(relative: &Path) -> bool {
    let mut names = relative.iter();
    names.next() == Some(OsStr::new(BLOBS)) && names.clone().count() <= 2 && names.all(|name| parse_fan_out(name).is_some())
}

/// Something found in a directory of the store, by the name that a listing gave.
pub fn found(directory: impl AsRef<Path>, name: impl AsRef<OsStr>) -> PathBuf {
    directory.as_ref().join(name.as_ref())
}

/// Where a copy being received lies.
pub fn staging(name: [u8; STAGING_NAME_LENGTH]) -> PathBuf {
    let name: String = name.into_iter().map(hex_byte).collect();
    Path::new(STAGING).join(name)
}

/// An open file of this process by its descriptor, whatever its name is by now (proc(5)): outside of any store.
pub fn held(file: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The byte that a fan-out directory's name stands for; `None` for any other name.
pub fn parse_fan_out(name: &OsStr) -> Option<u8> {
    let name = name.to_str()?;
    let byte = u8::from_str_radix(name, 16).ok()?;
    (hex_byte(byte) == name).then_some(byte)
}

/// The key that a file's name in this leaf directory stands for; `None` for any other name, also for a key that belongs elsewhere.
pub fn parse_copy(first: u8, second: u8, name: &OsStr) -> Option<BlobKey> {
    let key: BlobKey = name.to_str()?.parse().ok()?;
    key.hash.as_bytes().starts_with(&[first, second]).then_some(key)
}

/// Whether a name in `staging/` is one that [`staging`] gives.
pub fn is_staging_name(name: &OsStr) -> bool {
    name.len() == 2 * STAGING_NAME_LENGTH && name.as_encoded_bytes().iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether NFS clients made this entry: a file that was removed while it was open. It goes by itself.
pub fn is_silly_rename(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".nfs")
}

fn hex_byte(byte: u8) -> String {
    format!("{byte:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlobNonce;

    #[test]
    fn paths_are_what_the_layout_says() {
        let key = BlobKey { hash: BlobHash::from_bytes([0xab; 32]), nonce: BlobNonce::from_random([7; 12]) };
        assert_eq!(copy(&key).to_str().unwrap(), format!("blobs/ab/ab/{}.{}", "ab".repeat(32), "07".repeat(12)));
        for (kind, top) in [(DerivedKind::Preview, "previews"), (DerivedKind::Tree, "trees")] {
            assert_eq!(derived(kind, &key.hash).to_str().unwrap(), format!("{top}/ab/ab/{}", "ab".repeat(32)));
        }
        assert_eq!(staging([0x0f; 16]).to_str().unwrap(), format!("staging/{}", "0f".repeat(16)));
        assert!(is_staging_name(staging([0x0f; 16]).file_name().unwrap()));
        for directory in [Path::new(BLOBS), &fan_out(7), &leaf(&key.hash)] {
            assert!(is_copies_directory(directory), "{}", directory.display());
        }
        for other in [&copy(&key), &PathBuf::from("blobs/x"), &PathBuf::from("previews/ab"), &PathBuf::new()] {
            assert!(!is_copies_directory(other), "{}", other.display());
        }
    }

    #[test]
    fn names_are_read_back_exactly() {
        for byte in 0..=255 {
            assert_eq!(parse_fan_out(fan_out(byte).file_name().unwrap()), Some(byte));
        }
        for wrong in ["", "0", "000", "AB", "+1", "zz", " 1", "a."] {
            assert_eq!(parse_fan_out(OsStr::new(wrong)), None, "{wrong:?}");
        }
        let key = BlobKey { hash: BlobHash::of(b"x"), nonce: BlobNonce::from_random([7; 12]) };
        let [first, second, ..] = *key.hash.as_bytes();
        let name = copy(&key).file_name().unwrap().to_owned();
        assert_eq!(parse_copy(first, second, &name), Some(key));
        assert_eq!(parse_copy(first, second ^ 1, &name), None, "a copy in another's directory is not found there by open");
        let name = name.to_str().unwrap();
        for wrong in [format!("{name}0"), name[1..].to_owned(), name.to_uppercase(), format!("{name}.part")] {
            assert_eq!(parse_copy(first, second, OsStr::new(&wrong)), None, "{wrong}");
        }
    }
}
