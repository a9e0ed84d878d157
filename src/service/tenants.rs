//! Tenants: the banners of the platform.

use crate::metadata::{Page, Read};
use crate::model::TenantId;
use crate::model::tenant::{NewTenant, TenantView};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services, audit};

impl Services {
    /// Makes a tenant with a signing key of its own.
    ///
    /// # Errors
    /// `Forbidden`, `Conflict` for the name, `Invalid` for the name.
    pub async fn create_tenant(&self, caller: &Caller, name: &str) -> Result<TenantView, ServiceError> {
        caller.require(Scope::Admin)?;
        let name = self.names.name("name", name)?;
        let id = TenantId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes());
        let signing_keys = vec![self.fresh_signing_key()];
        let caller = caller.clone();
        let created = self.metadata.write("tenant.create", move |tx| -> Result<_, ServiceError> {
            if tx.tenant_by_name(&name)?.is_some() {
                return Err(ServiceError::Conflict { code: "name_taken", detail: format!("there is a tenant `{name}`") });
            }
            let stamp = tx.stamp();
            tx.apply(NewTenant { name, signing_keys }.create(id, stamp))?;
            audit::note(tx, &caller, "tenant.create", id)?;
            tx.tenant(id)?.ok_or_else(|| ServiceError::Internal("a tenant just made is not there".into()))
        });
        let created = created.await?;
        self.renditions.keys_changed().await;
        Ok(created)
    }

    /// One tenant.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub async fn tenant(&self, caller: &Caller, id: TenantId) -> Result<TenantView, ServiceError> {
        caller.require_tenant(id)?;
        self.look_up(move |at| at.tenant(id)?.ok_or(ServiceError::NotFound("tenant"))).await
    }

    /// All tenants after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn list_tenants(
        &self,
        caller: &Caller,
        after: Option<TenantId>,
        limit: usize,
    ) -> Result<Page<TenantView, TenantId>, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read_of(caller.owner, move |at| Ok(at.list_tenants(after, limit)?)).await
    }
}
