//! The manifest of an export: a line of JSON for each photo, as `import` reads it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::api::{Album, Photo};
use crate::trees::ManifestEntry;

/// What it is called.
pub(super) const NAME: &str = "manifest.jsonl";
/// What it is called until it is whole.
const PARTIAL: &str = ".halidom-manifest.part";
/// The longest line of one.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Writes a manifest, which takes the place of an earlier export's at the end.
#[derive(Debug)]
pub(super) struct ManifestWriter {
    file: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
}

impl ManifestWriter {
    /// Begins one in `directory`. What stands there by its name and is no manifest is left alone: then there is an error.
    pub(super) fn begin(directory: &Path) -> io::Result<Self> {
        let (path, partial) = (directory.join(NAME), directory.join(PARTIAL));
        if !may_be_replaced(&path)? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is no manifest, and stays", path.display())));
        }
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { file: BufWriter::new(File::create_new(&partial)?), partial, path })
    }

    /// Where it will stand.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a photo; `path` is relative to the directory.
    pub(super) fn add(&mut self, path: &Path, album: &Album, user: Option<&str>, photo: &Photo) -> io::Result<()> {
        let entry = ManifestEntry {
            path: path.to_string_lossy().into_owned(),
            album: Some(album.name.clone()),
            user: user.map(str::to_owned),
            name: Some(photo.name.clone()).filter(|name| !name.is_empty()),
            caption: photo.caption.clone(),
            taken_at: photo.taken_at.as_deref().and_then(|time| time.parse().ok()),
            hash: Some(photo.hash),
        };
        serde_json::to_writer(&mut self.file, &entry)?;
        self.file.write_all(b"\n")
    }

    /// Gives it its name, durably.
    pub(super) fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&self.partial, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

/// Whether nothing stands there, or an earlier export's manifest, by its first line.
fn may_be_replaced(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => return Ok(false),
        Ok(metadata) if metadata.len() == 0 => return Ok(true),
        Ok(_) => {}
    }
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(MAX_LINE_BYTES)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice::<ManifestEntry>(&line).is_ok_and(|entry| entry.hash.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_manifest_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for _ in 0..2 {
            ManifestWriter::begin(folder.path()).unwrap().finish().unwrap();
        }
        let hash = crate::model::BlobHash::of(b"photo");
        std::fs::write(&path, format!("{{\"path\": \"a/b.jpg\", \"hash\": \"{hash}\"}}\n")).unwrap();
        ManifestWriter::begin(folder.path()).unwrap();
        for mine in ["my own list\n", "{\"path\": \"a.jpg\"}\n"] {
            std::fs::write(&path, mine).unwrap();
            assert_eq!(ManifestWriter::begin(folder.path()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), mine);
        }
    }
}
