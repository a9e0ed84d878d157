//! Walking over what the service lists. Fails closed: a walk that ends without an error has seen all of it.

use std::ffi::OsStr;
use std::path::{Component, Path};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectMeta;

use super::calls::Calls;
use crate::blobs::error::INVENTORY_ENDED;
use crate::blobs::{BlobError, Inventory, InventoryItem, path};
use crate::model::{BlobHash, BlobKey};

/// Names that are asked for at once: as many as S3 gives.
const PAGE: usize = 1000;
/// Copies of one blob that are looked for.
const MAX_COPIES: usize = 10_000;

/// The keys of all copies under `hash`.
pub(super) async fn copies(calls: &Calls, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
    let prefix = calls.text_at(&path::copies_begin(hash).to_string_lossy());
    let (mut keys, mut after) = (vec![], None);
    while keys.len() < MAX_COPIES {
        let page = calls.list(&prefix, after.take(), PAGE).await?;
        let Some(last) = page.result.objects.last() else { break };
        after = Some(listed_name(calls, last));
        keys.extend(page.result.objects.iter().filter_map(|object| match item(calls, object) {
            Some(InventoryItem::Copy { key, .. }) if key.hash == *hash => Some(key),
            _ => None,
        }));
        if page.page_token.is_none() {
            break;
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Whether anything lies where copies do.
pub(super) async fn has_any(calls: &Calls) -> Result<bool, BlobError> {
    Ok(!calls.list(&blobs_prefix(calls), None, 1).await?.result.objects.is_empty())
}

/// The walk, a page of names at a time.
pub(super) struct ObjectInventory {
    calls: Arc<Calls>,
    walk: Walk,
}

/// How far it has come.
enum Walk {
    /// The name after which it goes on.
    At(Option<String>),
    Ended,
    /// It failed, or a call was given up half way.
    Failed,
}

impl ObjectInventory {
    pub(super) fn new(calls: Arc<Calls>) -> Self {
        Self { calls, walk: Walk::At(None) }
    }
}

#[async_trait]
impl Inventory for ObjectInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        loop {
            let after = match std::mem::replace(&mut self.walk, Walk::Failed) {
                Walk::At(after) => after,
                Walk::Ended => {
                    self.walk = Walk::Ended;
                    return Ok(None);
                }
                Walk::Failed => return Err(INVENTORY_ENDED),
            };
            let page = self.calls.list(&blobs_prefix(&self.calls), after.clone(), PAGE).await?;
            let objects = &page.result.objects;
            // Names come in ascending order, each once; what does not is no listing to collect by.
            let mut last = after.clone();
            for object in objects {
                let name = listed_name(&self.calls, object);
                if last.is_some_and(|last| last >= name) {
                    return Err(BlobError::Refused { reason: format!("the object store lists {name} out of order") });
                }
                last = Some(name);
            }
            let items: Vec<_> = objects.iter().filter_map(|object| item(&self.calls, object)).collect();
            if objects.is_empty() && after.is_none() {
                // A bucket that is gone would be an error, but another prefix lists nothing.
                require_store(&self.calls).await?;
            }
            self.walk = match last {
                Some(last) if page.page_token.is_some() && !objects.is_empty() => Walk::At(Some(last)),
                _ => Walk::Ended,
            };
            if !items.is_empty() {
                return Ok(Some(items));
            }
        }
    }
}

/// That there is a store where it was opened.
pub(super) async fn require_store(calls: &Calls) -> Result<(), BlobError> {
    calls.size(&calls.at(path::FORMAT.as_ref())).await.map(drop)
}

fn blobs_prefix(calls: &Calls) -> String {
    calls.text_at(path::BLOBS_BEGIN)
}

/// What a listed object is; `None` for one that stands for a directory, which says as little as an empty directory on a disk.
fn item(calls: &Calls, object: &ObjectMeta) -> Option<InventoryItem> {
    let relative = relative(calls, object);
    match key_at(relative) {
        Some(key) => Some(InventoryItem::Copy { key, size_bytes: object.size }),
        None => (!is_directory(calls, object)).then(|| InventoryItem::Foreign { path: relative.to_owned() }),
    }
}

fn relative<'a>(calls: &Calls, object: &'a ObjectMeta) -> &'a Path {
    let name = object.location.as_ref();
    Path::new(calls.relative(name).unwrap_or(name))
}

fn is_directory(calls: &Calls, object: &ObjectMeta) -> bool {
    object.size == 0 && path::is_copies_directory(relative(calls, object))
}

/// The name as the service has it: the slash at the end of a directory's is not told.
fn listed_name(calls: &Calls, object: &ObjectMeta) -> String {
    let name = object.location.to_string();
    if is_directory(calls, object) { name + "/" } else { name }
}

/// The key of a copy that lies there; `None` for anything else, also for a key that belongs elsewhere.
fn key_at(relative: &Path) -> Option<BlobKey> {
    let names: Vec<&OsStr> =
        relative.components().map(|part| if let Component::Normal(name) = part { Some(name) } else { None }).collect::<Option<_>>()?;
    let [top, first, second, name] = names[..] else { return None };
    let (first, second) = (path::parse_fan_out(first)?, path::parse_fan_out(second)?);
    (top == path::BLOBS).then(|| path::parse_copy(first, second, name))?
}
