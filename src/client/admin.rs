use futures_util::Stream;
use http::Method;

use super::call::Call;
use super::page::{self, PAGE_LIMIT};
use super::{Client, ClientError};
use crate::api::{
    AuditRecord, CheckReport, CheckRequest, CreateImport, CreateTenant, CreateToken, CreateUser, CreatedToken, Import, MoveRequest,
    MoveStatus, Page, PatchSigningKey, PatchTenant, PatchUser, SigningKey, SigningKeys, Stats, Tenant, TenantDetails, Token, User,
};
use crate::model::{ImportId, SigningKeyId, TenantId, TokenId, UserId};

/// For tokens of administrators. All fail with [`ClientError`] as its kinds say; what makes something new is repeated only where the
/// server has certainly not begun it.
impl Client {
    /// Every tenant.
    pub fn tenants(&self) -> impl Stream<Item = Result<Tenant, ClientError>> + Send + '_ {
        page::items(move |cursor| self.json(Call::get("admin/tenants").query("limit", Some(PAGE_LIMIT)).query("cursor", cursor)))
    }

    /// Makes a tenant.
    pub async fn create_tenant(&self, request: &CreateTenant) -> Result<Tenant, ClientError> {
        self.json(Call::post("admin/tenants").body(request)).await
    }

    /// One tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantDetails, ClientError> {
        self.json(Call::get(format!("admin/tenants/{tenant}"))).await
    }

    /// Edits what a tenant says of its rendition URLs.
    pub async fn patch_tenant(&self, tenant: TenantId, patch: &PatchTenant) -> Result<TenantDetails, ClientError> {
        self.json(Call::new(Method::PATCH, format!("admin/tenants/{tenant}")).body(patch)).await
    }

    /// The keys that sign a tenant's rendition URLs.
    pub async fn signing_keys(&self, tenant: TenantId) -> Result<SigningKeys, ClientError> {
        self.json(Call::get(format!("admin/tenants/{tenant}/keys"))).await
    }

    /// Makes another signing key, which is accepted at once and does not sign yet.
    pub async fn add_signing_key(&self, tenant: TenantId) -> Result<SigningKey, ClientError> {
        self.json(Call::post(format!("admin/tenants/{tenant}/keys"))).await
    }

    /// Has a key sign the URLs that the site makes.
    pub async fn use_signing_key(&self, tenant: TenantId, key: SigningKeyId) -> Result<SigningKey, ClientError> {
        let call = Call::new(Method::PATCH, format!("admin/tenants/{tenant}/keys/{key}"));
        self.json(call.body(&PatchSigningKey { signs: true })).await
    }

    /// Takes a signing key away.
    pub async fn remove_signing_key(&self, tenant: TenantId, key: SigningKeyId) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, format!("admin/tenants/{tenant}/keys/{key}"))).await
    }

    /// The users of a tenant; absent: of the token's.
    pub fn users(&self, tenant: Option<TenantId>) -> impl Stream<Item = Result<User, ClientError>> + Send + '_ {
        page::items(move |cursor| {
            self.json(Call::get("admin/users").query("tenant", tenant).query("limit", Some(PAGE_LIMIT)).query("cursor", cursor))
        })
    }

    /// Makes a user.
    pub async fn create_user(&self, request: &CreateUser) -> Result<User, ClientError> {
        self.json(Call::post("admin/users").body(request)).await
    }

    /// One user.
    pub async fn user(&self, tenant: Option<TenantId>, user: UserId) -> Result<User, ClientError> {
        self.json(Call::get(format!("admin/users/{user}")).query("tenant", tenant)).await
    }

    /// Edits a user.
    pub async fn patch_user(&self, tenant: Option<TenantId>, user: UserId, patch: &PatchUser) -> Result<User, ClientError> {
        self.json(Call::new(Method::PATCH, format!("admin/users/{user}")).query("tenant", tenant).body(patch)).await
    }

    /// The tokens of a user, without their secrets; absent: of whom the token speaks for.
    pub fn tokens(&self, tenant: Option<TenantId>, user: Option<UserId>) -> impl Stream<Item = Result<Token, ClientError>> + Send + '_ {
        page::items(move |cursor| {
            let call = Call::get("admin/tokens").query("user", user).query("tenant", tenant);
            self.json(call.query("limit", Some(PAGE_LIMIT)).query("cursor", cursor))
        })
    }

    /// Makes a token; its secret is shown this once.
    pub async fn create_token(&self, request: &CreateToken) -> Result<CreatedToken, ClientError> {
        self.json(Call::post("admin/tokens").body(request)).await
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, tenant: Option<TenantId>, user: Option<UserId>, token: TokenId) -> Result<(), ClientError> {
        self.done(Call::new(Method::DELETE, format!("admin/tokens/{token}")).query("user", user).query("tenant", tenant)).await
    }

    /// What the site holds.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.json(Call::get("admin/usage")).await
    }

    /// Checks the site's metadata and blobs. Waits for as long as it takes, up to `ClientSettings::long_timeout`.
    pub async fn check(&self, request: &CheckRequest) -> Result<CheckReport, ClientError> {
        // It only reads, but a second one beside the first, which still runs, would double the load: not repeated.
        self.json(Call::post("admin/check").body(request).timeout(self.settings.long_timeout)).await
    }

    /// Where the blobs are, and how far a move has come.
    pub async fn move_status(&self) -> Result<MoveStatus, ClientError> {
        self.json(Call::get("admin/blobs/move")).await
    }

    /// Begins to move the blobs, or goes on with it.
    pub async fn start_move(&self, request: &MoveRequest) -> Result<MoveStatus, ClientError> {
        self.json(Call::post("admin/blobs/move").body(request).timeout(self.settings.long_timeout)).await
    }

    /// Calls a move off; after its end, begins to move back.
    pub async fn move_back(&self) -> Result<MoveStatus, ClientError> {
        self.json(Call::post("admin/blobs/move/back").timeout(self.settings.long_timeout)).await
    }

    /// Lets go of where the blobs were.
    pub async fn finish_move(&self) -> Result<MoveStatus, ClientError> {
        self.json(Call::post("admin/blobs/move/finish").timeout(self.settings.long_timeout)).await
    }

    /// Has the server take in a tree of photos on its own disk.
    pub async fn start_import(&self, request: &CreateImport) -> Result<Import, ClientError> {
        self.json(Call::post("admin/imports").body(request)).await
    }

    /// How an import stands.
    pub async fn import(&self, import: ImportId) -> Result<Import, ClientError> {
        self.json(Call::get(format!("admin/imports/{import}"))).await
    }

    /// The imports of late.
    pub async fn imports(&self) -> Result<Page<Import>, ClientError> {
        self.json(Call::get("admin/imports")).await
    }

    /// Stops an import.
    pub async fn stop_import(&self, import: ImportId) -> Result<Import, ClientError> {
        self.json(Call::new(Method::DELETE, format!("admin/imports/{import}"))).await
    }

    /// What administrators did.
    pub fn audit(&self) -> impl Stream<Item = Result<AuditRecord, ClientError>> + Send + '_ {
        page::items(move |cursor| self.json(Call::get("admin/audit").query("limit", Some(PAGE_LIMIT)).query("cursor", cursor)))
    }
}
