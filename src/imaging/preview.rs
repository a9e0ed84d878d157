//! The preview of a photo: a picture of it that small renditions are made from, so that a photo of many pixels is decoded once.
//!
//! Which photos have one, and which pictures are made from it, follows from the photo's size alone: whatever was stored when, a recipe gives
//! the same picture.

use super::OutputFormat;
use super::fit::fit;
use super::framing::Framing;
use super::recipe::Recipe;
use super::render::oversize;

/// The side of the square that previews fit into, in pixels.
const SIDE: u32 = 1_280;
/// The longer side that a photo has at least, to have one: with a little more than the preview's pixels it is decoded as quickly itself.
const SIDE_AT_LEAST: u32 = 1_920;
/// Quality of the JPEG: what is made from it is at most half as large on each side, and shows nothing of the loss.
const QUALITY: u8 = 90;
/// Sides are rounded; so much may a picture need beyond the preview.
const TOLERANCE: u32 = 2;

/// Whether a photo of this size, as shown, has a preview.
pub fn has_preview(shown: (u32, u32)) -> bool {
    shown.0.max(shown.1) >= SIDE_AT_LEAST
}

/// Whether the preview of a photo of this size, as shown, is large enough to make this picture from: twice the picture on each side. Not what
/// moves: the preview shows its first frame.
pub fn preview_serves(shown: (u32, u32), recipe: &Recipe) -> bool {
    if recipe.animated {
        return false;
    }
    let needed = oversize(&Framing::of(shown, recipe, recipe.format.max_side()));
    let preview = fit(shown, (SIDE, SIDE), false);
    has_preview(shown) && needed.0 <= preview.0 + TOLERANCE && needed.1 <= preview.1 + TOLERANCE
}

/// What makes a preview.
pub(super) fn preview_recipe() -> Recipe {
    Recipe { quality: QUALITY, ..Recipe::fit(SIDE, SIDE, OutputFormat::Jpeg) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::{Region, Resize};

    #[test]
    fn large_photos_have_one_and_small_pictures_are_made_from_it() {
        assert!(has_preview((1_920, 100)) && has_preview((1_000, 1_920)));
        assert!(!has_preview((1_919, 1_919)));
        let camera = (6_000, 4_000);
        let fit = |side| Recipe::fit(side, side, OutputFormat::Jpeg);
        for side in [1, 160, 320, 640] {
            assert!(preview_serves(camera, &fit(side)), "{side}");
            assert!(preview_serves((4_001, 2_999), &fit(side)), "{side}");
            assert!(!preview_serves((1_600, 1_200), &fit(side)), "{side}: there is none");
        }
        assert!(!preview_serves(camera, &fit(660)));
        assert!(!preview_serves(camera, &fit(0)));
        // A square of a photo needs more of it than the whole in that square does.
        let square = |side| Recipe { resize: Resize::Fill, ..fit(side) };
        assert!(preview_serves(camera, &square(426)));
        assert!(!preview_serves(camera, &square(440)));
        let part = |width| Recipe { region: Some(Region { x: 0, y: 0, width: 600, height: 400 }), ..fit(width) };
        assert!(preview_serves(camera, &part(64)));
        assert!(!preview_serves(camera, &part(320)));
        assert!(!preview_serves(camera, &Recipe { animated: true, ..fit(320) }));
        // A panorama's preview is low.
        assert!(preview_serves((20_000, 1_000), &fit(640)));
        assert!(!preview_serves((20_000, 1_000), &Recipe::fit(0, 100, OutputFormat::Jpeg)));
    }
}
