//! Tenants: the banners of the platform, and the keys that sign their rendition URLs.

use crate::metadata::Read;
use crate::model::tenant::{NewTenant, SigningKey, TenantEdit, TenantView};
use crate::model::{TenantId, UserId};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services, audit, names};

impl Services {
    /// Makes a tenant with a signing key of its own.
    ///
    /// # Errors
    /// `Forbidden`, `Conflict` for the name, `Invalid` for the name.
    pub async fn create_tenant(&self, caller: &Caller, name: &str) -> Result<TenantView, ServiceError> {
        caller.require(Scope::Admin)?;
        let name = names::name("name", name)?;
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
        Ok(created.await?)
    }

    /// One tenant.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub fn tenant(&self, caller: &Caller, id: TenantId) -> Result<TenantView, ServiceError> {
        caller.require_tenant(id)?;
        self.metadata.read().tenant(id)?.ok_or(ServiceError::NotFound("tenant"))
    }

    /// All tenants after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn list_tenants(&self, caller: &Caller, after: Option<TenantId>, limit: usize) -> Result<Vec<TenantView>, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read(move |at| Ok(at.list_tenants(after, limit)?)).await
    }

    /// Sees to it that every tenant has a signing key; the default tenant of a new site comes without one.
    ///
    /// # Errors
    /// Where metadata cannot be written.
    pub async fn ensure_signing_keys(&self) -> Result<(), ServiceError> {
        const PAGE: usize = 1_000;
        let mut after = None;
        loop {
            let page = self.read(move |at| Ok(at.list_tenants(after, PAGE)?)).await?;
            for view in page.iter().filter(|view| view.signing_keys.is_empty()) {
                let (id, key) = (view.id, self.fresh_signing_key());
                let set = self.metadata.write("tenant.signing_key", move |tx| -> Result<(), ServiceError> {
                    let stamp = tx.stamp();
                    let Some(view) = tx.tenant(id)? else { return Ok(()) };
                    let edit = TenantEdit { name: None, signing_keys: Some(vec![key]) };
                    Ok(tx.apply_all(view.edit(stamp, &edit))?)
                });
                set.await?;
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    fn fresh_signing_key(&self) -> SigningKey {
        SigningKey { key: self.runtime.random.bytes::<32>().to_vec(), salt: self.runtime.random.bytes::<32>().to_vec() }
    }

    /// Which user of a tenant an id names, for calls that name the tenant only sometimes.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn owner_of(&self, tenant: TenantId, user: UserId) -> Result<crate::model::Owner, ServiceError> {
        let owner = crate::model::Owner { tenant, user };
        self.metadata.read().user(owner)?.map(|_| owner).ok_or(ServiceError::NotFound("user"))
    }
}
