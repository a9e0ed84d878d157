//! Making, listing and revoking tokens.

use crate::config::Expiry;
use crate::metadata::{MetadataError, Page, Read, Transaction};
use crate::model::token::{NewToken, Scopes, TokenView};
use crate::model::{Owner, TokenId, WallMs};

use super::auth::Secret;
use super::caller::{Caller, Scope};
use super::{ServiceError, Services};

/// Tokens that are read at once where one is looked for.
const SCAN_PIECE: usize = 1_000;

/// A token to make.
#[derive(Debug, Clone)]
pub struct NewTokenRequest {
    /// For whom.
    pub owner: Owner,
    /// What it may do.
    pub scopes: Scopes,
    /// What it is for.
    pub label: Option<String>,
    /// Seconds until it ceases; absent: as the settings say.
    pub expires_in_seconds: Option<u64>,
}

impl Services {
    /// Makes a token. A user may make tokens for itself, an administrator for others; nobody gives more than they may, nor (but for
    /// administrators of the site) for longer than the token holds with which they ask.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound` for the user, `Invalid` for the label or without a scope.
    pub async fn create_token(&self, caller: &Caller, request: NewTokenRequest) -> Result<(TokenView, Secret), ServiceError> {
        let NewTokenRequest { owner, scopes, label, expires_in_seconds } = request;
        self.require_over(caller, owner)?;
        if scopes.iter().next().is_none() {
            return Err(ServiceError::Invalid { field: "scopes", detail: "name at least one".into() });
        }
        require_scopes(caller, scopes)?;
        let label = label.map(|label| self.names.name("label", &label)).transpose()?;
        let now = self.runtime.clock.unix_ms();
        let seconds = expires_in_seconds.or(match self.limits.token_expiry {
            Expiry::Never => None,
            Expiry::After(duration) => Some(duration.as_secs()),
        });
        let expires = seconds.map(|seconds| WallMs(now.saturating_add(seconds.saturating_mul(1_000))));
        let id = TokenId::new(now, self.runtime.random.bytes());
        let secret = Secret::from_random(self.runtime.random.bytes());
        let mut new = NewToken { secret_hash: secret.hash(), scopes, expires, label: label.unwrap_or_default() };
        let (caller, made) = (caller.clone(), id);
        let created = self.metadata.write("token.create", move |tx| -> Result<_, ServiceError> {
            if tx.user(owner)?.is_none() {
                return Err(ServiceError::NotFound("user"));
            }
            if !caller.allows(Scope::Admin) {
                // Else a token that was given for a day could make itself one for ever.
                let maker = tx.token(caller.owner, caller.token)?.ok_or(ServiceError::Unauthenticated)?;
                new.expires = new.expires.into_iter().chain(maker.expires).min();
            }
            put_token(tx, owner, made, &new)?;
            super::audit::note(tx, &caller, "token.create", made)?;
            tx.token(owner, made)?.ok_or_else(|| ServiceError::Internal("a token just made is not there".into()))
        });
        Ok((created.await?, secret))
    }

    /// A user's tokens, without their secrets.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        owner: Owner,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<Page<(TokenView, Option<WallMs>), TokenId>, ServiceError> {
        self.require_over(caller, owner)?;
        self.read_of(caller.owner, move |at| {
            let page = at.list_tokens(owner, after, limit)?;
            let mut items = Vec::with_capacity(page.items.len());
            for token in page.items {
                let last_use = at.token_use(token.id)?;
                items.push((token, last_use));
            }
            Ok(Page { items, next: page.next })
        })
        .await
    }

    /// Revokes a token: from the answer on it is refused at this site. Nobody revokes what they could not have given.
    ///
    /// # Errors
    /// `Forbidden`, `NotFound`.
    pub async fn revoke_token(&self, caller: &Caller, owner: Owner, id: TokenId) -> Result<(), ServiceError> {
        self.require_over(caller, owner)?;
        let caller = caller.clone();
        let revoked = self.metadata.write("token.revoke", move |tx| -> Result<(), ServiceError> {
            let token = tx.token(owner, id)?.ok_or(ServiceError::NotFound("token"))?;
            require_scopes(&caller, token.scopes)?;
            tx.apply_all(token.revoke())?;
            super::audit::note(tx, &caller, "token.revoke", id)
        });
        Ok(revoked.await?)
    }

    /// Makes the administrator's token of a new site, for the default user. Only the server calls it, when the site is new.
    ///
    /// # Errors
    /// Where metadata cannot be written.
    pub async fn create_first_token(&self, secret: &Secret) -> Result<(), ServiceError> {
        let id = TokenId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes());
        let scopes = [Scope::Admin, Scope::Tenant, Scope::User, Scope::Read].into_iter().collect();
        let new = NewToken { secret_hash: secret.hash(), scopes, expires: None, label: "admin.token".into() };
        self.metadata.write("token.first", move |tx| -> Result<(), ServiceError> { put_token(tx, Owner::DEFAULT, id, &new) }).await?;
        Ok(())
    }

    /// Whether an administrator's token is to be made: nobody has made or changed anything at this site yet.
    ///
    /// # Errors
    /// Where metadata cannot be read.
    pub async fn is_new(&self) -> Result<bool, ServiceError> {
        // The one commit of a new store makes the default tenant and user.
        self.read(|at| Ok(at.last_commit()?.0 <= 1)).await
    }

    /// A secret that is not stored yet.
    pub fn fresh_secret(&self) -> Secret {
        Secret::from_random(self.runtime.random.bytes())
    }

    /// Refuses a caller that may not rule over this user: administrators may over all, a tenant's over its own, a user over itself.
    fn require_over(&self, caller: &Caller, owner: Owner) -> Result<(), ServiceError> {
        if caller.owner == owner && caller.allows(Scope::User) {
            return Ok(());
        }
        caller.require_tenant(owner.tenant)
    }
}

/// Refuses a caller, who rules over a token's user, where the token reaches further than the caller.
fn require_scopes(caller: &Caller, scopes: Scopes) -> Result<(), ServiceError> {
    for scope in scopes.iter() {
        match scope {
            // Whoever may make a token for a user may let it act as that user.
            Scope::User | Scope::Read => {}
            Scope::Admin | Scope::Tenant | Scope::Edge => caller.require(scope)?,
        }
    }
    Ok(())
}

/// Whether any token of a user, expired or not, has the scope `admin`.
pub(super) fn has_admin_token(at: &impl Read, owner: Owner) -> Result<bool, MetadataError> {
    let mut after = None;
    loop {
        let page = at.list_tokens(owner, after, SCAN_PIECE)?;
        if page.items.iter().any(|token| token.scopes.contains(Scope::Admin)) {
            return Ok(true);
        }
        after = page.next;
        if after.is_none() {
            return Ok(false);
        }
    }
}

fn put_token(tx: &mut Transaction, owner: Owner, id: TokenId, new: &NewToken) -> Result<(), ServiceError> {
    let stamp = tx.stamp();
    tx.apply(new.create(owner, id, stamp))?;
    Ok(())
}
