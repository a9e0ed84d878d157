use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::summary::Failure;

/// What of a folder's contents is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) hidden: bool,
    pub(super) follow_links: bool,
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Found {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) size_bytes: u64,
}

/// What stands under some paths.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Paths that were named and are not there; where there are some, nothing else was looked for.
    pub(super) missing: Vec<PathBuf>,
    pub(super) files: Vec<Found>,
    pub(super) failures: Vec<Failure>,
    /// Hidden files, links and the like, that nobody asked for by name.
    pub(super) passed_over: u64,
}

/// Litter that systems leave in folders of photos.
const LITTER: [&str; 2] = ["Thumbs.db", "desktop.ini"];

/// Finds the files, folder by folder in the order of names. What is named itself is always taken, also a link; what cannot be read is
/// reported, and the rest goes on.
pub(super) fn walk(paths: &[PathBuf], rules: Rules) -> Walked {
    let mut walked = Walked { missing: paths.iter().filter(|path| is_missing(path)).cloned().collect(), ..Walked::default() };
    if !walked.missing.is_empty() {
        return walked;
    }
    for path in paths {
        let mut entries = WalkDir::new(path).follow_links(rules.follow_links).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    walked.failures.push(Failure::new(&at, "unreadable", reason(error)));
                }
                Ok(entry) if entry.depth() > 0 && !rules.hidden && is_hidden(&entry) => {
                    walked.passed_over += 1;
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) => take(&entry, &mut walked),
            }
        }
    }
    walked
}

fn is_missing(path: &Path) -> bool {
    let looked = std::fs::metadata(path);
    looked.is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

fn take(entry: &DirEntry, walked: &mut Walked) {
    // Of a link that was named itself the walk says what the link is; asked for is what stands behind it.
    let metadata = if entry.depth() == 0 { std::fs::metadata(entry.path()) } else { entry.metadata().map_err(Into::into) };
    match metadata {
        Err(error) => walked.failures.push(Failure::new(entry.path(), "unreadable", error.to_string())),
        Ok(metadata) if metadata.is_dir() => {}
        Ok(metadata) if metadata.is_file() => {
            walked.files.push(Found { path: entry.path().to_owned(), size_bytes: metadata.len() });
        }
        // A pipe or a device would block for ever.
        Ok(_) if entry.depth() == 0 => walked.failures.push(Failure::new(entry.path(), "not_a_file", "neither a file nor a folder")),
        Ok(_) => walked.passed_over += 1,
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') || LITTER.contains(&&*name)
}

/// The reason alone: the path stands beside it.
fn reason(error: walkdir::Error) -> String {
    match error.loop_ancestor().map(Path::to_owned) {
        Some(ancestor) => format!("a link leads back to `{}`", ancestor.display()),
        None => error.into_io_error().map_or_else(|| "it cannot be walked".to_owned(), |error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const PLAIN: Rules = Rules { hidden: false, follow_links: false };

    fn names(walked: &Walked) -> Vec<String> {
        walked.files.iter().map(|file| file.path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn folders_are_walked_in_order_and_only_what_was_meant_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("album/.cache")).unwrap();
        std::fs::create_dir_all(root.join("elsewhere")).unwrap();
        for file in ["album/b.jpg", "album/a.jpg", "album/.hidden.jpg", "album/.cache/c.jpg", "album/Thumbs.db", "elsewhere/d.jpg"] {
            std::fs::write(root.join(file), file).unwrap();
        }
        symlink(root.join("elsewhere/d.jpg"), root.join("album/link.jpg")).unwrap();
        symlink(root.join("album"), root.join("album/loop")).unwrap();

        let walked = walk(&[root.join("album")], PLAIN);
        assert_eq!(names(&walked), ["a.jpg", "b.jpg"]);
        assert_eq!(walked.passed_over, 5, "two hidden, one litter, two links");
        assert!(walked.failures.is_empty());

        let walked = walk(&[root.join("album/link.jpg"), root.join("album/.hidden.jpg")], PLAIN);
        assert_eq!(names(&walked), ["link.jpg", ".hidden.jpg"], "what is named is taken");
        assert_eq!(walked.files[0].size_bytes, "elsewhere/d.jpg".len() as u64);

        let walked = walk(&[root.join("album")], Rules { hidden: true, follow_links: true });
        assert_eq!(walked.files.len(), 6);
        assert_eq!(walked.failures.len(), 1, "the loop");
    }

    #[test]
    fn where_something_is_not_there_nothing_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        std::fs::write(&file, "a").unwrap();
        let (below, dangling) = (file.join("below"), folder.path().join("dangling"));
        symlink("nowhere", &dangling).unwrap();
        let missing = [folder.path().join("missing"), below, dangling];
        let walked = walk(&[&[file][..], &missing].concat(), PLAIN);
        assert_eq!(walked.missing, missing);
        assert!(walked.files.is_empty() && walked.failures.is_empty());
    }
}
