//! How large a photo is shown, as its rows say.

use crate::metadata::{MetadataError, Read};
use crate::model::{BlobHash, Owner, PhotoId, RowKey, photo};

/// Rows looked at for how large a photo is. One does, but where two sites gave one id to different bytes.
pub(super) const ROWS: usize = 8;

/// Width and height as shown, as one of these rows says that has these bytes; `None` where none has.
pub(super) fn shown_size(at: &impl Read, rows: Vec<(Owner, PhotoId)>, hash: &BlobHash) -> Result<Option<(u32, u32)>, MetadataError> {
    for (owner, row) in rows {
        let key = RowKey::photo(owner, row);
        if let Some(photo) = photo::all(&key, &at.births(&key)?).into_iter().find(|photo| photo.hash == *hash) {
            return Ok(Some((photo.width, photo.height)));
        }
    }
    Ok(None)
}
