//! How good renditions are, and which quality makes Halidom's as good as libvips's.

use std::path::Path;

use serde::Deserialize;
use tokio::runtime::Runtime;

use super::photos::Photos;
use super::site::{Site, Size};
use super::vips::Vips;

/// The quality that libvips and thumbor are asked for.
pub(super) const THEIRS: u8 = 80;
/// The highest that Halidom is asked for.
const HIGHEST: u8 = 90;
/// Structural similarity that nobody sees.
const ALIKE: f64 = 0.0002;

/// How near a rendition comes to a reference, in luminance: the whole photo decoded, and resized once by Lanczos.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Likeness {
    /// Structural similarity, 1 where they are the same.
    pub(super) ssim: f64,
    /// Peak signal-to-noise ratio, in dB.
    pub(super) psnr: f64,
    pub(super) bytes: f64,
}

impl Likeness {
    /// The mean of all of them.
    pub(super) fn mean(all: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| all.iter().map(figure).sum::<f64>() / all.len().max(1) as f64;
        Self { ssim: mean(|one| one.ssim), psnr: mean(|one| one.psnr), bytes: mean(|one| one.bytes) }
    }

    /// As cells of a table: SSIM, PSNR, kB.
    pub(super) fn cells(this: Option<Self>) -> String {
        this.map_or_else(|| "– | – | –".to_owned(), |it| format!("{:.4} | {:.1} | {:.1}", it.ssim, it.psnr, it.bytes / 1000.0))
    }
}

/// What to ask of each for renditions that are alike, of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matched {
    pub(super) ours: Size,
    pub(super) theirs: Size,
    /// Over all photos; `None` where there is no libvips to compare with.
    pub(super) likeness: Option<(Likeness, Likeness)>,
}

/// Of each size the lowest quality, but not below libvips's, in which Halidom's renditions come as near to the reference as libvips's.
pub(super) fn matched(
    sides: &[u32],
    dir: &Path,
    runtime: &Runtime,
    photos: &Photos,
    previews: bool,
    mut vips: Option<&mut Vips>,
) -> anyhow::Result<Vec<Matched>> {
    let site = runtime.block_on(Site::start(dir, None, previews))?;
    let mut uploaded = Vec::new();
    for photo in &photos.all {
        uploaded.extend(runtime.block_on(site.upload(photo, 0, 1))?);
    }
    let mut connection = site.connect()?;
    let mut all = Vec::new();
    for &side in sides {
        let theirs = Size { side, quality: THEIRS };
        let Some(vips) = vips.as_deref_mut() else {
            all.push(Matched { ours: theirs, theirs, likeness: None });
            continue;
        };
        let of_theirs: Vec<_> = photos.all.iter().map(|photo| vips.own(&photo.path, theirs)).collect::<anyhow::Result<_>>()?;
        let wanted = Likeness::mean(&of_theirs);
        let mut quality = THEIRS;
        let (ours, found) = loop {
            let ours = Size { side, quality };
            let mut of_ours = Vec::new();
            for (photo, hash) in photos.all.iter().zip(&uploaded) {
                let rendition = connection.get(&runtime.block_on(site.sign(hash, ours))?)?;
                of_ours.push(vips.compare(&photo.path, &rendition)?);
            }
            let found = Likeness::mean(&of_ours);
            if found.ssim + ALIKE >= wanted.ssim || quality == HIGHEST {
                break (ours, found);
            }
            quality += 1;
        };
        eprintln!("{side} px: quality {} as libvips's {}: SSIM {:.4} and {:.4}", ours.quality, THEIRS, found.ssim, wanted.ssim);
        all.push(Matched { ours, theirs, likeness: Some((found, wanted)) });
    }
    Ok(all)
}
