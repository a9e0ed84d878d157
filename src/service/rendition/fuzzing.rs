//! What lies in caches and stores as anything could have written it: what is taken for good is what was written.

use bytes::Bytes;

use super::disk::entry::{self, EntryError, EntryName};
use super::preview::{MAGIC, Preview, Source};
use crate::model::BlobHash;
use crate::service::rendition_url::RenditionFormat;

/// The first bytes say where one is changed; the rest is an image.
fn damage(bytes: &[u8]) -> Option<(usize, u8, &[u8])> {
    let ([at_high, at_low, change], image) = bytes.split_first_chunk::<3>()?;
    Some((usize::from(u16::from_be_bytes([*at_high, *at_low])), *change, image))
}

/// Changes a byte; answers whether that made a difference.
fn changed(record: &mut [u8], at: usize, change: u8) -> bool {
    let at = at % record.len().max(1);
    record.get_mut(at).is_some_and(|byte| {
        *byte ^= change;
        change != 0
    })
}

/// An entry of the cache on disk: one that was written is read, one that is damaged is not, and no other text or file is one.
pub fn rendition_entry(bytes: &[u8]) {
    let name = EntryName::new(&BlobHash::of(b"photo"), &blake3::hash(b"recipe"));
    let read = |file: &[u8]| entry::read(&name, file.len() as u64, &mut &*file);
    if let Some(text) = std::str::from_utf8(bytes).ok().and_then(EntryName::parse) {
        assert_eq!(text.to_string().as_bytes(), bytes);
    }
    if let Ok((image, format)) = read(bytes) {
        assert_eq!([entry::header(&name, format, &image), image].concat(), bytes);
    }
    let Some((at, change, image)) = damage(bytes) else { return };
    let mut file = [entry::header(&name, RenditionFormat::WebP, image).as_slice(), image].concat();
    if changed(&mut file, at, change) {
        assert!(matches!(read(&file), Err(EntryError::Damaged)), "byte {at} changed by {change}");
    } else {
        assert_eq!(read(&file).expect("it is whole"), (image.to_vec(), RenditionFormat::WebP));
    }
}

/// A stored preview: likewise.
pub fn stored_preview(bytes: &[u8]) {
    let of = Source { hash: BlobHash::of(b"photo"), max_embedded_bytes: 1 << 20 };
    let readable = |record: &[u8]| Preview::from_record(of, &Bytes::copy_from_slice(record));
    if let Some(preview) = readable(bytes) {
        assert_eq!(preview.to_record(of), bytes);
    }
    let Some((at, change, picture)) = damage(bytes) else { return };
    let preview = Preview { shown: (4_000, 3_000), picture: Bytes::copy_from_slice(picture) };
    let mut record = preview.to_record(of).to_vec();
    assert!(record.starts_with(MAGIC));
    if changed(&mut record, at, change) {
        assert_eq!(readable(&record), None, "byte {at} changed by {change}");
    } else {
        assert_eq!(readable(&record), Some(preview));
    }
}
