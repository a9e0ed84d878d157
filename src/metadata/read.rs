//! Reading: the same questions to a snapshot and to a transaction. Point reads are cheap; lists are bounded pages.

use std::ops::{Bound, ControlFlow};

use super::MetadataError;
use super::column::{
    AlbumHashes, AlbumPhotos, Audit, Blobs, Candidates, CountsOf, Doomed, Entries, Erased, HeadsOf, Held, Journal, Names, OtherIds, Pins,
    Refs, Rows, Scope, SumOf, Sums, TokenSecrets, TokenUses, Vector,
};
use super::derived::name_prefix;
use super::engine::{Bounds, Source};
use super::key::{Commit, Key};
use super::page::{Page, after, bounded, page};
use super::record::{AuditRecord, Counts, Doom, JournalRow, StoredEntry};
use super::shown::{AlbumTotals, BlobRow, PhotoPosition, SiteStats};
use super::table;
use crate::model::album::{self, AlbumView};
use crate::model::derive::NameScope;
use crate::model::erasure::Erasure;
use crate::model::photo::{self, PhotoView};
use crate::model::row::Births;
use crate::model::set_hash::{Bucket, SetHash};
use crate::model::tenant::{self, TenantView};
use crate::model::token::{self, TokenView};
use crate::model::user::{self, UserView};
use crate::model::vector::{Head, VersionVector};
use crate::model::{AlbumId, BlobHash, BlobKey, HashPrefix, Kind, Origin, Owner, PhotoId, RowKey, Seq, TenantId, TokenId, UserId, WallMs};

fn figure(figure: i64) -> u64 {
    // Below zero only where the store is damaged; `check` says so.
    u64::try_from(figure).unwrap_or(0)
}

/// Questions to the metadata at one point of its history. Every call may fail with [`MetadataError::Unavailable`],
/// [`MetadataError::Damaged`] or [`MetadataError::Newer`]; absence is never mistaken for these.
///
/// Lists are sorted, hold at most `limit` items (and [`PAGE_LIMIT`]), and go on after the position given.
pub trait Read {
    /// Where rows come from.
    fn source(&self) -> &dyn Source;

    /// The births of a row; none where it is absent.
    fn births(&self, key: &RowKey) -> Result<Births, MetadataError> {
        Ok(table::get::<Rows>(self.source(), key)?.unwrap_or_default())
    }

    /// Whether a row was erased for good.
    fn is_erased(&self, key: &RowKey) -> Result<bool, MetadataError> {
        for erasure in Erasure::naming(key) {
            if table::get::<Erased>(self.source(), &erasure)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A photo by the id under which it is shown, in the trash or not.
    fn photo_or_trashed(&self, owner: Owner, id: PhotoId) -> Result<Option<PhotoView>, MetadataError> {
        let find = |row: PhotoId| -> Result<Option<PhotoView>, MetadataError> {
            let key = RowKey::photo(owner, row);
            Ok(photo::all(&key, &self.births(&key)?).into_iter().find(|photo| photo.id == id))
        };
        if let Some(found) = find(id)? {
            return Ok(Some(found));
        }
        match table::first::<OtherIds>(self.source(), &Bounds::prefix(&(owner, id).to_key()))? {
            Some(((_, _, row), ())) => find(row),
            None => Ok(None),
        }
    }

    /// A photo by the id under which it is shown; `None` in the trash.
    fn photo(&self, owner: Owner, id: PhotoId) -> Result<Option<PhotoView>, MetadataError> {
        Ok(self.photo_or_trashed(owner, id)?.filter(|photo| !photo.trashed))
    }

    /// An album. One without a row, or whose row is in the trash, is shown while a photo in it is: [`album::RECOVERED`] where it has
    /// no row. `None` where neither is.
    fn album(&self, owner: Owner, id: AlbumId) -> Result<Option<AlbumView>, MetadataError> {
        let key = RowKey::album(owner, id);
        let births = self.births(&key)?;
        if let Some(album) = album::view(&key, &births) {
            return Ok(Some(album));
        }
        if self.album_totals(owner, id)?.photos == 0 {
            return Ok(None);
        }
        match album::view_trashed(&key, &births) {
            Some(album) => Ok(Some(AlbumView { trashed: false, ..album })),
            None => self.recovered(key),
        }
    }

    /// An album of which nothing is left but photos in it.
    fn recovered(&self, key: RowKey) -> Result<Option<AlbumView>, MetadataError> {
        let id = AlbumId::from_uuid(key.id);
        let first = table::first::<AlbumPhotos>(self.source(), &Bounds::prefix(&(key.owner, id).to_key()))?;
        let Some(((owner, _, _, photo), ())) = first else { return Ok(None) };
        let Some(photo) = self.photo(owner, photo)? else {
            return Err(MetadataError::damaged(format!("album {id} lists photo {photo}, which is not shown")));
        };
        Ok(Some(AlbumView {
            id,
            key,
            name: album::RECOVERED.to_owned(),
            description: String::new(),
            created: photo.created,
            first_created: photo.first_created,
            trashed: false,
            births: vec![],
        }))
    }

    /// An album that is in the trash, no photo in it being shown.
    fn album_trashed(&self, owner: Owner, id: AlbumId) -> Result<Option<AlbumView>, MetadataError> {
        let key = RowKey::album(owner, id);
        let found = album::view_trashed(&key, &self.births(&key)?);
        Ok(if found.is_some() && self.album_totals(owner, id)?.photos == 0 { found } else { None })
    }

    /// How many photos an album shows, and their bytes.
    fn album_totals(&self, owner: Owner, id: AlbumId) -> Result<AlbumTotals, MetadataError> {
        let counts = self.counts(Scope::Album(owner, id))?;
        Ok(AlbumTotals { photos: figure(counts.photos), bytes: figure(counts.photo_bytes) })
    }

    /// An owner's albums that are shown, by id, with their totals.
    fn list_albums(
        &self,
        owner: Owner,
        after_album: Option<AlbumId>,
        limit: usize,
    ) -> Result<Page<(AlbumView, AlbumTotals), AlbumId>, MetadataError> {
        let limit = bounded(limit);
        let prefix = Scope::albums_of(owner);
        let bounds = after(&prefix, after_album.map(|album| Scope::Album(owner, album).to_key()));
        let mut found = vec![];
        table::scan::<CountsOf>(self.source(), &bounds, |scope, counts| {
            if let Scope::Album(_, id) = scope
                && (counts.albums > 0 || counts.photos > 0)
            {
                found.push((id, AlbumTotals { photos: figure(counts.photos), bytes: figure(counts.photo_bytes) }));
            }
            Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let mut items = Vec::with_capacity(found.len());
        for (id, totals) in found {
            if let Some(album) = self.album(owner, id)? {
                items.push((id, (album, totals)));
            }
        }
        Ok(page(items, limit))
    }

    /// The photos that an album shows, oldest first.
    fn list_photos(
        &self,
        owner: Owner,
        album: AlbumId,
        after_photo: Option<PhotoPosition>,
        limit: usize,
    ) -> Result<Page<PhotoView, PhotoPosition>, MetadataError> {
        let limit = bounded(limit);
        let prefix = (owner, album).to_key();
        let bounds = after(&prefix, after_photo.map(|at| (owner, album, at.created, at.photo).to_key()));
        let found = table::some::<AlbumPhotos>(self.source(), &bounds, limit + 1)?;
        let ids: Vec<_> = found.iter().map(|((_, _, _, photo), ())| *photo).collect();
        let mut items = Vec::with_capacity(found.len());
        for (((_, _, created, id), ()), shown) in found.into_iter().zip(self.photos(owner, &ids)?) {
            let shown = shown.ok_or_else(|| MetadataError::damaged(format!("album {album} lists photo {id}, which is not shown")))?;
            items.push((PhotoPosition { created, photo: id }, shown));
        }
        Ok(page(items, limit))
    }

    /// Photos by the ids under which they are shown, in the order of `ids`; `None` for what is in the trash or not there.
    fn photos(&self, owner: Owner, ids: &[PhotoId]) -> Result<Vec<Option<PhotoView>>, MetadataError> {
        let keys: Vec<_> = ids.iter().map(|id| RowKey::photo(owner, *id).to_key()).collect();
        let rows = self.source().multi_get(<Rows as super::column::Column>::ID, &keys)?;
        let mut photos = Vec::with_capacity(ids.len());
        for (id, row) in ids.iter().zip(rows) {
            let births = row.map(|row| Births::decode(&row)).transpose()?.unwrap_or_default();
            let shown = photo::view(&RowKey::photo(owner, *id), &births).into_iter().find(|photo| photo.id == *id);
            photos.push(match shown {
                Some(shown) => Some(shown),
                None => self.photo(owner, *id)?,
            });
        }
        Ok(photos)
    }

    /// The photo by which an album shows these bytes already.
    fn photo_in_album_by_hash(&self, owner: Owner, album: AlbumId, hash: &BlobHash) -> Result<Option<PhotoId>, MetadataError> {
        let found = table::first::<AlbumHashes>(self.source(), &Bounds::prefix(&(owner, album, *hash).to_key()))?;
        Ok(found.map(|((_, _, _, photo), ())| photo))
    }

    /// Whether an owner has a live reference to a blob, in the trash or not.
    fn owns(&self, owner: Owner, hash: &BlobHash) -> Result<bool, MetadataError> {
        Ok(table::first::<Refs>(self.source(), &Bounds::prefix(&(*hash, owner).to_key()))?.is_some())
    }

    /// The row by which an owner has a blob, in the trash or not; the first where there are several.
    fn ref_of_owner(&self, owner: Owner, hash: &BlobHash) -> Result<Option<PhotoId>, MetadataError> {
        let found = table::first::<Refs>(self.source(), &Bounds::prefix(&(*hash, owner).to_key()))?;
        Ok(found.map(|((_, _, photo), _)| photo))
    }

    /// Whether any user of a tenant has a live reference to a blob.
    fn tenant_owns(&self, tenant: TenantId, hash: &BlobHash) -> Result<bool, MetadataError> {
        Ok(table::first::<Refs>(self.source(), &Bounds::prefix(&(*hash, tenant).to_key()))?.is_some())
    }

    /// Rows by which users of a tenant have a blob, in the trash or not: the first few.
    fn list_refs_of_tenant(&self, tenant: TenantId, hash: &BlobHash, limit: usize) -> Result<Vec<(Owner, PhotoId)>, MetadataError> {
        let found = table::some::<Refs>(self.source(), &Bounds::prefix(&(*hash, tenant).to_key()), bounded(limit))?;
        Ok(found.into_iter().map(|((_, owner, photo), _)| (owner, photo)).collect())
    }

    /// Whether anyone has a live reference to a blob.
    fn is_referenced(&self, hash: &BlobHash) -> Result<bool, MetadataError> {
        Ok(table::first::<Refs>(self.source(), &Bounds::prefix(&hash.to_key()))?.is_some())
    }

    /// Whether anyone has a live reference to a blob whose hash begins so.
    fn is_any_referenced(&self, prefix: HashPrefix) -> Result<bool, MetadataError> {
        Ok(table::first::<Refs>(self.source(), &Bounds::prefix(prefix.as_bytes()))?.is_some())
    }

    /// Who has live references to a blob: owner, row and the commit in which each began.
    fn list_refs(&self, hash: &BlobHash, limit: usize) -> Result<Vec<(Owner, PhotoId, Commit)>, MetadataError> {
        let found = table::some::<Refs>(self.source(), &Bounds::prefix(&hash.to_key()), bounded(limit))?;
        Ok(found.into_iter().map(|((_, owner, photo), born)| (owner, photo, born)).collect())
    }

    /// Dead references to a blob: owner, row, the commits in which each began and ended.
    fn list_held(&self, hash: &BlobHash, limit: usize) -> Result<Vec<(Owner, PhotoId, Commit, Commit)>, MetadataError> {
        let found = table::some::<Held>(self.source(), &Bounds::prefix(&hash.to_key()), bounded(limit))?;
        Ok(found.into_iter().map(|((_, owner, photo, born), died)| (owner, photo, born, died)).collect())
    }

    /// A blob that is present at this site, damaged or not.
    fn blob(&self, hash: &BlobHash) -> Result<Option<BlobRow>, MetadataError> {
        Ok(table::get::<Blobs>(self.source(), hash)?.map(|stored| BlobRow::new(*hash, stored)))
    }

    /// All blobs that are present, by hash.
    fn list_blobs(&self, after_hash: Option<BlobHash>, limit: usize) -> Result<Page<BlobRow, BlobHash>, MetadataError> {
        let limit = bounded(limit);
        let found = table::some::<Blobs>(self.source(), &after(&[], after_hash.map(|hash| hash.to_key())), limit + 1)?;
        Ok(page(found.into_iter().map(|(hash, stored)| (hash, BlobRow::new(hash, stored))).collect(), limit))
    }

    /// Until when a blob is promised to an owner.
    fn pin(&self, owner: Owner, hash: &BlobHash) -> Result<Option<WallMs>, MetadataError> {
        table::get::<Pins>(self.source(), &(*hash, owner))
    }

    /// Copies queued for deletion.
    fn doomed(&self, after_key: Option<BlobKey>, limit: usize) -> Result<Page<(BlobKey, Doom), BlobKey>, MetadataError> {
        let limit = bounded(limit);
        let found = table::some::<Doomed>(self.source(), &after(&[], after_key.map(|key| key.to_key())), limit + 1)?;
        Ok(page(found.into_iter().map(|(key, doom)| (key, (key, doom))).collect(), limit))
    }

    /// Whether a copy is queued for deletion.
    fn is_doomed(&self, key: &BlobKey) -> Result<bool, MetadataError> {
        Ok(table::get::<Doomed>(self.source(), key)?.is_some())
    }

    /// Blobs to look at, due ones first.
    fn list_candidates(&self, limit: usize) -> Result<Vec<(WallMs, BlobHash)>, MetadataError> {
        Ok(table::some::<Candidates>(self.source(), &Bounds::all(), bounded(limit))?.into_iter().map(|(key, ())| key).collect())
    }

    /// A token by the hash of its secret; revoked ones are not found. Expiry is the caller's to look at.
    fn token_by_secret(&self, secret_hash: &[u8; 32]) -> Result<Option<TokenView>, MetadataError> {
        let Some(((_, key), ())) = table::first::<TokenSecrets>(self.source(), &Bounds::prefix(secret_hash))? else { return Ok(None) };
        Ok(token::view(&key, &self.births(&key)?))
    }

    /// A token by its public name.
    fn token(&self, owner: Owner, id: TokenId) -> Result<Option<TokenView>, MetadataError> {
        let key = RowKey::token(owner, id);
        Ok(token::view(&key, &self.births(&key)?))
    }

    /// When a token was last used at this site, to the minute.
    fn token_use(&self, token: TokenId) -> Result<Option<WallMs>, MetadataError> {
        table::get::<TokenUses>(self.source(), &token)
    }

    /// Tokens of an owner, by id.
    fn list_tokens(&self, owner: Owner, after_token: Option<TokenId>, limit: usize) -> Result<Page<TokenView, TokenId>, MetadataError> {
        let limit = bounded(limit);
        let prefix = (owner, Kind::TOKEN).to_key();
        let bounds = after(&prefix, after_token.map(|token| RowKey::token(owner, token).to_key()));
        let mut items = vec![];
        table::scan::<Rows>(self.source(), &bounds, |key, births| {
            items.extend(token::view(&key, &births).map(|token| (token.id, token)));
            Ok(if items.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(page(items, limit))
    }

    /// A tenant.
    fn tenant(&self, id: TenantId) -> Result<Option<TenantView>, MetadataError> {
        let key = RowKey::tenant(id);
        Ok(tenant::view(&key, &self.births(&key)?))
    }

    /// The tenant that holds a name.
    fn tenant_by_name(&self, name: &str) -> Result<Option<TenantView>, MetadataError> {
        match table::first::<Names>(self.source(), &Bounds::prefix(&name_prefix(NameScope::Tenants, name)))? {
            Some(((_, _, _, _, id), ())) => self.tenant(TenantId::from_uuid(id)),
            None => Ok(None),
        }
    }

    /// All tenants, by id.
    fn list_tenants(&self, after_tenant: Option<TenantId>, limit: usize) -> Result<Page<TenantView, TenantId>, MetadataError> {
        let limit = bounded(limit);
        let bounds = after(&Scope::tenants(), after_tenant.map(|tenant| Scope::Tenant(tenant).to_key()));
        let mut found = vec![];
        table::scan::<CountsOf>(self.source(), &bounds, |scope, counts| {
            if let (Scope::Tenant(id), true) = (scope, counts.tenants > 0) {
                found.push(id);
            }
            Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let mut items = vec![];
        for id in found {
            items.extend(self.tenant(id)?.map(|tenant| (id, tenant)));
        }
        Ok(page(items, limit))
    }

    /// A user.
    fn user(&self, owner: Owner) -> Result<Option<UserView>, MetadataError> {
        let key = RowKey::user(owner);
        Ok(user::view(&key, &self.births(&key)?))
    }

    /// The user of a tenant who holds a name.
    fn user_by_name(&self, tenant: TenantId, name: &str) -> Result<Option<UserView>, MetadataError> {
        match table::first::<Names>(self.source(), &Bounds::prefix(&name_prefix(NameScope::Users(tenant), name)))? {
            Some(((_, _, _, _, id), ())) => self.user(Owner { tenant, user: UserId::from_uuid(id) }),
            None => Ok(None),
        }
    }

    /// The users of a tenant, by id.
    fn list_users(&self, tenant: TenantId, after_user: Option<UserId>, limit: usize) -> Result<Page<UserView, UserId>, MetadataError> {
        let limit = bounded(limit);
        let prefix = Scope::owners_of(tenant);
        let bounds = after(&prefix, after_user.map(|user| Scope::Owner(Owner { tenant, user }).to_key()));
        let mut found = vec![];
        table::scan::<CountsOf>(self.source(), &bounds, |scope, counts| {
            if let (Scope::Owner(owner), true) = (scope, counts.users > 0) {
                found.push(owner);
            }
            Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let mut items = vec![];
        for owner in found {
            items.extend(self.user(owner)?.map(|user| (owner.user, user)));
        }
        Ok(page(items, limit))
    }

    /// The counts of a scope.
    fn counts(&self, scope: Scope) -> Result<Counts, MetadataError> {
        Ok(table::get::<CountsOf>(self.source(), &scope)?.unwrap_or_default())
    }

    /// The site as a whole.
    fn stats(&self) -> Result<SiteStats, MetadataError> {
        let counts = self.counts(Scope::Site)?;
        Ok(SiteStats {
            tenants: figure(counts.tenants),
            users: figure(counts.users),
            albums: figure(counts.albums),
            photos: figure(counts.photos),
            logical_bytes: figure(counts.photo_bytes),
            blobs: figure(counts.blobs),
            stored_bytes: figure(counts.stored_bytes),
            doomed: figure(counts.doomed),
            pins: figure(counts.pins),
            cold: counts.cold.into(),
        })
    }

    /// The audit log, newest first.
    fn audit(&self, before: Option<(Commit, u16)>, limit: usize) -> Result<Page<AuditRecord, (Commit, u16)>, MetadataError> {
        let limit = bounded(limit);
        let to = before.map_or(Bound::Unbounded, |position| Bound::Excluded(position.to_key()));
        let found = table::some::<Audit>(self.source(), &Bounds { from: Bound::Unbounded, to, reverse: true }, limit + 1)?;
        Ok(page(found, limit))
    }

    /// The set hash of a part; the root's tells whether two sites hold the same.
    fn sum(&self, of: SumOf) -> Result<SetHash, MetadataError> {
        Ok(table::get::<Sums>(self.source(), &of)?.unwrap_or_default())
    }

    /// The sums of the owners in a bucket.
    fn owner_sums(&self, bucket: Bucket) -> Result<Vec<(Owner, SetHash)>, MetadataError> {
        let mut sums = vec![];
        table::scan::<Sums>(self.source(), &Bounds::prefix(&SumOf::owners_in(bucket)), |of, sum| {
            if let SumOf::Owner(_, owner) = of {
                sums.push((owner, sum));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sums)
    }

    /// How far one origin's log was applied.
    fn head(&self, origin: Origin) -> Result<Option<Head>, MetadataError> {
        table::get::<Vector>(self.source(), &origin)
    }

    /// How far every origin's log was applied.
    fn vector(&self) -> Result<VersionVector, MetadataError> {
        let mut vector = VersionVector::default();
        table::scan::<Vector>(self.source(), &Bounds::all(), |origin, head| {
            vector.set(origin, head);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(vector)
    }

    /// A log entry as it is sent, and the commit that applied it.
    fn entry(&self, origin: Origin, seq: Seq) -> Result<Option<StoredEntry>, MetadataError> {
        table::get::<Entries>(self.source(), &(origin, seq))
    }

    /// What the commits after `commit` were.
    fn list_journal(&self, after_commit: Commit, limit: usize) -> Result<Page<(Commit, JournalRow), Commit>, MetadataError> {
        let limit = bounded(limit);
        let found = table::some::<Journal>(self.source(), &after(&[], Some(after_commit.to_key())), limit + 1)?;
        Ok(page(found.into_iter().map(|(commit, row)| (commit, (commit, row))).collect(), limit))
    }

    /// The last commit.
    fn last_commit(&self) -> Result<Commit, MetadataError> {
        Ok(table::get::<HeadsOf>(self.source(), &())?.map_or(Commit(0), |heads| heads.commit))
    }
}

/// The metadata as it was at one moment. Keeps the files that it needs; do not hold one for hours.
#[derive(Debug)]
pub struct Snapshot(Box<dyn super::engine::EngineSnapshot>);

impl Snapshot {
    pub(super) fn new(snapshot: Box<dyn super::engine::EngineSnapshot>) -> Self {
        Self(snapshot)
    }

    pub(super) fn has_missed(&self) -> bool {
        self.0.has_missed()
    }
}

impl Read for Snapshot {
    fn source(&self) -> &dyn Source {
        &*self.0
    }
}
