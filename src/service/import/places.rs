//! Where an import's photos go: users by name, albums by name; each is looked for once.

use std::collections::HashMap;

use super::Record;
use super::texts::fitting;
use crate::metadata::Read as _;
use crate::model::{AlbumId, Owner, TenantId, TokenId, UserId};
use crate::service::{Caller, Scope, Scopes, ServiceError, Services};

/// Albums and users that are remembered; with more, all are looked for anew.
const REMEMBERED: usize = 50_000;
/// What an album is called whose name has nothing in it.
const NAMELESS: &str = "Photos";

/// What an import has found so far.
#[derive(Debug)]
pub(super) struct Places {
    tenant: TenantId,
    /// Whose everything is, whatever the tree says.
    only: Option<UserId>,
    /// Whose it is where the tree says nothing.
    fallback: UserId,
    create_users: bool,
    token: TokenId,
    users: HashMap<String, UserId>,
    albums: HashMap<(UserId, String), AlbumId>,
}

impl Places {
    pub(super) fn new(record: &Record) -> Self {
        Self {
            tenant: record.owner.tenant,
            only: record.request.user,
            fallback: record.owner.user,
            create_users: record.request.create_users,
            token: record.token,
            users: HashMap::new(),
            albums: HashMap::new(),
        }
    }

    /// The album of this name of the user whom the tree names; made where there is none.
    ///
    /// # Errors
    /// `NotFound` for the user, where users are not made.
    pub(super) async fn find(&mut self, services: &Services, user: Option<&str>, album: &str) -> Result<(Owner, AlbumId), ServiceError> {
        let user = match (self.only, user) {
            (Some(only), _) => only,
            (None, None) if self.fallback == UserId::NONE => return Err(ServiceError::NotFound("user")),
            (None, None) => self.fallback,
            (None, Some(name)) => self.user(services, name).await?,
        };
        let owner = Owner { tenant: self.tenant, user };
        let name = Some(fitting(album, services.limits.config.max_name_bytes as usize)).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| NAMELESS.to_owned());
        if let Some(album) = self.albums.get(&(user, name.clone())) {
            return Ok((owner, *album));
        }
        let album = self.album(services, owner, &name).await?;
        if self.albums.len() >= REMEMBERED {
            self.albums.clear();
        }
        self.albums.insert((user, name), album);
        Ok((owner, album))
    }

    /// An album is not there any more: it is looked for again.
    pub(super) fn forget(&mut self, album: AlbumId) {
        self.albums.retain(|_, known| *known != album);
    }

    fn caller(&self, owner: Owner, scope: Scope) -> Caller {
        Caller { owner, token: self.token, scopes: [scope].into_iter().collect::<Scopes>(), request_id: None }
    }

    async fn user(&mut self, services: &Services, name: &str) -> Result<UserId, ServiceError> {
        let name = fitting(name, services.limits.config.max_name_bytes as usize);
        if let Some(user) = self.users.get(&name) {
            return Ok(*user);
        }
        let (tenant, wanted) = (self.tenant, name.clone());
        // Immich's folders are named by the user's id where no label was given; so may a manifest be.
        let by_id = name.parse::<UserId>().ok();
        let found = services.look_up(move |at| match by_id {
            Some(user) => Ok(at.user(Owner { tenant, user })?),
            None => Ok(at.user_by_name(tenant, &wanted)?),
        });
        let user = match found.await? {
            Some(user) => user.id,
            None if self.create_users => {
                let caller = self.caller(Owner { tenant, user: self.fallback }, Scope::Admin);
                services.create_user(&caller, tenant, &name).await?.id
            }
            None => return Err(ServiceError::NotFound("user")),
        };
        if self.users.len() >= REMEMBERED {
            self.users.clear();
        }
        self.users.insert(name, user);
        Ok(user)
    }

    async fn album(&self, services: &Services, owner: Owner, name: &str) -> Result<AlbumId, ServiceError> {
        let caller = self.caller(owner, Scope::User);
        // The id that everyone gives an album of this name: one row to look up, and no doubles where two make it at once.
        let derived = AlbumId::from_name(owner.tenant, owner.user, name);
        match services.album(&caller, derived).await {
            Ok(row) if row.view.name == name => return Ok(derived),
            Ok(_) | Err(ServiceError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let named = services.albums_named(&caller, name, None, services.limits.config.max_page as usize).await?.items;
        if let Some(oldest) = named.into_iter().min_by_key(|row| (row.view.first_created.0, row.view.id)) {
            return Ok(oldest.view.id);
        }
        match services.create_album(&caller, Some(derived), name, None).await {
            Ok((row, _)) if row.view.name == name => return Ok(derived),
            // It was made by this name before, and renamed or deleted since: this one is another.
            Ok(_) | Err(ServiceError::Conflict { .. } | ServiceError::Erased(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(services.create_album(&caller, None, name, None).await?.0.view.id)
    }
}
