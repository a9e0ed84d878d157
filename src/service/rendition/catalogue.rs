//! What renditions ask before they are shown or made: whose keys, whose blobs, which bytes.

use std::fmt::Debug;

use async_trait::async_trait;

use super::shown::{ROWS, shown_size};
use crate::metadata::Read;
use crate::model::tenant::{RenditionSettings, SigningKey, TenantView};
use crate::model::{BlobHash, TenantId};
use crate::service::stores::Stores;
use crate::service::{BlobReader, ServiceError};

/// Tenants read at once.
const PAGE: usize = 1_000;

/// A tenant, as far as its rendition URLs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantUrls {
    /// Which.
    pub id: TenantId,
    /// What its URLs are signed with: any of these.
    pub signing_keys: Vec<SigningKey>,
    /// What else holds for them.
    pub settings: RenditionSettings,
}

/// Who knows tenants and photos: the site's stores, or, for an edge, a site that it asks. Errors are those of [`ServiceError`]; that somebody
/// cannot be asked is never told as absence.
#[async_trait]
pub trait Catalogue: Send + Sync + Debug + 'static {
    /// All tenants.
    async fn tenants(&self) -> Result<Vec<TenantUrls>, ServiceError>;

    /// Whether any user of a tenant has a blob.
    async fn tenant_owns(&self, tenant: TenantId, hash: BlobHash) -> Result<bool, ServiceError>;

    /// Width and height as shown of a photo that a user of the tenant has; `None` where none has.
    async fn shown_to(&self, tenant: TenantId, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError>;

    /// The same, whosever it is: for what was asked for by somebody who may.
    async fn shown(&self, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError>;

    /// A tenant that has a blob, the same as long as it has it; `None` where none has, or none is known.
    async fn tenant_of(&self, hash: BlobHash) -> Result<Option<TenantId>, ServiceError>;

    /// Whether the blob is here, damaged or not.
    async fn is_present(&self, hash: BlobHash) -> Result<bool, ServiceError>;

    /// Its bytes: what is read whole is what the hash names.
    ///
    /// # Errors
    /// `Damaged` where no good copy can be had; `NotFound` where nobody has it.
    async fn open(&self, hash: BlobHash) -> Result<BlobReader, ServiceError>;
}

impl From<TenantView> for TenantUrls {
    fn from(tenant: TenantView) -> Self {
        Self { id: tenant.id, signing_keys: tenant.signing_keys, settings: tenant.renditions }
    }
}

#[async_trait]
impl Catalogue for Stores {
    async fn tenants(&self) -> Result<Vec<TenantUrls>, ServiceError> {
        let all = self.read(|at| {
            let (mut tenants, mut after) = (vec![], None);
            loop {
                let page = at.list_tenants(after, PAGE)?;
                tenants.extend(page.items.into_iter().map(TenantUrls::from));
                after = page.next;
                if after.is_none() {
                    return Ok(tenants);
                }
            }
        });
        all.await
    }

    async fn tenant_owns(&self, tenant: TenantId, hash: BlobHash) -> Result<bool, ServiceError> {
        self.look_up(move |at| Ok(at.tenant_owns(tenant, &hash)?)).await
    }

    async fn shown_to(&self, tenant: TenantId, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        self.look_up(move |at| Ok(shown_size(at, at.list_refs_of_tenant(tenant, &hash, ROWS)?, &hash)?)).await
    }

    async fn shown(&self, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        self.look_up(move |at| {
            let rows = at.list_refs(&hash, ROWS)?.into_iter().map(|(owner, row, _)| (owner, row)).collect();
            Ok(shown_size(at, rows, &hash)?)
        })
        .await
    }

    async fn tenant_of(&self, hash: BlobHash) -> Result<Option<TenantId>, ServiceError> {
        self.look_up(move |at| Ok(at.list_refs(&hash, 1)?.first().map(|(owner, ..)| owner.tenant))).await
    }

    async fn is_present(&self, hash: BlobHash) -> Result<bool, ServiceError> {
        self.look_up(move |at| Ok(at.blob(&hash)?.is_some())).await
    }

    async fn open(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        self.open_blob(hash).await
    }
}
