//! What a site tells its edges: nodes that show renditions and have no metadata. An edge reads every tenant's keys and every photo, so its
//! token is one that an administrator of the site gave it.

mod feed;

use std::time::Duration;

use crate::metadata::{MetadataError, Read};
use crate::model::{BlobHash, HashPrefix, TenantId};

use super::rendition::{Catalogue as _, RenditionBasis};
use super::{BlobReader, Caller, Scope, ServiceError, Services, TenantUrls};

pub use feed::{Feed, FeedCursor, FeedEvent, FeedPage};

/// Beginnings of hashes that are asked of at once.
const ASKED_AT_ONCE: usize = 1_000;
/// Events that are told at once.
const TOLD_AT_ONCE: usize = 1_000;
/// How long news are waited for: so long an edge may not notice that its site has gone.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an edge has to know of a blob: all of it follows from the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeBlob {
    /// Width and height of the photo, as shown.
    pub shown: (u32, u32),
    /// Length in bytes.
    pub size_bytes: u64,
}

impl Services {
    /// All tenants with their keys, and what renditions at this site are a function of beside blob and recipe.
    ///
    /// # Errors
    /// `Forbidden` without the scope `edge`.
    pub async fn edge_tenants(&self, caller: &Caller) -> Result<(Vec<TenantUrls>, RenditionBasis), ServiceError> {
        caller.require(Scope::Edge)?;
        Ok((self.stores.tenants().await?, self.renditions.basis()))
    }

    /// What there is to know of a blob, where a user of the tenant has it, or, without a tenant, anybody.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` where nobody of them has it.
    pub async fn edge_blob(&self, caller: &Caller, hash: BlobHash, tenant: Option<TenantId>) -> Result<EdgeBlob, ServiceError> {
        caller.require(Scope::Edge)?;
        let shown = match tenant {
            Some(tenant) => self.stores.shown_to(tenant, hash).await?,
            None => self.stores.shown(hash).await?,
        };
        let shown = shown.ok_or(ServiceError::NotFound("image"))?;
        // One that is still to arrive at this site cannot be shown yet.
        let row = self.look_up(move |at| Ok(at.blob(&hash)?)).await?.ok_or(ServiceError::NotFound("image"))?;
        Ok(EdgeBlob { shown, size_bytes: row.size_bytes })
    }

    /// A blob's bytes, checked; those of one that anybody has.
    ///
    /// # Errors
    /// `Forbidden`; those of `open_blob`.
    pub async fn edge_bytes(&self, caller: &Caller, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        caller.require(Scope::Edge)?;
        let Ok(permit) = self.limits.downloads.clone().try_acquire_owned() else {
            return Err(ServiceError::Busy("too many downloads at once"));
        };
        let Some(share) = self.limits.download_shares.take(caller.owner) else {
            return Err(ServiceError::TooManyDownloads { limit: self.limits.download_shares.limit() });
        };
        if !self.look_up(move |at| Ok(at.is_referenced(&hash)?)).await? {
            return Err(ServiceError::NotFound("blob"));
        }
        Ok(self.open_blob(hash).await?.in_turn(permit, share))
    }

    /// A blob's preview as it is kept; where there is none yet, it is made in the background, for who asks next.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound`.
    pub async fn edge_preview(&self, caller: &Caller, hash: BlobHash) -> Result<bytes::Bytes, ServiceError> {
        caller.require(Scope::Edge)?;
        match self.renditions.stored_preview(hash).await? {
            Some(preview) => Ok(preview),
            None => {
                if self.stores.is_present(hash).await? {
                    self.renditions.prepare_later(hash);
                }
                Err(ServiceError::NotFound("preview"))
            }
        }
    }

    /// Which of these beginnings of hashes are those of no blob that anybody has.
    ///
    /// # Errors
    /// `Forbidden`; `TooLarge` for too many.
    pub async fn edge_unowned(&self, caller: &Caller, prefixes: Vec<HashPrefix>) -> Result<Vec<HashPrefix>, ServiceError> {
        caller.require(Scope::Edge)?;
        if prefixes.len() > ASKED_AT_ONCE {
            return Err(ServiceError::TooLarge(format!("at most {ASKED_AT_ONCE} at once")));
        }
        self.read_of(caller.owner, move |at| Ok(unowned(at, prefixes)?)).await
    }

    /// What edges have to forget, see [`Feed::after`]; `wait` is cut to ten seconds.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn edge_feed(&self, caller: &Caller, cursor: Option<FeedCursor>, wait: Duration) -> Result<FeedPage, ServiceError> {
        caller.require(Scope::Edge)?;
        Ok(self.feed.after(cursor, TOLD_AT_ONCE, wait.min(LONGEST_WAIT)).await)
    }
}

/// Which of these beginnings of hashes are those of no blob that anybody has.
pub(super) fn unowned(at: &impl Read, prefixes: Vec<HashPrefix>) -> Result<Vec<HashPrefix>, MetadataError> {
    let mut unowned = vec![];
    for prefix in prefixes {
        if !at.is_any_referenced(prefix)? {
            unowned.push(prefix);
        }
    }
    Ok(unowned)
}
