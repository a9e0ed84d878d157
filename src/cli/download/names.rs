//! Names that are safe in any file system, and unique.

use std::collections::{HashMap, HashSet};

/// The longest file name in bytes that every common file system takes is 255; some room is left for what makes it unique.
const LONGEST: usize = 240;
/// What a photo is called whose name has nothing usable in it.
const NAMELESS: &str = "photo";
/// Names that Windows keeps for devices, whatever follows the first dot.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];

/// A name of one path component, on any system: no separators, no control characters, nothing that means a directory or hides the file,
/// no trailing dots or spaces, at most 240 bytes, with the extension kept.
pub(super) fn safe_name(name: &str) -> String {
    let replaced: String =
        name.chars()
            .map(|c| {
                if c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || is_invisible(c) { '_' } else { c }
            })
            .collect();
    // A leading dot would hide the photo, and could name one of our own partial files.
    let trimmed = replaced.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    let (stem, extension) = split(trimmed);
    let stem = if stem.is_empty() { NAMELESS } else { stem };
    let stem = shortened(stem, LONGEST - extension.len()).trim_end_matches([' ', '.']);
    let mut safe = format!("{stem}{extension}");
    let first = safe.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let bare = first.trim_end_matches(|c: char| c.is_ascii_digit());
    if DEVICES.contains(&first.as_str()) || (DEVICES[4..].contains(&bare) && first.len() == 4) {
        safe.insert(0, '_');
    }
    safe
}

/// Characters that reorder or hide the text around them, so that a name would look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Stem, and extension with its dot; an extension is short and of letters and digits, or it is none.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if name.len() - dot <= 16 && name[dot + 1..].chars().all(char::is_alphanumeric) => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The longest beginning of at most `limit` bytes that ends between two characters.
fn shortened(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The names that are given away in one directory. Names that differ only in case count as the same: some file systems think so.
#[derive(Debug, Default)]
pub(in crate::cli) struct NameBook {
    taken: HashSet<String>,
    /// For each name that was asked for, a number below which all of its [`Candidates`] are given away: an album may have 100,000 photos of one name.
    given: HashMap<String, u64>,
}

impl NameBook {
    /// The names that a photo may get, in order.
    pub(in crate::cli) fn candidates(&mut self, name: &str) -> Candidates {
        let name = safe_name(name);
        let next = self.given.entry(folded(&name)).or_insert(1);
        while self.taken.contains(&folded(&numbered(&name, *next))) {
            *next += 1;
        }
        Candidates { name, next: *next }
    }

    /// The first of them, where it is not given away.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        Some(safe_name(name)).filter(|name| self.is_free(name))
    }

    /// Gives a name away.
    pub(in crate::cli) fn take(&mut self, name: &str) {
        self.taken.insert(folded(name));
    }

    fn is_free(&self, name: &str) -> bool {
        !self.taken.contains(&folded(name))
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// `a.jpg`, `a (2).jpg`, `a (3).jpg`, …
#[derive(Debug)]
pub(in crate::cli) struct Candidates {
    name: String,
    next: u64,
}

/// The name's nth candidate, from one.
fn numbered(name: &str, number: u64) -> String {
    if number == 1 {
        return name.into();
    }
    let (stem, extension) = split(name);
    format!("{stem} ({number}){extension}")
}

impl Candidates {
    /// The next one that is not given away.
    pub(in crate::cli) fn next_free(&mut self, names: &NameBook) -> String {
        loop {
            let name = numbered(&self.name, self.next);
            self.next += 1;
            if names.is_free(&name) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_they_come_out() {
        for (name, safe) in [
            ("IMG_0001.JPG", "IMG_0001.JPG"),
            ("Größe ☃.jpeg", "Größe ☃.jpeg"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..", "photo"),
            ("", "photo"),
            (".jpg", "jpg"),
            (".halidom-x.part", "halidom-x.part"),
            ("a/b\\c.png", "a_b_c.png"),
            ("a\u{0}\n\u{1b}b.jpg", "a___b.jpg"),
            ("gpj.\u{202e}evil.exe", "gpj._evil.exe"),
            ("con.jpg", "_con.jpg"),
            ("LPT1", "_LPT1"),
            ("COMET.jpg", "COMET.jpg"),
            ("trailing. . ", "trailing"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
        let long = safe_name(&format!("{}.jpeg", "é".repeat(500)));
        assert!(long.len() <= LONGEST && long.ends_with(".jpeg"));
    }

    #[test]
    fn the_same_name_again_gets_a_number() {
        let mut names = NameBook::default();
        let mut give = |name: &str| {
            let given = names.candidates(name).next_free(&names);
            names.take(&given);
            given
        };
        assert_eq!(["a.jpg", "A.JPG", "a.jpg", "b"].map(&mut give), ["a.jpg", "A (2).JPG", "a (3).jpg", "b"]);
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_safe_component(name in any::<String>()) {
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= LONGEST + 1);
            prop_assert!(!safe.starts_with('.') && !safe.ends_with(['.', ' ']), "{:?}", safe);
            prop_assert!(!safe.contains(['/', '\\']) && !safe.chars().any(char::is_control), "{:?}", safe);
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
            prop_assert_eq!(safe_name(&safe), safe.clone(), "once is enough");
        }

        #[test]
        fn given_names_are_unique_whatever_the_case(list in proptest::collection::vec("[aA.]{1,3}( \\([23]\\))?(\\.jpg)?", 0..40)) {
            let mut names = NameBook::default();
            let mut given = HashSet::new();
            for name in list {
                let name = names.candidates(&name).next_free(&names);
                names.take(&name);
                prop_assert!(given.insert(name.to_lowercase()), "{} twice", name);
            }
        }
    }
}
