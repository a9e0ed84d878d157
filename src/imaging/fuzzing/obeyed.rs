//! Whether a picture is what its recipe asks for.

use crate::imaging::error::ImagingError;
use crate::imaging::exif;
use crate::imaging::structure::outline;
use crate::imaging::{Limits, OutputFormat, Recipe, Rendered, Resize};

/// A photo's size as shown.
pub(super) fn shown(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), ImagingError> {
    let outline = outline(bytes, limits)?;
    let orientation = outline.orientation(exif::read(outline.exif.as_deref(), None).orientation);
    Ok(orientation.shown((outline.width, outline.height)))
}

/// Holds a picture of a photo that is `photo` pixels large to its recipe: format, bounds, and that it brings nothing along.
pub(super) fn obeys(rendered: &Rendered, recipe: &Recipe, photo: (u32, u32)) {
    let context = || format!("{rendered:?} of {photo:?} by {recipe:?}");
    assert_eq!(rendered.format, recipe.format, "{}", context());
    let (width, height) = if recipe.turn.quarters % 2 == 1 { (rendered.height, rendered.width) } else { (rendered.width, rendered.height) };
    let max_side = OutputFormat::max_side(recipe.format);
    for (side, bound, whole) in [(width, recipe.width, photo.0), (height, recipe.height, photo.1)] {
        assert!((1..=max_side).contains(&side), "{}", context());
        assert!(bound == 0 || side <= bound, "larger than asked for: {}", context());
        assert!(recipe.enlarge || side <= whole, "enlarged: {}", context());
    }
    let box_is_asked = recipe.width > 0 && recipe.height > 0 && recipe.width.max(recipe.height) <= max_side;
    if recipe.resize == Resize::Force && recipe.enlarge && box_is_asked {
        assert_eq!((width, height), (recipe.width, recipe.height), "{}", context());
    }
    let read = outline(&rendered.bytes, &Limits::default()).expect("a picture of ours can be read");
    assert_eq!((read.format, read.width, read.height), (recipe.format.format(), rendered.width, rendered.height), "{}", context());
    assert!(read.exif.is_none() && read.xmp.is_none(), "with metadata: {}", context());
}
