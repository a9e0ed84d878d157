//! Which photos are due.

use std::collections::HashSet;

use crate::blobs::{COLD_CODEC, MAX_COLD_BYTES};
use crate::config::{ColdConfig, ColdMode};
use crate::metadata::{BlobRow, Codec, Encoding, MetadataError, Page, Read};
use crate::model::{BlobHash, Format, TenantId};

/// Rows that are looked at at once.
const PAGE: usize = 256;
/// A blob with more references is in use, and left alone.
const MAX_REFS: usize = 1_000;
/// Tenants that are read at once.
const TENANTS: usize = 1_000;

/// The codec that this program writes, as rows have it.
pub(super) const CODEC: Codec = Codec { version: COLD_CODEC.version, flags: COLD_CODEC.flags };

/// What is to be done with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Recompress,
    Undo,
}

/// What the settings ask for, as of one moment.
#[derive(Debug)]
pub(super) struct Policy {
    mode: ColdMode,
    /// References that began later are too young.
    due_ms: u64,
    keep_raw: HashSet<TenantId>,
}

impl Policy {
    pub(super) fn read(at: &impl Read, settings: &ColdConfig, now_ms: u64) -> Result<Self, MetadataError> {
        let after_ms = u64::try_from(settings.after.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { mode: settings.mode, due_ms: now_ms.saturating_sub(after_ms), keep_raw: keep_raw(at, &settings.keep_raw_tenants)? })
    }

    fn pick(&self, at: &impl Read, row: &BlobRow) -> Result<Option<Pick>, MetadataError> {
        if row.damaged {
            return Ok(None);
        }
        let is_raw = row.encoding == Encoding::Raw;
        if self.mode == ColdMode::Undo {
            return Ok((!is_raw).then_some(Pick::Undo));
        }
        let was_tried = row.stays_raw.is_some_and(|tried| tried.codec == CODEC);
        if is_raw && (was_tried || row.size_bytes > MAX_COLD_BYTES as u64) || !is_raw && self.keep_raw.is_empty() {
            return Ok(None);
        }
        let references = at.list_refs(&row.key.hash, MAX_REFS)?;
        let is_refused = references.iter().any(|(owner, _, _)| self.keep_raw.contains(&owner.tenant));
        if !is_raw {
            return Ok(is_refused.then_some(Pick::Undo));
        }
        if is_refused || references.is_empty() || references.len() >= MAX_REFS {
            return Ok(None);
        }
        for (owner, photo, _) in references {
            let Some(photo) = at.photo_or_trashed(owner, photo)? else { return Ok(None) };
            if photo.format != Format::Jpeg.as_str() || photo.created.hlc.wall().0 > self.due_ms {
                return Ok(None);
            }
        }
        Ok(Some(Pick::Recompress))
    }
}

/// The tenants that are named. One that is not there is said: it may be misspelt.
fn keep_raw(at: &impl Read, named: &[String]) -> Result<HashSet<TenantId>, MetadataError> {
    let (mut missing, mut found): (HashSet<&str>, _) = (named.iter().map(String::as_str).collect(), HashSet::new());
    let mut after = None;
    while !missing.is_empty() {
        let page = at.list_tenants(after, TENANTS)?;
        for tenant in page.items {
            let is_named = missing.remove(tenant.name.as_str());
            if missing.remove(tenant.id.to_string().as_str()) || is_named {
                found.insert(tenant.id);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for name in missing {
        tracing::warn!(tenant = name, "cold.keep_raw_tenants names a tenant that is not there");
    }
    Ok(found)
}

/// The next blobs behind `after` with which something is to be done. A blob that any refusing tenant refers to stays raw, and so does one that came
/// anew since: its youngest reference says how old it is.
pub(super) fn pick(at: &impl Read, after: Option<BlobHash>, policy: &Policy) -> Result<Page<(BlobRow, Pick), BlobHash>, MetadataError> {
    let page = at.list_blobs(after, PAGE)?;
    let mut items = vec![];
    for row in page.items {
        items.extend(policy.pick(at, &row)?.map(|pick| (row, pick)));
    }
    Ok(Page { items, next: page.next })
}
