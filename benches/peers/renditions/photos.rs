//! Which photos are rendered.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::RenditionOptions;
use super::vips::Vips;

/// Photos of a corpus with fewer pixels are left out.
const AT_LEAST_PIXELS: u64 = 3_800_000;
/// The part of a photo that a montage of four takes, in pixels.
const TILE: (u64, u64) = (2048, 1536);

/// A photo as it is uploaded.
#[derive(Debug)]
pub(super) struct Photo {
    pub(super) name: String,
    /// Where it lies, with others in one directory.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Photo {
    /// Whether Halidom keeps a preview of it.
    pub(super) fn has_preview(&self) -> bool {
        halidom::imaging::inspect(&self.bytes, &halidom::imaging::Limits::default())
            .is_ok_and(|found| halidom::imaging::has_preview((found.width, found.height)))
    }
}

/// The photos, and where they come from.
#[derive(Debug)]
pub(super) struct Photos {
    pub(super) all: Vec<Photo>,
    /// Where all of them lie.
    pub(super) dir: PathBuf,
    from: String,
    left_out: Vec<String>,
}

impl Photos {
    /// Those that the command line names, or the largest of the corpus and a montage of others, or else the largest fixtures. Copies
    /// them below `dir`.
    pub(super) fn choose(options: &RenditionOptions, dir: &Path) -> anyhow::Result<Self> {
        let mut chosen = Self { all: Vec::new(), dir: crate::fresh(dir, "photos")?, from: String::new(), left_out: Vec::new() };
        let mut vips = options.python.as_deref().map(|python| Vips::start(python, None)).transpose()?;
        let mut montage = Vec::new();
        let files = match (&options.photo[..], &options.corpus) {
            ([], None) => {
                chosen.from = "the project's fixtures, far smaller than photos are: no corpus was named".into();
                let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photos"));
                ["raccoon.jpg", "retina.jpg", "hubble.jpg"].map(|name| fixtures.join(name)).into()
            }
            ([], Some(corpus)) => {
                chosen.from = "the corpus's largest photos".into();
                let listed = Listed::read(corpus)?;
                montage = Listed::densest(&listed);
                listed.into_iter().filter(|photo| photo.width * photo.height >= AT_LEAST_PIXELS).map(|photo| photo.path).collect()
            }
            (named, _) => {
                chosen.from = "as named".into();
                named.to_vec()
            }
        };
        for file in files {
            chosen.add(&file, vips.as_mut())?;
        }
        if let (Some(vips), 4) = (&mut vips, montage.len()) {
            let joined = dir.join("montage.jpg");
            vips.montage(&montage, &joined)?;
            chosen.add(&joined, None)?;
            chosen.from += ", and a montage of parts of four, which has as many bytes as photos have";
        }
        anyhow::ensure!(!chosen.all.is_empty(), "no photo to render");
        Ok(chosen)
    }

    fn add(&mut self, file: &Path, vips: Option<&mut Vips>) -> anyhow::Result<()> {
        let bytes = std::fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.dir.join(format!("{}.jpg", self.all.len() + self.left_out.len()));
        std::fs::write(&path, &bytes)?;
        // A photo with a gain map is read whole by libvips 8.18, by another library: no comparison.
        if let Some(loader) = vips.map(|vips| vips.loader(&path)).transpose()?.filter(|loader| !loader.starts_with("jpegload")) {
            self.left_out.push(format!("{name} ({loader})"));
            return Ok(());
        }
        self.all.push(Photo { name, path, bytes });
        Ok(())
    }

    /// For the report.
    pub(super) fn describe(&self) -> String {
        let names: Vec<_> = self.all.iter().map(|photo| format!("{} ({:.2} MB)", photo.name, photo.bytes.len() as f64 / 1e6)).collect();
        let mut out = format!("\n## Renditions\n\nPhotos ({}): {}.", self.from, names.join(", "));
        if !self.left_out.is_empty() {
            out += &format!(" Left out, since libvips does not read them as JPEG: {}.", self.left_out.join(", "));
        }
        out
    }
}

/// A JPEG of the corpus's manifest.
#[derive(Debug)]
struct Listed {
    path: PathBuf,
    bytes: u64,
    /// As shown, in pixels.
    width: u64,
    height: u64,
}

impl Listed {
    /// Coloured JPEGs that have to be taken, the largest first.
    fn read(corpus: &Path) -> anyhow::Result<Vec<Self>> {
        let manifest = corpus.join("MANIFEST.tsv");
        let text = std::fs::read_to_string(&manifest).with_context(|| format!("could not read {}", manifest.display()))?;
        let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let head = lines.next().context("an empty manifest")?;
        let column = |name: &str| head.iter().position(|field| *field == name).with_context(|| format!("a manifest without `{name}`"));
        let [file, bytes, format, width, height, colour, verdict] =
            ["file", "bytes", "true_format", "width", "height", "colour", "verdict"].map(column);
        let (file, bytes, format, width, height, colour, verdict) = (file?, bytes?, format?, width?, height?, colour?, verdict?);
        let mut all = Vec::new();
        for line in lines {
            let field = |column: usize| line.get(column).copied().unwrap_or_default();
            if (field(format), field(verdict)) == ("JPEG", "accept") && field(colour).starts_with("RGB") {
                let number = |column| field(column).parse::<u64>();
                all.push(Self { path: corpus.join(field(file)), bytes: number(bytes)?, width: number(width)?, height: number(height)? });
            }
        }
        all.sort_by_key(|photo| std::cmp::Reverse(photo.width * photo.height));
        Ok(all)
    }

    /// The four with the most bytes a pixel of those that a tile can be cut from.
    fn densest(all: &[Self]) -> Vec<PathBuf> {
        let large = |photo: &&Self| photo.width.max(photo.height) >= TILE.0 && photo.width.min(photo.height) >= TILE.1;
        let mut dense: Vec<_> = all.iter().filter(large).collect();
        dense.sort_by_key(|photo| std::cmp::Reverse(photo.bytes * 1_000_000 / (photo.width * photo.height)));
        dense.into_iter().take(4).map(|photo| photo.path.clone()).collect()
    }
}
