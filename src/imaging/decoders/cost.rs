//! What decoding a photo takes, told from its head in safe code: how much room it needs before a decoder has it.

use super::job::Task;
use crate::imaging::decode::{heif, scale};
use crate::imaging::framing::Framing;
use crate::imaging::preview::preview_recipe;
use crate::imaging::render::oversize;
use crate::imaging::structure::{Outline, jpeg_head_cost, outline, recognise};
use crate::imaging::{Format, Limits, MadeFrom, Recipe};

/// The most memory that this takes, in bytes; what cannot be told takes as much as any photo may.
pub(super) fn cost(photo: &[u8], task: &Task, limits: &Limits) -> u64 {
    let preview = preview_recipe();
    let recipes: Vec<&Recipe> = match task {
        Task::Render(recipe) | Task::RenderPreview { recipe, .. } => vec![recipe],
        Task::Preview => vec![&preview],
        Task::Ladder(ladder) => {
            let of_photo = ladder.rungs.iter().filter(|rung| rung.from == MadeFrom::Photo).map(|rung| &rung.recipe);
            of_photo.chain(ladder.needs_preview().then_some(&preview)).collect()
        }
        Task::LadderOfPreview(ladder) => ladder.rungs.iter().map(|rung| &rung.recipe).collect(),
        Task::Inspect | Task::Look(_) | Task::Placeholder => vec![],
    };
    // Of what moves several frames are held, and all that was written.
    let moves = recipes.iter().any(|recipe| recipe.animated);
    told(photo, &recipes, limits).filter(|_| !moves).unwrap_or(limits.max_decoded_bytes)
}

fn told(photo: &[u8], recipes: &[&Recipe], limits: &Limits) -> Option<u64> {
    match recognise(photo)? {
        Format::Jpeg => of_jpeg(photo, recipes, limits),
        Format::Avif | Format::Heic => heif::cost(photo),
        _ => {
            // Here, in the server, nothing is unpacked: metadata counts for nothing.
            let limits = &Limits { max_metadata_bytes: 0, ..limits.clone() };
            let outline = outline(photo, limits).ok()?;
            match outline.preview {
                Some(preview) => of_jpeg(preview, recipes, limits),
                None => Some(outline.decoded_bytes.saturating_add(of_pictures((outline.width, outline.height), recipes))),
            }
        }
    }
}

/// Its pixels at the largest scale that any of the pictures needs, whichever way up it is.
fn of_jpeg(photo: &[u8], recipes: &[&Recipe], limits: &Limits) -> Option<u64> {
    let head = jpeg_head_cost(photo, limits)?;
    let (width, height) = head.size;
    let stored = Outline::new(Format::Jpeg, head.size);
    let at_scale = |recipe: &&Recipe| {
        let ways = [((width, height), false), ((height, width), true)];
        ways.map(|(shown, is_turned)| {
            let (across, down) = oversize(&Framing::of(shown, recipe, recipe.format.max_side()));
            let at_least = if is_turned { (down, across) } else { (across, down) };
            scale(photo, &stored, (at_least.0.min(width), at_least.1.min(height)))
        })
    };
    let bytes = |scale: (usize, usize)| head.pixels_bytes * (scale.0 * scale.0) as u64 / (scale.1 * scale.1).max(1) as u64;
    let pixels_bytes = recipes.iter().flat_map(at_scale).map(bytes).max();
    let pixels_bytes = pixels_bytes.unwrap_or(head.pixels_bytes);
    Some(pixels_bytes.saturating_add(head.coefficients_bytes).saturating_add(of_pictures(head.size, recipes)))
}

fn of_pictures((width, height): (u32, u32), recipes: &[&Recipe]) -> u64 {
    let bytes = |recipe: &&Recipe| {
        let each = recipe.format.drawn_bytes_per_pixel();
        let target = |shown| Framing::of(shown, recipe, recipe.format.max_side()).target;
        [(width, height), (height, width)].map(target).map(|(width, height)| u64::from(width) * u64::from(height) * each)
    };
    recipes.iter().flat_map(bytes).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::{Ladder, OutputFormat, Rung};

    fn seed(name: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    }

    fn render(side: u32, format: OutputFormat) -> Task {
        Task::Render(Recipe::fit(side, side, format))
    }

    #[test]
    fn a_jpeg_takes_less_at_a_scale_and_more_in_several_scans() {
        let limits = Limits::default();
        // One that is turned, too.
        for name in ["fixtures/photos/raccoon.jpg", "fixtures/photos/orientation-6.jpg"] {
            let photo = seed(name);
            let head = jpeg_head_cost(&photo, &limits).unwrap();
            let read = outline(&photo, &limits).unwrap();
            assert_eq!((head.size, head.pixels_bytes + head.coefficients_bytes), ((read.width, read.height), read.decoded_bytes), "{name}");
            let costs = [40, 100, 200, 4_000].map(|side| cost(&photo, &render(side, OutputFormat::Jpeg), &limits));
            assert!(costs.is_sorted() && costs[0] < head.pixels_bytes / 8 && costs[3] >= head.pixels_bytes, "{name}: {costs:?}");
            assert_eq!(cost(&photo, &Task::Inspect, &limits), read.decoded_bytes);
        }
        let progressive = seed("fuzz/seeds/pictures/jpeg-4-4-4-progressive");
        let head = jpeg_head_cost(&progressive, &limits).unwrap();
        assert!(
            head.coefficients_bytes >= 2 * head.pixels_bytes
                && cost(&progressive, &render(1, OutputFormat::Jpeg), &limits) > head.coefficients_bytes
        );
    }

    #[test]
    fn others_take_what_they_are_and_what_cannot_be_told_all() {
        let limits = Limits::default();
        for name in ["png", "png-of-16-bits-with-alpha", "gif", "tiff", "bmp", "webp-lossy"] {
            let photo = seed(&format!("fuzz/seeds/pictures/{name}"));
            let decoded = outline(&photo, &limits).unwrap().decoded_bytes;
            let small = cost(&photo, &render(1, OutputFormat::Png), &limits);
            assert!((decoded..decoded + 100).contains(&small), "{name}: {small}, {decoded}");
            let moving = Task::Render(Recipe { animated: true, ..Recipe::fit(1, 1, OutputFormat::WebP) });
            assert_eq!(cost(&photo, &moving, &limits), limits.max_decoded_bytes);
        }
        let of_ispe = |width: u32, height: u32| {
            let sizes = [(512, 512), (width, height)]
                .map(|(width, height): (u32, u32)| [&b"\0\0\0\x14ispe\0\0\0\0"[..], &width.to_be_bytes(), &height.to_be_bytes()].concat());
            [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), sizes.concat()].concat()
        };
        assert_eq!(cost(&of_ispe(4_032, 3_024), &Task::Inspect, &limits), 4_032 * 3_024 * 10);
        assert_eq!(cost(&of_ispe(u32::MAX, u32::MAX), &Task::Inspect, &limits), u64::MAX);
        for unknown in [&b"no image"[..], b"\xFF\xD8\xFF\xE0", &of_ispe(1, 1)[..24]] {
            assert_eq!(cost(unknown, &render(9, OutputFormat::Jpeg), &limits), limits.max_decoded_bytes);
        }
    }

    #[test]
    fn of_several_pictures_the_largest_counts_and_avif_takes_more() {
        let (photo, limits) = (seed("fixtures/photos/raccoon.jpg"), Limits::default());
        let alone = |side, format| cost(&photo, &render(side, format), &limits);
        let rung = |(number, side)| Rung { number, recipe: Recipe::fit(side, side, OutputFormat::Jpeg), from: MadeFrom::Photo };
        let rungs: Vec<_> = [(0, 40), (1, 400), (2, 100)].map(rung).to_vec();
        let ladder = Ladder { shown: (1_024, 768), rungs };
        assert_eq!(cost(&photo, &Task::Ladder(ladder), &limits), alone(400, OutputFormat::Jpeg));
        assert!(alone(400, OutputFormat::Avif) > alone(400, OutputFormat::Jpeg));
    }
}
