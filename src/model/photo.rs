//! Photos: entries in albums, as users see them.

use super::change::{self, Group, Seen};
use super::row::{Births, Delta, Field, Fixed};
use super::taken::Gps;
use super::value::{self, FixedBuilder, read_array, read_number, read_text, write_number};
use super::{AlbumId, BlobHash, Owner, PerceptualHash, PhotoId, RowKey, Sha256, Stamp, WallMs};

// The stored format: a number is never given another meaning.
// Fixed fields.
const HASH: Field = Field(1);
const SIZE_BYTES: Field = Field(2);
const FORMAT: Field = Field(3);
const WIDTH: Field = Field(4);
const HEIGHT: Field = Field(5);
const ORIENTATION: Field = Field(6);
const SHA256: Field = Field(7);
const CRC32: Field = Field(8);
const TAKEN_AT: Field = Field(9);
const CAMERA_MAKE: Field = Field(10);
const CAMERA_MODEL: Field = Field(11);
const LENS: Field = Field(12);
const GPS: Field = Field(13);
const PLACEHOLDER: Field = Field(14);
const FIRST_CREATED_MS: Field = Field(15);
const PERCEPTUAL_HASH: Field = Field(16);
// Registers.
const NAME: Field = Field(1);
const CAPTION: Field = Field(2);

fn gps_to_bytes(gps: Gps) -> Vec<u8> {
    let numbers = [Some(gps.latitude_e7), Some(gps.longitude_e7), gps.altitude_mm];
    numbers.into_iter().flatten().flat_map(i32::to_be_bytes).collect()
}

fn gps_from_bytes(bytes: &[u8]) -> Option<Gps> {
    let (numbers, []) = bytes.as_chunks::<4>() else { return None };
    let number = |bytes: &[u8; 4]| i32::from_be_bytes(*bytes);
    let (latitude, longitude, altitude) = match numbers {
        [latitude, longitude] => (latitude, longitude, None),
        [latitude, longitude, altitude] => (latitude, longitude, Some(number(altitude))),
        _ => return None,
    };
    Some(Gps { latitude_e7: number(latitude), longitude_e7: number(longitude), altitude_mm: altitude })
}

/// What is known of a photo when it is created, and never changes: what its bytes say.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPhoto {
    /// The name of its bytes.
    pub hash: BlobHash,
    /// Their length.
    pub size_bytes: u64,
    /// The image format, as `Format` spells it (`jpeg`, …).
    pub format: String,
    /// Pixels across, as shown, after orientation.
    pub width: u32,
    /// Pixels down, as shown, after orientation.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
    /// CRC-32 (ISO-HDLC, as in ZIP) of the bytes.
    pub crc32: u32,
    /// Civil date and time, RFC 3339, without an offset where the camera told none.
    pub taken_at: Option<String>,
    /// The camera's maker.
    pub camera_make: Option<String>,
    /// The camera's model.
    pub camera_model: Option<String>,
    /// The lens.
    pub lens: Option<String>,
    /// The place.
    pub gps: Option<Gps>,
    /// A ThumbHash.
    pub placeholder: Option<Vec<u8>>,
    /// How it looks, to find near duplicates by; none of what shows nothing, or came before there were such hashes.
    pub perceptual_hash: Option<PerceptualHash>,
}

impl NewPhoto {
    /// The fixed part of a photo's birth.
    pub fn to_fixed(&self) -> Fixed {
        FixedBuilder::default()
            .put(HASH, self.hash.as_bytes().as_slice())
            .put(SIZE_BYTES, write_number(self.size_bytes))
            .put(FORMAT, self.format.as_str())
            .put(WIDTH, write_number(self.width.into()))
            .put(HEIGHT, write_number(self.height.into()))
            .put(ORIENTATION, write_number(self.orientation.into()))
            .put(SHA256, self.sha256.as_bytes().as_slice())
            .put(CRC32, self.crc32.to_be_bytes())
            .put_some(TAKEN_AT, self.taken_at.as_deref())
            .put_some(CAMERA_MAKE, self.camera_make.as_deref())
            .put_some(CAMERA_MODEL, self.camera_model.as_deref())
            .put_some(LENS, self.lens.as_deref())
            .put_some(GPS, self.gps.map(gps_to_bytes))
            .put_some(PLACEHOLDER, self.placeholder.as_deref())
            .put_some(PERCEPTUAL_HASH, self.perceptual_hash.map(PerceptualHash::to_bytes))
            .build()
    }

    /// The delta that creates the photo in an album. `at` becomes its birth. The bytes must be there: that is the caller's to check.
    pub fn create(&self, owner: Owner, id: PhotoId, at: Stamp, album: AlbumId, name: &str, caption: Option<&str>) -> Delta {
        let caption = caption.map(|caption| (CAPTION, caption.into()));
        let registers = [(NAME, name.into())].into_iter().chain(caption);
        change::create(RowKey::photo(owner, id), at, self.to_fixed(), Some(album.as_bytes().to_vec()), registers)
    }
}

/// A photo as its owner sees it: the births of one id and the same bytes, joined.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotoView {
    /// Under which id it is shown: the row's own, or another one where the row holds other, older bytes, too.
    pub id: PhotoId,
    /// The row behind it.
    pub key: RowKey,
    /// The name of its bytes.
    pub hash: BlobHash,
    /// Their length.
    pub size_bytes: u64,
    /// The image format, as `Format` spells it.
    pub format: String,
    /// Pixels across, as shown.
    pub width: u32,
    /// Pixels down, as shown.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// The file's name; empty where none was given.
    pub name: String,
    /// What the user says of it.
    pub caption: Option<String>,
    /// Where it stands; in the trash: where it stood.
    pub album: AlbumId,
    /// Civil date and time, RFC 3339, without an offset where the camera told none.
    pub taken_at: Option<String>,
    /// The camera's maker.
    pub camera_make: Option<String>,
    /// The camera's model.
    pub camera_model: Option<String>,
    /// The lens.
    pub lens: Option<String>,
    /// The place.
    pub gps: Option<Gps>,
    /// A ThumbHash.
    pub placeholder: Option<Vec<u8>>,
    /// How it looks, to find near duplicates by; none of what shows nothing, or came before there were such hashes.
    pub perceptual_hash: Option<PerceptualHash>,
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
    /// CRC-32 of the bytes.
    pub crc32: u32,
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
pub struct PhotoEdit {
    /// The file's name.
    pub name: Option<String>,
    /// The caption; empty takes it away.
    pub caption: Option<String>,
}

/// The photos of a row that are not in the trash: one, or none, or more where one id was given to different bytes at two sites.
pub fn view(key: &RowKey, births: &Births) -> Vec<PhotoView> {
    all(key, births).into_iter().filter(|photo| !photo.trashed).collect()
}

/// The photos of a row that are in the trash.
pub fn view_trashed(key: &RowKey, births: &Births) -> Vec<PhotoView> {
    all(key, births).into_iter().filter(|photo| photo.trashed).collect()
}

/// All photos of a row. The one with the oldest birth has the row's id (in the trash, too, so that trashing it renames nothing),
/// others that of their bytes. A photo whose essential fields this version cannot read is not shown.
pub fn all(key: &RowKey, births: &Births) -> Vec<PhotoView> {
    let groups = change::groups(births, |live| value::fixed(live, HASH).and_then(read_array).map(BlobHash::from_bytes));
    let own_id = PhotoId::from_uuid(key.id);
    let photos = groups.into_iter().enumerate().filter_map(|(place, (hash, group))| {
        let id = if place == 0 { own_id } else { own_id.of_other_bytes(&hash) };
        of_group(id, *key, hash, group)
    });
    photos.collect()
}

fn of_group(id: PhotoId, key: RowKey, hash: BlobHash, group: Group) -> Option<PhotoView> {
    let live = &group.live;
    let fixed = |field| value::fixed(live, field);
    Some(PhotoView {
        id,
        key,
        hash,
        size_bytes: fixed(SIZE_BYTES).and_then(read_number)?,
        format: fixed(FORMAT).and_then(read_text)?,
        width: fixed(WIDTH).and_then(read_number)?,
        height: fixed(HEIGHT).and_then(read_number)?,
        orientation: fixed(ORIENTATION).and_then(read_number)?,
        name: value::register_text(live, NAME).unwrap_or_default(),
        caption: value::register_text(live, CAPTION),
        album: AlbumId::from_bytes(read_array(&live.place.as_ref()?.value)?),
        taken_at: fixed(TAKEN_AT).and_then(read_text),
        camera_make: fixed(CAMERA_MAKE).and_then(read_text),
        camera_model: fixed(CAMERA_MODEL).and_then(read_text),
        lens: fixed(LENS).and_then(read_text),
        gps: fixed(GPS).and_then(gps_from_bytes),
        placeholder: fixed(PLACEHOLDER).map(<[u8]>::to_vec),
        perceptual_hash: fixed(PERCEPTUAL_HASH).and_then(read_array).map(PerceptualHash::from_bytes),
        sha256: Sha256::from_bytes(fixed(SHA256).and_then(read_array)?),
        crc32: u32::from_be_bytes(fixed(CRC32).and_then(read_array)?),
        created: group.created,
        first_created: change::first_created(&group, FIRST_CREATED_MS),
        trashed: group.trashed,
        births: group.seen,
    })
}

/// The hashes of all births of a row that are not deleted, in the trash or not, each once.
pub fn hashes(births: &Births) -> Vec<BlobHash> {
    let hashes = births.live().filter_map(|(_, live)| value::fixed(live, HASH).and_then(read_array).map(BlobHash::from_bytes));
    hashes.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

impl PhotoView {
    /// Sets name and caption.
    pub fn edit(&self, at: Stamp, edit: &PhotoEdit) -> Vec<Delta> {
        let name = edit.name.as_ref().map(|name| (NAME, name.clone().into_bytes()));
        let caption = edit.caption.as_ref().map(|caption| (CAPTION, caption.clone().into_bytes()));
        change::edit(self.key, &self.births, at, name.into_iter().chain(caption))
    }

    /// Moves it to another album.
    pub fn move_to(&self, at: Stamp, album: AlbumId) -> Vec<Delta> {
        change::move_to(self.key, &self.births, at, album.as_bytes())
    }

    /// Moves it to the trash.
    pub fn trash(&self) -> Vec<Delta> {
        change::trash(self.key, &self.births)
    }

    /// Deletes it for good.
    pub fn purge(&self) -> Vec<Delta> {
        change::purge(self.key, &self.births)
    }
}

/// Puts a photo back from the trash or from the past: deletes the births of `now` of these bytes
/// and makes a new one, which a concurrent purge cannot hit. `now`: the row as it is; `from`: where the fields come
/// from, `now` itself or the row of a snapshot; `album`: where to, `None` for where it was. No deltas where `from` has no such bytes.
/// One photo of a row and commit: others of the row need a stamp of their own.
pub fn put_back(key: RowKey, at: Stamp, hash: &BlobHash, now: &Births, from: &Births, album: Option<AlbumId>) -> Vec<Delta> {
    let group = |births| {
        let groups = change::groups(births, |live| value::fixed(live, HASH).and_then(read_array).map(BlobHash::from_bytes));
        groups.into_iter().find(|(found, _)| found == hash).map(|(_, group)| group)
    };
    let Some(source) = group(from) else { return vec![] };
    let seen = group(now).map(|group| group.seen).unwrap_or_default();
    change::rebirth(key, at, &seen, &source, album.map(|album| album.as_bytes().to_vec()), Some(FIRST_CREATED_MS))
}
