//! What the small files beside a photo say of it: Google's JSON and XMP.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::root::Root;
use crate::model::{BlobHash, TakenAt};

/// A sidecar that is larger is none.
const MAX_SIDECAR_BYTES: u64 = 1 << 20;
/// A reference's name, `;` and all, is shorter: what is longer is none.
const MAX_REFERENCE_BYTES: usize = 32;

/// What is known of a photo besides its bytes. Counts where the bytes themselves do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// When it was taken.
    pub taken_at: Option<TakenAt>,
    /// What its owner says of it.
    pub caption: Option<String>,
    /// What its bytes hash to.
    pub hash: Option<BlobHash>,
    /// Its owner had thrown it away.
    pub trashed: bool,
}

/// A file that says something of a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Where it lies, relative to the tree's root.
    pub path: PathBuf,
    /// What it is.
    pub kind: SidecarKind,
}

/// The kinds of sidecar that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidecarKind {
    /// Google Takeout's.
    Google,
    /// XMP, as Immich, Lightroom, darktable and digiKam write it (ISO 16684-1).
    Xmp,
}

impl Sidecar {
    /// Reads it. One that cannot be read, or makes no sense, says nothing: the photo is taken all the same.
    pub fn read(&self, root: &Root) -> Facts {
        let Ok(bytes) = root.small_file(&self.path, MAX_SIDECAR_BYTES) else { return Facts::default() };
        match self.kind {
            SidecarKind::Google => google(&bytes),
            SidecarKind::Xmp => xmp(&String::from_utf8_lossy(&bytes)),
        }
    }
}

/// The title that Google gave an album in its `metadata.json`; `None` where the file is not such a one.
pub(super) fn album_title(root: &Root, path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Album {
        title: Option<String>,
    }
    let album: Album = serde_json::from_slice(&root.small_file(path, MAX_SIDECAR_BYTES).ok()?).ok()?;
    album.title.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty())
}

fn google(bytes: &[u8]) -> Facts {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Photo {
        description: Option<String>,
        photo_taken_time: Option<Time>,
        trashed: Option<bool>,
    }
    #[derive(Deserialize)]
    struct Time {
        timestamp: Option<String>,
    }
    let Ok(photo) = serde_json::from_slice::<Photo>(bytes) else { return Facts::default() };
    let seconds = photo.photo_taken_time.and_then(|time| time.timestamp?.parse::<i64>().ok());
    // Zero is what Google writes where it knows nothing.
    let taken_at = seconds.filter(|seconds| *seconds != 0).and_then(|seconds| {
        let moment = jiff::Timestamp::from_second(seconds).ok()?;
        TakenAt::new(jiff::tz::Offset::UTC.to_datetime(moment), Some(0))
    });
    Facts { taken_at, caption: said(photo.description), hash: None, trashed: photo.trashed.unwrap_or_default() }
}

/// Reads what XMP says of date and description, as attributes or as elements. No parser of XML: names and quotes are enough, and whatever
/// else stands there is passed over.
fn xmp(text: &str) -> Facts {
    let dates = ["exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"];
    let taken_at = dates.into_iter().filter_map(|name| value(text, name)).find_map(|date| {
        let (date, offset) = date.split_at_checked(19)?;
        TakenAt::from_exif(
            date,
            None,
            Some(offset.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())).filter(|text| !text.is_empty()),
        )
    });
    let captions = ["dc:description", "tiff:ImageDescription"];
    let caption = captions.into_iter().find_map(|name| said(value(text, name)));
    Facts { taken_at, caption, hash: None, trashed: false }
}

/// The value of a property: `name="value"`, `<name>value</name>`, or the first item of a list in it.
fn value(text: &str, name: &str) -> Option<String> {
    for (at, _) in text.match_indices(name) {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        if before.ends_with('<') {
            let (_, inside) = after.split_once('>')?;
            let (inside, _) = inside.split_once(&format!("</{name}>"))?;
            let item = inside.split_once("<rdf:li").and_then(|(_, item)| item.split_once('>')?.1.split_once("</rdf:li>"));
            return Some(unescaped(item.map_or(inside, |(item, _)| item)));
        }
        if before.ends_with(char::is_whitespace)
            && let Some(quoted) = after.trim_start().strip_prefix('=')
        {
            let quoted = quoted.trim_start();
            let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            return quoted[1..].split_once(quote).map(|(value, _)| unescaped(value));
        }
    }
    None
}

/// The references that XML knows by itself, and numbers.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        // No further: where there is no `;` each `&` would look through all of the rest.
        let end = after.bytes().take(MAX_REFERENCE_BYTES).position(|byte| byte == b';');
        let Some((name, behind)) = end.and_then(|end| Some((after.get(..end)?, after.get(end + 1..)?))) else {
            plain.push('&');
            rest = after;
            continue;
        };
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => name.strip_prefix("#x").and_then(|hex| number(hex, 16)).or_else(|| number(name.strip_prefix('#')?, 10)),
        };
        match character {
            Some(character) => {
                plain.push(character);
                rest = behind;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// A text as a caption: `None` where it says nothing.
fn said(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(taken_at: Option<&str>, caption: Option<&str>) -> Facts {
        Facts { taken_at: taken_at.map(|time| time.parse().unwrap()), caption: caption.map(str::to_owned), ..Facts::default() }
    }

    #[test]
    fn what_google_says() {
        let json = r#"{"title": "IMG_1.jpg", "description": " By the lake ", "imageViews": "3",
            "photoTakenTime": {"timestamp": "1563105600", "formatted": "14.07.2019"}, "favorited": true}"#;
        assert_eq!(google(json.as_bytes()), facts(Some("2019-07-14T12:00:00Z"), Some("By the lake")));
        let old = r#"{"photoTakenTime": {"timestamp": "-86400"}, "description": "", "trashed": true}"#;
        assert_eq!(google(old.as_bytes()), Facts { trashed: true, ..facts(Some("1969-12-31T00:00:00Z"), None) });
        for nothing in
            [r#"{"photoTakenTime": {"timestamp": "0"}}"#, "{}", "[]", "no", r#"{"photoTakenTime": {"timestamp": "99999999999999999"}}"#]
        {
            assert_eq!(google(nothing.as_bytes()), Facts::default(), "{nothing}");
        }
    }

    #[test]
    fn what_xmp_says() {
        let elements = r#"<x:xmpmeta><rdf:RDF><rdf:Description rdf:about=''>
            <exif:DateTimeOriginal>2022-02-03T04:05:06.78+01:00</exif:DateTimeOriginal>
            <dc:description><rdf:Alt><rdf:li xml:lang='x-default'>Fish &amp; chips &#x2603;</rdf:li></rdf:Alt></dc:description>
            </rdf:Description></rdf:RDF></x:xmpmeta>"#;
        assert_eq!(xmp(elements), facts(Some("2022-02-03T04:05:06+01:00"), Some("Fish & chips ☃")));
        let attributes = r#"<rdf:Description xmp:CreateDate = "2020-01-01T00:00:00" tiff:ImageDescription='It&apos;s'/>"#;
        assert_eq!(xmp(attributes), facts(Some("2020-01-01T00:00:00"), Some("It's")));
        assert_eq!(xmp("<exif:DateTimeOriginal>soon</exif:DateTimeOriginal>"), Facts::default());
        assert_eq!(xmp("a & b &nonsense; &#xffffffff; dc:description"), Facts::default());
    }

    #[test]
    fn a_sidecar_of_ampersands_takes_no_time() {
        let text = "&".repeat(MAX_SIDECAR_BYTES as usize);
        assert_eq!(unescaped(&text), text);
        let far = format!("&{};", "a".repeat(MAX_REFERENCE_BYTES));
        assert_eq!(unescaped(&format!("{far}&lt;")), format!("{far}<"));
    }

    proptest! {
        #[test]
        fn no_sidecar_is_too_strange(text in "(<|>|/|&|;|=|'|\"|dc:description|exif:DateTimeOriginal|rdf:li| |[0-9é-]){0,60}", bytes in any::<Vec<u8>>()) {
            xmp(&text);
            google(&bytes);
        }
    }
}
