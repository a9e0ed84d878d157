//! One rendition in a file: its name says which, its header whether the bytes are whole.

use std::fmt;
use std::io::Read;

use crate::model::{BlobHash, HashPrefix};
use crate::service::rendition_url::RenditionFormat;

/// What the file begins with; another layout gets another.
const MAGIC: &[u8; 20] = b"halidom rendition 1\n";
/// Magic, format 1, length of the image 8, BLAKE3 32.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + 1 + 8 + 32;
/// A larger image is not kept.
pub(super) const MAX_IMAGE_BYTES: usize = 32 << 20;
/// Half of a name.
const HALF: usize = 16;

/// Of which blob, then which rendition of it: the first half of the blob's hash and the rendition's tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct EntryName([u8; 2 * HALF]);

impl EntryName {
    /// `tag`: BLAKE3 over all that the bytes are a function of.
    pub(in super::super) fn new(hash: &BlobHash, tag: &blake3::Hash) -> Self {
        let mut name = [0; 2 * HALF];
        let (blob, rendition) = name.split_at_mut(HALF);
        blob.copy_from_slice(first_half(hash.as_bytes()));
        rendition.copy_from_slice(first_half(tag.as_bytes()));
        Self(name)
    }

    /// As it is written; `None` for any other text.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let name = Self(blake3::Hash::from_hex(text).ok()?.into());
        (name.to_string() == text).then_some(name)
    }

    /// Of which blob.
    pub(super) fn blob(&self) -> HashPrefix {
        BlobHash::from(blake3::Hash::from(self.0)).prefix()
    }
}

fn first_half(bytes: &[u8; 2 * HALF]) -> &[u8] {
    bytes.split_at(HALF).0
}

/// 64 lowercase hex digits.
impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum EntryError {
    /// These are not the bytes that were written: drop it.
    #[error("it is not what was written")]
    Damaged,
    /// The system would not give them.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What stands before the image.
pub(in super::super) fn header(name: &EntryName, format: RenditionFormat, image: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.push(code(format));
    header.extend_from_slice(&(image.len() as u64).to_be_bytes());
    header.extend_from_slice(check(name, format, image).as_bytes());
    header
}

/// Reads the entry of this name from a file of `size` bytes. Whatever lies there, no more than `size` is read, and no more than is ever written.
pub(in super::super) fn read(name: &EntryName, size: u64, file: &mut impl Read) -> Result<(Vec<u8>, RenditionFormat), EntryError> {
    let mut header = [0; HEADER_BYTES];
    let length = size.checked_sub(HEADER_BYTES as u64).ok_or(EntryError::Damaged)?;
    whole(file.read_exact(&mut header))?;
    let rest = header.strip_prefix(MAGIC.as_slice()).ok_or(EntryError::Damaged)?;
    let (&format, rest) = rest.split_first().ok_or(EntryError::Damaged)?;
    let (said, expected) = rest.split_first_chunk::<8>().ok_or(EntryError::Damaged)?;
    let format = [RenditionFormat::Jpeg, RenditionFormat::Png, RenditionFormat::WebP, RenditionFormat::Avif]
        .into_iter()
        .find(|known| code(*known) == format)
        .ok_or(EntryError::Damaged)?;
    let image_bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= MAX_IMAGE_BYTES).ok_or(EntryError::Damaged)?;
    if u64::from_be_bytes(*said) != length {
        return Err(EntryError::Damaged);
    }
    let mut image = vec![0; image_bytes];
    whole(file.read_exact(&mut image))?;
    if check(name, format, &image).as_bytes().as_slice() != expected {
        return Err(EntryError::Damaged);
    }
    Ok((image, format))
}

/// A file that ends early is damaged, not unreadable.
fn whole(read: std::io::Result<()>) -> Result<(), EntryError> {
    read.map_err(|error| if error.kind() == std::io::ErrorKind::UnexpectedEof { EntryError::Damaged } else { error.into() })
}

/// Covers the name too, so that a file under another's name is no entry.
fn check(name: &EntryName, format: RenditionFormat, image: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("halidom 2026-11 rendition on disk");
    hasher.update(&name.0);
    hasher.update(&[code(format)]);
    hasher.update(image);
    hasher.finalize()
}

/// As it is stored: never another number for the same format.
fn code(format: RenditionFormat) -> u8 {
    match format {
        RenditionFormat::Jpeg => 0,
        RenditionFormat::Png => 1,
        RenditionFormat::WebP => 2,
        RenditionFormat::Avif => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_that_changed_is_noticed_and_any_cut() {
        let (name, image) = (EntryName::new(&BlobHash::of(b"blob"), &blake3::hash(b"recipe")), b"picture".as_slice());
        let stored = [header(&name, RenditionFormat::WebP, image).as_slice(), image].concat();
        let read_of = |name: &EntryName, bytes: &[u8]| read(name, bytes.len() as u64, &mut &*bytes);
        assert_eq!(read_of(&name, &stored).unwrap(), (image.to_vec(), RenditionFormat::WebP));
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 1;
            assert!(matches!(read_of(&name, &flipped), Err(EntryError::Damaged)), "byte {at}");
            assert!(matches!(read_of(&name, &stored[..at]), Err(EntryError::Damaged)), "cut at {at}");
            assert!(matches!(read(&name, stored.len() as u64, &mut &stored[..at]), Err(EntryError::Damaged)), "ends at {at}");
        }
        let other = EntryName::new(&BlobHash::of(b"blob"), &blake3::hash(b"another recipe"));
        assert!(matches!(read_of(&other, &stored), Err(EntryError::Damaged)));
    }

    #[test]
    fn nothing_is_read_that_is_larger_than_what_is_written() {
        let name = EntryName::new(&BlobHash::of(b"blob"), &blake3::hash(b"recipe"));
        for (bytes, is_read) in [(MAX_IMAGE_BYTES, true), (MAX_IMAGE_BYTES + 1, false)] {
            let image = vec![0; bytes];
            let stored = [header(&name, RenditionFormat::Png, &image), image].concat();
            assert_eq!(read(&name, stored.len() as u64, &mut stored.as_slice()).is_ok(), is_read, "{bytes}");
        }
    }

    #[test]
    fn a_name_is_read_back_and_no_other_text_is_one() {
        let name = EntryName::new(&BlobHash::of(b"blob"), &blake3::hash(b"recipe"));
        let text = name.to_string();
        assert_eq!(EntryName::parse(&text), Some(name));
        assert_eq!(name.blob(), BlobHash::of(b"blob").prefix());
        for other in [&text[1..], &text.to_uppercase(), "", "lock", &format!("{text}0")] {
            assert_eq!(EntryName::parse(other), None, "{other}");
        }
    }
}
