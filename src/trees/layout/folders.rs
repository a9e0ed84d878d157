//! Plain folders: an album is a folder, named by its path.

use std::ffi::OsStr;
use std::path::Path;

use super::text;

/// What stands between the folders of an album's name.
const SEPARATOR: &str = " / ";
/// The album of a root that has no name (`/`).
const NAMELESS: &str = "Photos";

/// The album of what lies in a folder, relative to the root: the names on the way, or the root's own.
pub(in crate::trees) fn album(root_name: &OsStr, folder: &Path) -> String {
    let parts: Vec<_> = folder.components().map(|part| text(part.as_os_str())).collect();
    match (parts.is_empty(), root_name.is_empty()) {
        (false, _) => parts.join(SEPARATOR),
        (true, false) => text(root_name),
        (true, true) => NAMELESS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn albums_are_named_by_their_path() {
        let album = |folder: &str| album(OsStr::new("filer"), Path::new(folder));
        assert_eq!(album(""), "filer");
        assert_eq!(album("Ski"), "Ski");
        assert_eq!(album("2019/Ski/Tag 1"), "2019 / Ski / Tag 1");
        assert_eq!(super::album(OsStr::new(""), Path::new("")), "Photos");
    }
}
