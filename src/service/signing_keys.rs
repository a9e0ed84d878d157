//! The keys that sign a tenant's rendition URLs, and how they are changed without a URL that ceases to hold: a new one is accepted first, then
//! signs, and the old one goes when what it signed is no longer asked for.

use crate::metadata::{Read, Transaction};
use crate::model::row::Delta;
use crate::model::tenant::{SigningKey, TenantEdit, TenantView};
use crate::model::{SigningKeyId, Stamp, TenantId};

use super::caller::Caller;
use super::{ServiceError, Services, audit};

/// Keys of one tenant. A change takes two; the default tenant may come with one of each site.
const MAX_KEYS: usize = 4;

impl Services {
    /// The keys that sign a tenant's rendition URLs, for its web tier; all of them are accepted, the first one signs here. That they were
    /// handed out stands in the audit log.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub async fn signing_keys(&self, caller: &Caller, id: TenantId) -> Result<Vec<SigningKey>, ServiceError> {
        caller.require_tenant(id)?;
        let caller = caller.clone();
        let read = self.metadata.write("tenant.keys", move |tx| -> Result<_, ServiceError> {
            let tenant = require_tenant(tx, id)?;
            audit::note(tx, &caller, "tenant.keys", id)?;
            Ok(tenant.signing_keys)
        });
        Ok(read.await?)
    }

    /// Makes another key. URLs that it signs are accepted from the answer on; those that are made here the first one goes on signing.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `Conflict` where the tenant has as many as it may.
    pub async fn add_signing_key(&self, caller: &Caller, id: TenantId) -> Result<SigningKey, ServiceError> {
        let key = self.fresh_signing_key();
        let added = key.clone();
        self.change_keys(caller, id, "tenant.key.add", key.id(), move |keys| {
            if keys.len() >= MAX_KEYS {
                let detail = format!("the tenant has {} signing keys: remove one first", keys.len());
                return Err(ServiceError::Conflict { code: "too_many_keys", detail });
            }
            keys.push(added);
            Ok(())
        })
        .await?;
        Ok(key)
    }

    /// Has a key sign the URLs that are made here from now on. All others go on being accepted.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound` for tenant or key.
    pub async fn use_signing_key(&self, caller: &Caller, id: TenantId, key: SigningKeyId) -> Result<SigningKey, ServiceError> {
        self.change_keys(caller, id, "tenant.key.use", key, move |keys| {
            let at = position(keys, key)?;
            keys[..=at].rotate_right(1);
            keys.first().cloned().ok_or(ServiceError::NotFound("signing key"))
        })
        .await
    }

    /// Takes a key away: what it signed is refused, here from the answer on. The last one stays.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound` for tenant or key, `Conflict` for the last one and for the one that signs.
    pub async fn remove_signing_key(&self, caller: &Caller, id: TenantId, key: SigningKeyId) -> Result<(), ServiceError> {
        self.change_keys(caller, id, "tenant.key.remove", key, move |keys| {
            let at = position(keys, key)?;
            if at == 0 {
                let detail = "this key signs the URLs that are made here: have another one sign first".to_owned();
                return Err(ServiceError::Conflict { code: "key_in_use", detail });
            }
            keys.remove(at);
            Ok(())
        })
        .await
    }

    /// Changes the list of a tenant's keys in one commit, and has it known here.
    async fn change_keys<T: Send + 'static>(
        &self,
        caller: &Caller,
        id: TenantId,
        action: &'static str,
        key: SigningKeyId,
        change: impl FnOnce(&mut Vec<SigningKey>) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        caller.require_tenant(id)?;
        let caller = caller.clone();
        let changed = self.metadata.write(action, move |tx| -> Result<_, ServiceError> {
            let tenant = require_tenant(tx, id)?;
            let mut keys = tenant.signing_keys.clone();
            let answer = change(&mut keys)?;
            let stamp = tx.stamp();
            tx.apply_all(edited_tenant(&tenant, stamp, &TenantEdit { signing_keys: Some(keys), ..TenantEdit::default() })?)?;
            audit::note(tx, &caller, action, format_args!("{id}/{key}"))?;
            Ok(answer)
        });
        let answer = changed.await?;
        self.renditions.keys_changed().await;
        Ok(answer)
    }

    pub(super) fn fresh_signing_key(&self) -> SigningKey {
        SigningKey { key: self.runtime.random.bytes::<32>().to_vec(), salt: self.runtime.random.bytes::<32>().to_vec() }
    }
}

/// What an edit of a tenant changes.
///
/// # Errors
/// `Conflict` for what a newer version wrote.
pub(super) fn edited_tenant(tenant: &TenantView, at: Stamp, edit: &TenantEdit) -> Result<Vec<Delta>, ServiceError> {
    tenant.edit(at, edit).map_err(|error| ServiceError::Conflict {
        code: "written_by_newer",
        detail: format!("this server cannot change what it cannot read: {error}; upgrade it"),
    })
}

pub(super) fn require_tenant(tx: &Transaction, id: TenantId) -> Result<TenantView, ServiceError> {
    tx.tenant(id)?.ok_or(ServiceError::NotFound("tenant"))
}

fn position(keys: &[SigningKey], id: SigningKeyId) -> Result<usize, ServiceError> {
    keys.iter().position(|key| key.id() == id).ok_or(ServiceError::NotFound("signing key"))
}
