//! ORF keeps its preview in the maker's own notes, where each directory counts from their beginning.

use super::Contents;
use crate::imaging::structure::directories::{Directory, Reader, tag};

const CAMERA_SETTINGS: u16 = 0x2020;
const PREVIEW_START: u16 = 0x101;
const PREVIEW_LENGTH: u16 = 0x102;

/// Takes the preview where there is one. The notes are undocumented: what does not look as expected is passed over.
pub(super) fn take_preview<'a>(bytes: &'a [u8], reader: Reader<'a>, first: Directory<'_>, contents: &mut Contents<'a>) {
    let _ = preview(bytes, reader, first, contents);
}

fn preview<'a>(bytes: &'a [u8], reader: Reader<'a>, first: Directory<'_>, contents: &mut Contents<'a>) -> Option<()> {
    let bounded = |directory: Directory<'a>| (directory.len() <= super::walk::MAX_ENTRIES).then_some(directory);
    let exif = bounded(reader.directory(reader.number(first.find(tag::EXIF)?, 0)?)?)?;
    let (notes_at, _) = reader.place(exif.find(tag::MAKER_NOTE)?)?;
    let notes = bytes.get(usize::try_from(notes_at).ok()?..)?;
    let (base, at) = match notes {
        _ if notes.starts_with(b"OLYMPUS\0") => (notes, 12),
        _ if notes.starts_with(b"OM SYSTEM\0\0\0") => (notes, 16),
        // The oldest count from the file's.
        _ if notes.starts_with(b"OLYMP\0") => (bytes, notes_at.checked_add(8)?),
        _ => return None,
    };
    let reader = reader.of(base);
    let settings = bounded(reader.directory(at)?)?.find(CAMERA_SETTINGS)?;
    // A pointer to a directory, or the directory itself as the value.
    let settings_at = if settings.count == 1 { reader.number(settings, 0)? } else { reader.place(settings)?.0 };
    let settings = bounded(reader.directory(settings_at)?)?;
    let number = |tag: u16| reader.number(settings.find(tag)?, 0);
    contents.take(base, number(PREVIEW_START)?, number(PREVIEW_LENGTH)?)
}
