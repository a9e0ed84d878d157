//! Users of a tenant.

use crate::metadata::{Page, Read};
use crate::model::user::{NewUser, UserEdit, UserView};
use crate::model::{Owner, TenantId, UserId};

use super::caller::{Caller, Scope};
use super::{ServiceError, Services, audit, tokens};

impl Services {
    /// Makes a user.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound` for the tenant, `Conflict` where the tenant has a user of that name, `Invalid` for the name.
    pub async fn create_user(&self, caller: &Caller, tenant: TenantId, name: &str) -> Result<UserView, ServiceError> {
        caller.require_tenant(tenant)?;
        let name = self.names.name("name", name)?;
        let owner = Owner { tenant, user: UserId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes()) };
        let caller = caller.clone();
        let created = self.metadata.write("user.create", move |tx| -> Result<_, ServiceError> {
            if tx.tenant(tenant)?.is_none() {
                return Err(ServiceError::NotFound("tenant"));
            }
            if tx.user_by_name(tenant, &name)?.is_some() {
                return Err(ServiceError::Conflict { code: "name_taken", detail: format!("the tenant has a user `{name}`") });
            }
            let stamp = tx.stamp();
            tx.apply(NewUser { name }.create(owner, stamp))?;
            audit::note(tx, &caller, "user.create", owner.user)?;
            tx.user(owner)?.ok_or_else(|| ServiceError::Internal("a user just made is not there".into()))
        });
        Ok(created.await?)
    }

    /// One user.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub async fn user(&self, caller: &Caller, owner: Owner) -> Result<UserView, ServiceError> {
        caller.require_tenant(owner.tenant)?;
        self.look_up(move |at| at.user(owner)?.ok_or(ServiceError::NotFound("user"))).await
    }

    /// A tenant's users after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_users(
        &self,
        caller: &Caller,
        tenant: TenantId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<UserView, UserId>, ServiceError> {
        caller.require_tenant(tenant)?;
        self.read_of(caller.owner, move |at| Ok(at.list_users(tenant, after, limit)?)).await
    }

    /// Renames, disables or enables a user. From the answer on, no token of a disabled user is accepted at this site. A user with an
    /// administrator's token is disabled and enabled by administrators alone.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`, `Conflict` for the name.
    pub async fn edit_user(
        &self,
        caller: &Caller,
        owner: Owner,
        name: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<UserView, ServiceError> {
        caller.require_tenant(owner.tenant)?;
        let name = name.map(|text| self.names.name("name", text)).transpose()?;
        let edit = UserEdit { name, disabled };
        let caller = caller.clone();
        let edited = self.metadata.write("user.edit", move |tx| -> Result<_, ServiceError> {
            let user = tx.user(owner)?.ok_or(ServiceError::NotFound("user"))?;
            if let Some(name) = &edit.name
                && tx.user_by_name(owner.tenant, name)?.is_some_and(|other| other.id != owner.user)
            {
                return Err(ServiceError::Conflict { code: "name_taken", detail: format!("the tenant has a user `{name}`") });
            }
            if edit.disabled.is_some_and(|disabled| disabled != user.disabled) && tokens::has_admin_token(tx, owner)? {
                caller.require(Scope::Admin)?;
            }
            let stamp = tx.stamp();
            tx.apply_all(user.edit(stamp, &edit))?;
            audit::note(tx, &caller, "user.edit", owner.user)?;
            tx.user(owner)?.ok_or(ServiceError::NotFound("user"))
        });
        Ok(edited.await?)
    }
}
