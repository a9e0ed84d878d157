//! Albums, as users see them.

use super::change::{self, Seen};
use super::photo::PhotoView;
use super::row::{Births, Delta, Field, Fixed};
use super::value;
use super::{AlbumId, Owner, RowKey, Stamp, WallMs};

// The stored format: a number is never given another meaning.
// Fixed fields.
const FIRST_CREATED_MS: Field = Field(1);
// Registers.
const NAME: Field = Field(1);
const DESCRIPTION: Field = Field(2);

/// What an album is called whose row is gone while a photo in it is not.
pub const RECOVERED: &str = "Recovered";

/// A new album.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NewAlbum {
    /// Its name.
    pub name: String,
    /// What the user says of it; may be empty.
    pub description: String,
}

impl NewAlbum {
    /// The delta that creates it. `at` becomes its birth.
    pub fn create(&self, owner: Owner, id: AlbumId, at: Stamp) -> Delta {
        let description = (!self.description.is_empty()).then(|| (DESCRIPTION, self.description.clone().into_bytes()));
        let registers = [(NAME, self.name.clone().into_bytes())].into_iter().chain(description);
        change::create(RowKey::album(owner, id), at, Fixed::new(), Some(AlbumId::ROOT.as_bytes().to_vec()), registers)
    }
}

/// An album as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlbumView {
    /// Which.
    pub id: AlbumId,
    /// The row behind it.
    pub key: RowKey,
    /// Its name.
    pub name: String,
    /// What the user says of it; may be empty.
    pub description: String,
    /// The oldest birth shown.
    pub created: Stamp,
    /// When it was first created: before `created` where it was put back or restored since.
    pub first_created: WallMs,
    /// In the trash.
    pub trashed: bool,
    /// The births that an edit, a trashing or a deletion by who saw this names.
    pub births: Vec<Seen>,
}

/// What an edit sets; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlbumEdit {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<String>,
}

/// The album of a row; `None` in the trash. An album without one is still visible while a photo in it is: [`RECOVERED`].
pub fn view(key: &RowKey, births: &Births) -> Option<AlbumView> {
    any(key, births).filter(|album| !album.trashed)
}

/// The album of a row that is in the trash.
pub fn view_trashed(key: &RowKey, births: &Births) -> Option<AlbumView> {
    any(key, births).filter(|album| album.trashed)
}

fn any(key: &RowKey, births: &Births) -> Option<AlbumView> {
    let group = change::only_group(births)?;
    Some(AlbumView {
        id: AlbumId::from_uuid(key.id),
        key: *key,
        name: value::register_text(&group.live, NAME).unwrap_or_default(),
        description: value::register_text(&group.live, DESCRIPTION).unwrap_or_default(),
        created: group.created,
        first_created: change::first_created(&group, FIRST_CREATED_MS),
        trashed: group.trashed,
        births: group.seen,
    })
}

impl AlbumView {
    /// Sets name and description.
    pub fn edit(&self, at: Stamp, edit: &AlbumEdit) -> Vec<Delta> {
        let name = edit.name.as_ref().map(|name| (NAME, name.clone().into_bytes()));
        let description = edit.description.as_ref().map(|text| (DESCRIPTION, text.clone().into_bytes()));
        change::edit(self.key, &self.births, at, name.into_iter().chain(description))
    }

    /// Moves the album's row to the trash. Its photos go first, see [`AlbumView::trash_with`].
    pub fn trash(&self) -> Vec<Delta> {
        change::trash(self.key, &self.births)
    }

    /// Moves the album and the photos seen in it to the trash, the album last. Those of a large album may go in pieces, by
    /// [`PhotoView::trash`], before this: the album stays visible until the last one.
    pub fn trash_with<'a>(&self, photos: impl IntoIterator<Item = &'a PhotoView>) -> Vec<Delta> {
        photos.into_iter().flat_map(PhotoView::trash).chain(self.trash()).collect()
    }

    /// Deletes the album's row for good.
    pub fn purge(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}

/// Puts an album back from the trash or from the past: deletes the births of `now` and makes a new one with the fields of `from`.
pub fn put_back(key: RowKey, at: Stamp, now: &Births, from: &Births) -> Vec<Delta> {
    let Some(source) = change::only_group(from) else { return vec![] };
    let seen = change::only_group(now).map(|group| group.seen).unwrap_or_default();
    change::rebirth(key, at, &seen, &source, None, Some(FIRST_CREATED_MS))
}
