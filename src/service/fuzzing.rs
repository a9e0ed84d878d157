//! What the fuzz targets in `fuzz/` do with any bytes (`imaging::fuzzing` says more): URLs that ask for renditions, and stored renditions.

use crate::config::percent;
use crate::imaging::Gravity;
use crate::model::tenant::RenditionSettings;
use crate::service::iiif::{Bounds, Identifier, IiifError, ImageRequest};
use crate::service::rendition_url::{Presets, RecipeKey, RenditionFormat, RenditionUrl, SigningKey, UrlError, signed_path};

pub use super::rendition::fuzzing::{rendition_entry, stored_preview};

fn key() -> SigningKey {
    SigningKey::new("key", "salt")
}

/// The first line and the second are signed parts of paths, the others presets (`name=options`; one that cannot be kept is left out, and
/// `only` lets URLs name nothing else): what is read can be written, and is read again as the same.
pub fn rendition_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut settings = RenditionSettings::default();
    for line in lines.take(crate::service::rendition_url::MAX_PRESETS) {
        match line.split_once('=') {
            Some((name, options)) if Presets::check(name, options).is_ok() => {
                settings.presets.insert(name.to_owned(), options.to_owned());
            }
            _ => settings.presets_only |= line == "only",
        }
    }
    let (none, presets) = (Presets::default(), Presets::of(&settings));
    let keys: Vec<RecipeKey> = [first, second].into_iter().filter_map(|signed| read(signed, &presets, &none)).collect();
    if let [first, second] = keys.as_slice() {
        assert_eq!(first == second, first.to_string() == second.to_string(), "one spelling a recipe: {first:?}, {second:?}");
    }
    for path in [first, text] {
        assert!(
            matches!(RenditionUrl::open(path, [((), &key())], |()| &none), Err(UrlError::Signature | UrlError::NotARendition)),
            "nobody signed {path:?}"
        );
    }
}

/// Reads the signed part of a path, and settles what it asks for.
fn read(signed: &str, presets: &Presets, none: &Presets) -> Option<RecipeKey> {
    let read = RenditionUrl::parse(signed, presets);
    let opened = RenditionUrl::open(&signed_path(&key(), signed), [((), &key())], |()| presets);
    // With its signature a path may be too long; without a slash the signature has another end.
    let is_other = opened == Err(UrlError::NotARendition) || !signed.starts_with('/');
    assert!(is_other || opened == read.clone().map(|url| ((), url)), "{opened:?}, not {read:?}");
    let url = read.ok()?;
    let written = url.to_signed_part();
    let again = RenditionUrl::parse(&written, none);
    assert_eq!(again, Ok(RenditionUrl { by_preset: false, ..url }), "written as {written:?}");
    let (limit, asked) = (8_192, url.recipe.width.max(url.recipe.height));
    let settled = url.recipe.settle(RenditionFormat::Jpeg, 80, limit);
    assert_eq!(settled.is_ok(), asked <= limit, "{settled:?}");
    let settled = settled.ok()?;
    assert!(settled.quality <= 100 && (settled.quality > 0) == (settled.format != RenditionFormat::Png), "{settled:?}");
    if let Gravity::Point { x, y } = settled.gravity {
        assert!(x.max(y) <= Gravity::POINT_WHOLE, "{settled:?}");
    }
    Some(settled)
}

/// A line with a request for an image as its path has it, and behind it eight bytes: the image's width and height, then what a site makes. The
/// canonical request is the same one, and its own canonical.
pub fn iiif_request(bytes: &[u8]) {
    let (line, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(text) = std::str::from_utf8(line) else { return };
    assert!(Identifier::open(text, [((), &key())]).is_err(), "nobody signed {text:?}");
    let number = |nth: usize| rest.get(1 + 2 * nth..).and_then(|rest| rest.first_chunk()).map_or(0, |pair| u16::from_be_bytes(*pair));
    let shown = (u32::from(number(0)).max(1), u32::from(number(1)).max(1));
    let bounds = Bounds { max_side: u32::from(number(2)).max(1), max_pixels: (u64::from(number(3)) << 8).max(1) };
    let parts: Option<Vec<String>> = text.split('/').take(5).map(percent::decoded).collect();
    let parts = parts.unwrap_or_default();
    let [region, size, rotation, file] = parts.iter().map(String::as_str).collect::<Vec<_>>()[..] else { return };
    let settle = |parts| ImageRequest::parse(parts).and_then(|request| request.settle(shown, bounds));
    let settled = match settle([region, size, rotation, file]) {
        Ok(settled) => settled,
        Err(error) => {
            assert!(["region", "size", "rotation", "quality", "format"].contains(&error.parameter()), "{error:?}");
            return;
        }
    };
    let recipe = &settled.recipe;
    let side = recipe.width.max(recipe.height);
    assert!(recipe.width > 0 && recipe.height > 0 && side <= bounds.max_side, "{settled:?} within {bounds:?}");
    assert!(u64::from(recipe.width) * u64::from(recipe.height) <= bounds.max_pixels, "{settled:?} within {bounds:?}");
    if let Some(part) = recipe.region {
        let ends = (u64::from(part.x) + u64::from(part.width), u64::from(part.y) + u64::from(part.height));
        assert!(part.width > 0 && part.height > 0 && ends.0 <= shown.0.into() && ends.1 <= shown.1.into(), "{settled:?} of {shown:?}");
    }
    let canonical: Vec<&str> = settled.canonical.split('/').collect();
    let again = canonical.try_into().map_err(|_| IiifError::NoIdentifier).and_then(settle);
    assert_eq!(again.as_ref(), Ok(&settled), "of {shown:?} within {bounds:?}");
}

#[cfg(test)]
mod tests {
    use crate::runtime::seeds::run;

    #[test]
    fn targets_of_urls_hold_for_their_seeds() {
        run(super::rendition_url, &["fuzz/seeds/rendition_url"]);
        run(super::iiif_request, &["fuzz/seeds/iiif_request"]);
    }

    #[test]
    fn targets_of_stored_renditions_hold_for_their_seeds() {
        run(super::rendition_entry, &["fuzz/seeds/rendition_entry"]);
        run(super::stored_preview, &["fuzz/seeds/stored_preview"]);
    }
}
