//! Making a directory whose name survives a power cut.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory and what is missing above it, for its owner alone (mode 0700), durably: each level's name is synced before the next
/// level is made. Where the directory is there already, its name is synced all the same: whoever made it may have died before that.
///
/// # Errors
/// What the system says; where the path leads to something else than a directory.
pub fn make_directory_durably(path: &Path) -> io::Result<()> {
    make(path, &mut |directory| File::open(directory)?.sync_all())
}

fn make(path: &Path, sync: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        // The root of the file system.
        None => return Ok(()),
    };
    if path.is_dir() {
        return match sync(parent) {
            // What this process may not read it has not made a name in.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        };
    }
    if parent != Path::new(".") {
        make(parent, sync)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other?,
    }
    sync(parent)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// Makes it; gives the directories that were synced, in order.
    fn synced(path: &Path) -> Vec<PathBuf> {
        let mut synced = vec![];
        make(path, &mut |directory| {
            synced.push(directory.to_owned());
            File::open(directory)?.sync_all()
        })
        .unwrap();
        synced
    }

    #[test]
    fn every_level_is_synced_before_the_next_is_made() {
        let place = tempfile::tempdir().unwrap();
        let [one, two, three] = ["one", "one/two", "one/two/three"].map(|path| place.path().join(path));
        let above = place.path().parent().unwrap().to_owned();
        assert_eq!(synced(&three), [above, place.path().to_owned(), one.clone(), two.clone()]);
        for made in [&one, &two, &three] {
            assert_eq!(made.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        assert_eq!(synced(&three), [two], "also where it is there: whoever made it may have died before it was synced");
    }

    #[test]
    fn a_sync_that_fails_is_told_and_what_follows_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("one/two");
        let failed = make(&path, &mut |directory| if directory == place.path() { Err(io::Error::other("EIO")) } else { Ok(()) });
        assert_eq!(failed.unwrap_err().to_string(), "EIO");
        assert!(place.path().join("one").exists() && !path.exists());
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(make(&file, &mut |_| Ok(())).is_err(), "a file is no directory");
    }
}
