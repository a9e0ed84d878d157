//! Immich's own folders: `library/{user}/…` by its storage template, or `upload/{user}/ab/cd/{id}.jpg` without one. `thumbs`, `encoded-video`,
//! `profile` and `backups` are made from those, or nobody's photos. `x.jpg.xmp` stands beside `x.jpg`.
//!
//! A template may put the album into the path; its other parts are mostly dates ("2022/2022-02-03"). So the album is what is no date, and
//! where all are dates the first of them, the year.

use std::ffi::OsStr;
use std::path::Path;

use super::text;

/// Folders beside the library that hold no originals.
const DERIVED: [&str; 4] = ["thumbs", "encoded-video", "profile", "backups"];
/// Folders that hold originals, a user each.
const ORIGINALS: [&str; 2] = ["library", "upload"];
const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
/// The album of what was stored without a template.
const NAMELESS: &str = "Immich";

/// Whether the walk goes into a folder.
pub(in crate::trees) fn enters(folder: &Path) -> bool {
    !DERIVED.iter().any(|derived| folder == Path::new(derived))
}

/// User and album of what lies in a folder, relative to the root.
pub(in crate::trees) fn place(root_name: &OsStr, folder: &Path) -> (Option<String>, String) {
    let parts: Vec<_> = folder.components().map(|part| text(part.as_os_str())).collect();
    let (user, rest) = match &parts[..] {
        [top, user, rest @ ..] if ORIGINALS.contains(&top.as_str()) => (Some(user.clone()), rest),
        [user, rest @ ..] if ORIGINALS.iter().any(|top| root_name == *top) => (Some(user.clone()), rest),
        rest => (None, rest),
    };
    let named: Vec<_> = rest.iter().filter(|part| !is_date(part) && !is_shard(part)).map(String::as_str).collect();
    let album = match (named.is_empty(), rest.iter().find(|part| is_date(part))) {
        (false, _) => named.join(" / "),
        (true, Some(date)) => date.clone(),
        (true, None) => NAMELESS.to_owned(),
    };
    (user, album)
}

fn is_date(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    // Two digits alone may be a shard's name, and are the month's: neither names an album.
    let numbers = digits > 0 && part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b' '));
    let word = part.trim_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | ' ')).to_ascii_lowercase();
    (numbers && digits != 2) || MONTHS.iter().any(|month| *month == word || word.len() == 3 && month.starts_with(&word))
}

/// Two hex digits: a month or a day, or a shard of `upload`.
fn is_shard(part: &str) -> bool {
    part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_albums_are_told_from_dates() {
        for (root, folder, user, album) in [
            ("immich", "library/ann/2022/2022-02-03", Some("ann"), "2022"),
            ("immich", "library/ann/2022/02", Some("ann"), "2022"),
            ("immich", "library/ann/2022/Ski/03 - March", Some("ann"), "Ski"),
            ("immich", "library/ann/Albums/Ski", Some("ann"), "Albums / Ski"),
            ("immich", "upload/0197/ab/0d", Some("0197"), "Immich"),
            ("library", "ann/2022", Some("ann"), "2022"),
            ("ann", "2022/2022-02", None, "2022"),
            ("ann", "", None, "Immich"),
        ] {
            assert_eq!(place(OsStr::new(root), Path::new(folder)), (user.map(str::to_owned), album.to_owned()), "{folder}");
        }
        assert!(!enters(Path::new("thumbs")) && enters(Path::new("library")) && enters(Path::new("library/thumbs")));
    }
}
