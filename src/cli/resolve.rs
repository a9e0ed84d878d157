//! What people mean: by id or by name.

use anyhow::Context as _;
use futures_util::TryStreamExt;

use super::exit::Hinted;
use crate::api::{Album, Tenant, User};
use crate::client::{Client, ClientError};
use crate::model::{AlbumId, TenantId, UserId};

/// The album of this exact name; of several the oldest, so that everyone means the same one.
pub(super) async fn album_by_name(client: &Client, name: &str) -> Result<Option<Album>, ClientError> {
    let mut albums: Vec<Album> = client.albums(Some(name.to_owned())).try_collect().await?;
    albums.retain(|album| album.name == name);
    Ok(albums.into_iter().min_by(|a, b| (&a.created_at, a.id).cmp(&(&b.created_at, b.id))))
}

/// An album by id or exact name.
pub(super) async fn album(client: &Client, text: &str) -> anyhow::Result<Album> {
    if let Ok(id) = text.parse::<AlbumId>() {
        match client.album(id).await {
            Err(error) if error.status() == Some(404) => {}
            answer => return answer.with_context(|| format!("could not look for album `{text}`")),
        }
    }
    match album_by_name(client, text).await.with_context(|| format!("could not look for album `{text}`"))? {
        Some(album) => Ok(album),
        None => Err(unknown("album", text, "see `halidom album list` for those that there are")),
    }
}

/// A tenant by id or exact name.
pub(super) async fn tenant(client: &Client, text: &str) -> anyhow::Result<TenantId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let tenants: Vec<Tenant> = client.tenants().try_collect().await.context("could not look for the tenant")?;
    match tenants.into_iter().find(|tenant| tenant.name == text) {
        Some(tenant) => Ok(tenant.id),
        None => Err(unknown("tenant", text, "see `halidom tenant list` for those that there are")),
    }
}

/// A tenant where one is named.
pub(super) async fn maybe_tenant(client: &Client, text: Option<&str>) -> anyhow::Result<Option<TenantId>> {
    match text {
        Some(text) => tenant(client, text).await.map(Some),
        None => Ok(None),
    }
}

/// A user of a tenant by id or exact name.
pub(super) async fn user(client: &Client, tenant: Option<TenantId>, text: &str) -> anyhow::Result<UserId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let users: Vec<User> = client.users(tenant).try_collect().await.context("could not look for the user")?;
    match users.into_iter().find(|user| user.name == text) {
        Some(user) => Ok(user.id),
        None => Err(unknown("user", text, "see `halidom user list` for those that there are")),
    }
}

fn unknown(kind: &str, text: &str, hint: &str) -> anyhow::Error {
    Hinted { what: format!("there is no {kind} `{text}`"), hint: hint.into() }.into()
}
