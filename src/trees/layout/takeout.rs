//! Google Takeout's export of Google Photos.
//!
//! `Takeout/Google Photos/{album}/` holds an album's photos, a JSON file beside each, and one of the album. Every photo lies in a folder of
//! its year, too ("Photos from 2019"), whether it is in an album or not: a year is no album, but what is in none has to go somewhere.
//!
//! The JSON of `x.jpg` is `x.jpg.json`, or since 2024 `x.jpg.supplemental-metadata.json`; names are cut so that the whole has 51 characters, in the
//! middle of that word too. Of photos of one name the number stands elsewhere: `x(1).jpg` has `x.jpg(1).json` or
//! `x.jpg.supplemental-metadata(1).json`. An edited `x-edited.jpg` shares the JSON of `x.jpg`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::split;

/// What the folder of all is called, by language.
pub(in crate::trees) const HOMES: &[&str] = &[
    "Google Photos",
    "Google Fotos",
    "Google Foto",
    "Google\u{a0}Photos",
    "Google Foto's",
    "Google Zdjęcia",
    "Google Фото",
    "Google フォト",
];
/// What the year's folder is called, by language: this and the year.
const YEARS: &[&str] = &[
    "Photos from",
    "Fotos von",
    "Fotos aus",
    "Photos de",
    "Photos du",
    "Fotos de",
    "Fotos del",
    "Fotos desde",
    "Foto del",
    "Foto da",
    "Foto dal",
    "Foto's uit",
    "Foto’s uit",
    "Foton från",
    "Bilder från",
    "Bilder fra",
    "Billeder fra",
    "Fotky z",
    "Zdjęcia z",
    "Kuvat vuodelta",
];
/// What the album's own file is called, by language.
pub(in crate::trees) const ALBUM_FILES: &[&str] =
    &["metadata.json", "Metadaten.json", "métadonnées.json", "metadatos.json", "metadati.json", "metadados.json", "metagegevens.json"];
/// What an edited photo's name ends with, by language.
const EDITED: &[&str] = &["-edited", "-bearbeitet", "-modifié", "-editado", "-modificato", "-bewerkt", "-edytowane", "-redigerad"];
/// The word of newer exports.
const SUPPLEMENT: &str = "supplemental-metadata";
/// What is left of a name that was cut, before `.json`.
const LONGEST: usize = 46;

/// Whether a folder is a year's, and no album.
pub(in crate::trees) fn is_year(folder: &OsStr) -> bool {
    let Some((words, year)) = folder.to_str().and_then(|name| name.rsplit_once([' ', '\u{a0}'])) else { return false };
    year.len() == 4
        && (year.starts_with("19") || year.starts_with("20"))
        && year.bytes().all(|b| b.is_ascii_digit())
        && YEARS.contains(&words)
}

/// The JSON files of a folder, to be found by photo.
#[derive(Debug)]
pub(in crate::trees) struct Sidecars {
    /// By the name in it without its number, and the number.
    by_name: HashMap<(String, Option<u32>), OsString>,
}

impl Sidecars {
    pub(in crate::trees) fn of(files: &[OsString]) -> Self {
        let mut by_name = HashMap::new();
        for file in files {
            let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            by_name.entry(unnumbered(name)).or_insert_with(|| file.clone());
        }
        Self { by_name }
    }

    /// The JSON of a photo.
    pub(in crate::trees) fn of_photo(&self, photo: &str) -> Option<&OsString> {
        let (stem, extension) = split(photo);
        let (stem, number) = unnumbered(stem);
        let original = EDITED.iter().find_map(|ending| stem.strip_suffix(ending));
        // A number may belong to the name: it was there before Google gave any.
        let as_it_is = (photo.to_owned(), None);
        let names =
            [Some((format!("{stem}{extension}"), number)), original.map(|stem| (format!("{stem}{extension}"), number)), Some(as_it_is)];
        names.into_iter().flatten().find_map(|(name, number)| self.named(&name, number))
    }

    fn named(&self, name: &str, number: Option<u32>) -> Option<&OsString> {
        let find = |key: &str| self.by_name.get(&(key.to_owned(), number));
        if let Some(found) = find(name) {
            return Some(found);
        }
        let characters = name.chars().count();
        if characters > LONGEST {
            return find(&name.chars().take(LONGEST).collect::<String>());
        }
        // The longest part of the word that is there.
        (0..=SUPPLEMENT.len())
            .rev()
            .filter(|cut| characters + 1 + cut <= LONGEST)
            .find_map(|cut| find(&format!("{name}.{}", &SUPPLEMENT[..cut])))
    }
}

/// `x(1)` is `x` and 1.
fn unnumbered(name: &str) -> (String, Option<u32>) {
    let numbered = name.strip_suffix(')').and_then(|name| name.rsplit_once('('));
    match numbered.and_then(|(name, number)| Some((name, number.parse().ok().filter(|_| number.len() < 5 && !number.starts_with('+'))?))) {
        Some((name, number)) if !name.is_empty() => (name.to_owned(), Some(number)),
        _ => (name.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn years_are_no_albums() {
        for name in ["Photos from 2019", "Fotos von 1998", "Photos de 2020", "Foto's uit 2021"] {
            assert!(is_year(OsStr::new(name)), "{name}");
        }
        for name in ["Ski 2019", "Photos from", "Photos from 219", "2019", "Photos from Ann", "Photos from 3019"] {
            assert!(!is_year(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn every_photo_finds_its_json() {
        for (photo, json) in [
            ("x.jpg", "x.jpg.json"),
            ("x.jpg", "x.jpg.supplemental-metadata.json"),
            ("x(1).jpg", "x.jpg(1).json"),
            ("x(1).jpg", "x.jpg.supplemental-metadata(1).json"),
            ("x(1).jpg", "x(1).jpg.json"),
            ("x-edited.jpg", "x.jpg.json"),
            ("x-bearbeitet(2).jpg", "x.jpg.supplemental-metadata(2).json"),
            ("IMG_20190714_120000_a_rather_long.jpg", "IMG_20190714_120000_a_rather_long.jpg.suppleme.json"),
            ("a_name_that_is_so_long_that_nothing_else_fits_in.jpg", "a_name_that_is_so_long_that_nothing_else_fits_.json"),
            ("exactly_forty_five_characters_of_a_name__.jpg", "exactly_forty_five_characters_of_a_name__.jpg..json"),
        ] {
            let others = ["y.jpg.json", "metadata.json", "x.jpg(3).json"].map(OsString::from);
            let files = [&others[..], &[json.into()]].concat();
            assert_eq!(Sidecars::of(&files).of_photo(photo), Some(&json.into()), "{photo}");
            assert_eq!(Sidecars::of(&others).of_photo(photo), None, "{photo}");
        }
    }

    /// What Google makes of a photo's name: the name of its JSON.
    fn json_of(name: &str, number: Option<u32>, newer: bool) -> String {
        let full = if newer { format!("{name}.{SUPPLEMENT}") } else { name.to_owned() };
        let cut: String = full.chars().take(LONGEST).collect();
        format!("{cut}{}.json", number.map_or_else(String::new, |number| format!("({number})")))
    }

    proptest! {
        #[test]
        fn photos_of_one_folder_find_their_own(names in proptest::collection::btree_set("[a-cé_]{1,60}", 1..8), numbers in 0_u32..3, newer in any::<bool>()) {
            let numbered: Vec<Option<u32>> = std::iter::once(None).chain((1..=numbers).map(Some)).collect();
            let pairs: Vec<_> = names.iter().flat_map(|stem| numbered.iter().map(move |number| {
                let photo = format!("{stem}{}.jpg", number.map_or_else(String::new, |number| format!("({number})")));
                (photo, json_of(&format!("{stem}.jpg"), *number, newer))
            })).collect();
            // Long names that were cut to the same are Google's own muddle.
            let distinct: std::collections::BTreeSet<_> = pairs.iter().map(|(_, json)| json).collect();
            prop_assume!(distinct.len() == pairs.len());
            let files: Vec<OsString> = pairs.iter().map(|(_, json)| json.into()).collect();
            let sidecars = Sidecars::of(&files);
            for (photo, json) in &pairs {
                prop_assert_eq!(sidecars.of_photo(photo), Some(&OsString::from(json)), "{}", photo);
            }
        }
    }
}
