//! Whose photo it is that is decoded: processes that decode one tenant's photos decode no other's (decision 0017).

use super::RenditionService;
use crate::imaging::Decoders;
use crate::model::BlobHash;
use crate::service::ServiceError;

impl RenditionService {
    /// These decoders, for this photo. Of one that several tenants have it is one of these, whoever asks: the bytes are the same.
    ///
    /// # Errors
    /// Where it cannot be told now.
    pub(super) async fn apart(&self, decoders: &Decoders, hash: BlobHash) -> Result<Decoders, ServiceError> {
        Ok(decoders.of_tenant(self.catalogue.tenant_of(hash).await?))
    }
}
