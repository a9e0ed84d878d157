//! From a tree to photos: what is to be taken, batch by batch.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::facts::{self, Facts, Sidecar, SidecarKind};
use super::layout::{Layout, folders, immich, takeout, text, xmp_of};
use super::manifest::{Listed, Manifest};
use super::root::Root;
use super::walk::Walk;
use super::{ManifestEntry, TreeError};

/// Photos of one batch, at most.
const BATCH: usize = 256;
/// Directories that one batch looks at, at most: a tree of empty ones must not keep its caller waiting.
const DIRECTORIES: usize = 256;

/// A file that may be a photo, and what the tree says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies, relative to the root.
    pub path: PathBuf,
    /// Whose it is, where the tree says.
    pub user: Option<String>,
    /// In which album.
    pub album: String,
    /// What it is called.
    pub name: String,
    /// What a manifest says of it.
    pub facts: Facts,
    /// What says more.
    pub sidecar: Option<Sidecar>,
    /// It lies in an album, too, if it is in one: not to be taken where its owner has it already.
    pub unless_owned: bool,
}

impl Found {
    fn new(path: PathBuf, user: Option<String>, album: String) -> Self {
        let name = text(path.file_name().unwrap_or_default());
        Self { path, user, album, name, facts: Facts::default(), sidecar: None, unless_owned: false }
    }
}

/// Something that cannot be looked at.
#[derive(Debug)]
pub struct Refusal {
    /// Where it lies, relative to the root.
    pub path: PathBuf,
    /// In one word, for programs: `unreadable`, or `invalid` for a line of a manifest.
    pub code: &'static str,
    /// Why.
    pub error: io::Error,
}

/// The next part of a tree.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub photos: Vec<Found>,
    /// Directories that could not be listed, and lines of a manifest that make no sense.
    pub refused: Vec<Refusal>,
    /// Links, pipes, hidden files and litter.
    pub passed_over: u64,
    /// Files that say something of photos.
    pub sidecars: u64,
}

/// How a tree is to be read.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Who laid it out; `None`: as it looks.
    pub layout: Option<Layout>,
    /// Where the manifest lies, relative to the root: with one the layout is that.
    pub manifest: Option<PathBuf>,
}

/// Goes through a tree. Blocks on the file system; holds one directory's names at a time, and those of directories to come.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    way: Way,
    opened: Option<Opened>,
}

#[derive(Debug)]
enum Way {
    Walk(Walk),
    /// Google's albums first, then its years: what is in both goes to the album.
    Albums(Walk),
    Years(Walk),
    /// And what is wrong with the rest of it, once all before that was given out.
    Manifest(Box<Manifest>, PathBuf, Option<TreeError>),
}

impl Plan {
    /// Begins to go through a tree.
    ///
    /// # Errors
    /// Where the manifest cannot be opened.
    pub fn new(root: &Root, options: &PlanOptions) -> Result<Self, TreeError> {
        if let Some(path) = &options.manifest {
            let file = root.file(path).map_err(TreeError::unreadable(path))?;
            return Ok(Self {
                layout: Layout::Manifest,
                way: Way::Manifest(Box::new(Manifest::new(file)), path.clone(), None),
                opened: None,
            });
        }
        let layout = options.layout.unwrap_or_else(|| Layout::recognise(root));
        let way = if layout == Layout::Takeout { Way::Albums(Walk::new()) } else { Way::Walk(Walk::new()) };
        Ok(Self { layout, way, opened: None })
    }

    /// What it is taken for.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The next part; `None` at the end. A later batch may rest on what was made of an earlier one: one after the other.
    ///
    /// # Errors
    /// Where the root cannot be listed, or the rest of a manifest cannot be told: then nothing more comes.
    pub fn next(&mut self, root: &Root) -> Result<Option<Batch>, TreeError> {
        let layout = self.layout;
        let mut batch = Batch::default();
        let had_some = self.opened.is_some();
        for looked in 0..DIRECTORIES {
            if let Some(opened) = &mut self.opened {
                if !opened.take(layout, &mut batch) {
                    break;
                }
                self.opened = None;
            }
            let (walk, years) = match &mut self.way {
                Way::Manifest(manifest, path, failed) => return listed(manifest, path, failed, root.name()),
                Way::Walk(walk) => (walk, None),
                Way::Albums(walk) => (walk, Some(false)),
                Way::Years(walk) => (walk, Some(true)),
            };
            let enter = |path: &Path| match years {
                // Years lie side by side with the albums, so nothing else has to be gone through again.
                Some(wanted) => wanted || !takeout::is_year(path.file_name().unwrap_or_default()),
                None => layout != Layout::Immich || immich::enters(path),
            };
            let Some(step) = walk.next(root, enter) else {
                if matches!(self.way, Way::Albums(_)) {
                    self.way = Way::Years(Walk::new());
                    // The years come in batches of their own.
                    return Ok(Some(batch));
                }
                return Ok((had_some || looked > 0).then_some(batch));
            };
            let listing = match step.listing {
                Ok(listing) => listing,
                Err(error) if step.path.as_os_str().is_empty() => return Err(TreeError::unreadable(root.path())(error)),
                // It was told of with the albums.
                Err(_) if years == Some(true) && !is_year(&step.path) => continue,
                Err(error) => {
                    batch.refused.push(Refusal { path: step.path, code: "unreadable", error });
                    continue;
                }
            };
            if years != Some(true) || is_year(&step.path) {
                batch.passed_over += listing.passed_over;
                self.opened = Some(Opened::new(layout, root, step.path, listing.files));
            }
        }
        Ok(Some(batch))
    }
}

fn is_year(folder: &Path) -> bool {
    takeout::is_year(folder.file_name().unwrap_or_default())
}

/// A directory whose files are being taken.
#[derive(Debug)]
struct Opened {
    folder: PathBuf,
    /// Sorted.
    files: Vec<OsString>,
    /// Those before it are taken.
    at: usize,
    user: Option<String>,
    album: String,
    google: Option<takeout::Sidecars>,
    unless_owned: bool,
}

impl Opened {
    fn new(layout: Layout, root: &Root, folder: PathBuf, files: Vec<OsString>) -> Self {
        let (user, album) = match layout {
            Layout::Immich => immich::place(root.name(), &folder),
            Layout::Takeout => (None, takeout_album(root, &folder, &files)),
            Layout::Folders | Layout::Manifest => (None, folders::album(root.name(), &folder)),
        };
        let google = (layout == Layout::Takeout).then(|| takeout::Sidecars::of(&files));
        let unless_owned = layout == Layout::Takeout && is_year(&folder);
        Self { folder, files, at: 0, user, album, google, unless_owned }
    }

    /// Takes files until the batch is full; `true` where all are taken.
    fn take(&mut self, layout: Layout, batch: &mut Batch) -> bool {
        while let Some(name) = self.files.get(self.at) {
            if batch.photos.len() >= BATCH {
                return false;
            }
            self.at += 1;
            if is_sidecar(name, layout) {
                batch.sidecars += 1;
                continue;
            }
            let google = self.google.as_ref().and_then(|sidecars| sidecars.of_photo(&text(name)));
            let sidecar = google
                .map(|json| (json.clone(), SidecarKind::Google))
                .or_else(|| xmp_of(name, &self.files).map(|xmp| (xmp, SidecarKind::Xmp)))
                .map(|(name, kind)| Sidecar { path: self.folder.join(name), kind });
            let found = Found::new(self.folder.join(name), self.user.clone(), self.album.clone());
            batch.photos.push(Found { sidecar, unless_owned: self.unless_owned, ..found });
        }
        true
    }
}

/// The title that Google's own file gives, else the folder's name.
fn takeout_album(root: &Root, folder: &Path, files: &[OsString]) -> String {
    let file = takeout::ALBUM_FILES.iter().find(|name| files.iter().any(|file| file == *name));
    let title = file.filter(|_| !is_year(folder)).and_then(|file| facts::album_title(root, &folder.join(file)));
    title.unwrap_or_else(|| text(folder.file_name().unwrap_or(root.name())))
}

/// Whether a file only says something of others, by its name.
fn is_sidecar(name: &OsStr, layout: Layout) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "xmp" | "aae" | "thm") || extension == "json" && layout == Layout::Takeout
}

/// Whether a file is named as photos are: one that is none all the same is refused; others that are none are only counted.
pub fn looks_like_photo(path: &Path) -> bool {
    const KNOWN: [&str; 25] = [
        "jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "tif", "tiff", "bmp", "avif", "heic", "heif", "hif", "dng", "cr2", "cr3",
        "nef", "nrw", "arw", "raf", "rw2", "rwl", "orf", "pef",
    ];
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    KNOWN.contains(&extension.as_str())
}

/// The next entries of a manifest.
fn listed(manifest: &mut Manifest, at: &Path, failed: &mut Option<TreeError>, root_name: &OsStr) -> Result<Option<Batch>, TreeError> {
    let mut batch = Batch::default();
    if let Some(error) = failed.take() {
        return Err(error);
    }
    while batch.photos.len() + batch.refused.len() < BATCH {
        let (path, entry) = match manifest.next() {
            Ok(Some(Listed::Entry(path, entry))) => (path, entry),
            Ok(Some(Listed::Wrong(error))) => {
                batch.refused.push(Refusal { path: at.to_owned(), code: "invalid", error: io::Error::other(error) });
                continue;
            }
            Ok(None) => break,
            // What came before it is good.
            Err(error) => {
                *failed = Some(error);
                return Ok(Some(batch));
            }
        };
        let ManifestEntry { album, user, name, caption, taken_at, hash, .. } = entry;
        let album = album.unwrap_or_else(|| folders::album(root_name, path.parent().unwrap_or(Path::new(""))));
        let mut found = Found::new(path, user, album);
        found.name = name.unwrap_or(found.name);
        found.facts = Facts { taken_at, caption, hash, trashed: false };
        batch.photos.push(found);
    }
    Ok((batch.photos.len() + batch.refused.len() > 0).then_some(batch))
}

#[cfg(test)]
mod tests;
