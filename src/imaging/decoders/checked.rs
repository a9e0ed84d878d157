//! What a decoder process answers is checked before it is believed: a photo may have taken the process over, and what is believed goes into
//! rows that are kept and sent to other sites.

use crate::imaging::inspect::Seen;
use crate::imaging::{Format, ImagingError, Impression, Inspection, Limits, OutputFormat, Recipe, Rendered, sniff};

/// A ThumbHash has no more bytes.
const MAX_PLACEHOLDER_BYTES: usize = 25;
/// Nothing that is read from a photo's texts is longer.
const MAX_TEXT_CHARS: usize = 128;
/// A decoder's own words.
const MAX_WORDS_BYTES: usize = 1_024;

/// Whether a picture is what was asked for, as far as its first bytes and its size tell.
pub(super) fn is_picture(rendered: &Rendered, recipe: &Recipe) -> bool {
    let Rendered { bytes, format, width, height } = rendered;
    let is_side = |side: &u32| (1..=format.max_side()).contains(side);
    *format == recipe.format && sniff(bytes) == Some(OutputFormat::format(*format)) && is_side(width) && is_side(height)
}

/// Whether an inspection is one that a sound process could give of a photo of this format.
pub(in crate::imaging) fn is_inspection(inspection: &Inspection, of: Format, limits: &Limits) -> bool {
    let Inspection { format, width, height, orientation, frames, camera_make, camera_model, lens, gps, placeholder, warning, .. } =
        inspection;
    *format == of
        && *width > 0
        && *height > 0
        && limits.check_dimensions(*width, *height).is_ok()
        && (1..=8).contains(orientation)
        && (1..=limits.max_frames).contains(frames)
        && [camera_make, camera_model, lens].into_iter().flatten().all(|text| is_name(text))
        && gps.is_none_or(|gps| gps.is_on_earth())
        && placeholder.as_ref().is_none_or(|placeholder| placeholder.len() <= MAX_PLACEHOLDER_BYTES)
        && warning.as_ref().is_none_or(|warning| warning.len() <= MAX_WORDS_BYTES)
}

/// Whether a text is one that reading EXIF gives.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(char::is_control)
}

/// Whether an error has no more to say than one that is sent to a client.
pub(in crate::imaging) fn is_error(error: &ImagingError) -> bool {
    error.to_string().len() <= MAX_WORDS_BYTES
}

/// Whether what was seen can be.
pub(super) fn is_seen(Seen { impression, warning }: &Seen) -> bool {
    impression.as_ref().is_none_or(is_impression) && warning.as_ref().is_none_or(|warning| warning.len() <= MAX_WORDS_BYTES)
}

/// Whether an impression is one at all.
pub(super) fn is_impression(impression: &Impression) -> bool {
    impression.placeholder.len() <= MAX_PLACEHOLDER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::{Gps, inspect, render};

    /// One grey pixel.
    fn photo() -> Vec<u8> {
        let mut png = vec![];
        let encoder = image::codecs::png::PngEncoder::new(&mut png);
        image::ImageEncoder::write_image(encoder, &[9], 1, 1, image::ExtendedColorType::L8).unwrap();
        png
    }

    #[test]
    fn what_is_true_passes_and_lies_do_not() {
        let (photo, limits) = (photo(), Limits::default());
        let inspection = inspect(&photo, &limits).unwrap();
        assert!(is_inspection(&inspection, Format::Png, &limits));
        let lies: [&dyn Fn(&mut Inspection); 9] = [
            &|lie| lie.format = Format::Gif,
            &|lie| lie.width = 0,
            &|lie| lie.height = u32::MAX,
            &|lie| lie.orientation = 9,
            &|lie| lie.frames = 0,
            &|lie| lie.lens = Some("x".repeat(129)),
            &|lie| lie.camera_make = Some("\u{1b}[2J".into()),
            &|lie| lie.gps = Some(Gps { latitude_e7: 900_000_001, longitude_e7: 0, altitude_mm: None }),
            &|lie| lie.placeholder = Some(vec![0; 26]),
        ];
        for lie in lies {
            let mut told = inspection.clone();
            lie(&mut told);
            assert!(!is_inspection(&told, Format::Png, &limits), "{told:?}");
        }
        let recipe = Recipe::fit(1, 1, OutputFormat::Jpeg);
        let picture = render(&photo, &recipe, &limits).unwrap();
        assert!(is_picture(&picture, &recipe));
        assert!(!is_picture(&Rendered { width: 0, ..picture.clone() }, &recipe));
        assert!(!is_picture(&Rendered { bytes: photo, ..picture.clone() }, &recipe));
        assert!(!is_picture(&picture, &Recipe { format: OutputFormat::WebP, ..recipe }));
    }
}
