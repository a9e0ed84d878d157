//! Near duplicates: an owner's photos by their perceptual hashes, and the search for those that differ in few bits.
//!
//! Multi-index hashing (M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012). A hash is
//! cut into four bands of 16 bits, and a photo has a row in each. Of two hashes that differ in few bits some band differs in still fewer:
//! the search looks up that band's value, then those that differ from it in one bit, then in two. What all four bands have been searched
//! for with `r` bits, and `n` of them with one more, cannot be missing within a distance of `4r + n + 3`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use super::MetadataError;
use super::column::{Column, Scope, Similar};
use super::engine::{Bounds, Source};
use super::key::Key;
use super::page::{Page, bounded, page};
use super::read::{Read, Snapshot};
use super::table;
use crate::model::photo::PhotoView;
use crate::model::{Owner, PerceptualHash, PhotoId};

/// Bands of a hash.
const BANDS: u8 = 4;
/// Bits of a band.
const BAND_BITS: u32 = PerceptualHash::BITS / BANDS as u32;
/// In so many of a band's bits the search tolerates a difference: three would be thousands of look-ups.
const MAX_FLIPS: usize = 2;
/// The largest distance that can be asked for: what so many bits in each band find.
pub const MAX_DISTANCE: u32 = BANDS as u32 * (MAX_FLIPS as u32 + 1) - 1;
/// So many rows are looked at, at most, for one page: what a million photos of one scene would otherwise cost.
pub(super) const MAX_ROWS: usize = 50_000;
/// An owner of no more photos than this has all of them compared: that is quicker than looking up hundreds of values.
const FEW_PHOTOS: i64 = 2_000;

/// The values of a band that differ from zero in so many bits.
static FLIPS: LazyLock<[Vec<u16>; MAX_FLIPS + 1]> =
    LazyLock::new(|| std::array::from_fn(|count| (0..=u16::MAX).filter(|value| value.count_ones() as usize == count).collect()));

/// The hash with a band's bits first.
fn turned(hash: PerceptualHash, band: u8) -> PerceptualHash {
    PerceptualHash(hash.0.rotate_left(BAND_BITS * u32::from(band)))
}

/// The rows of a photo that is shown.
pub(super) fn rows(owner: Owner, hash: PerceptualHash, photo: PhotoId) -> impl Iterator<Item = <Similar as Column>::Key> {
    (0..BANDS).map(move |band| (owner, band, turned(hash, band), photo))
}

/// Where a photo stands among those that are like another one: by distance, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SimilarPosition {
    /// In how many bits the hashes differ.
    pub distance: u32,
    /// Which photo.
    pub photo: PhotoId,
}

/// A photo that looks like another one.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarPhoto {
    /// In how many bits their hashes differ.
    pub distance: u32,
    /// The photo.
    pub photo: PhotoView,
}

/// Photos that look like another one, nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarPage {
    /// What was found.
    pub page: Page<SimilarPhoto, SimilarPosition>,
    /// Of the photos up to this distance none is missing; it is the one that was asked for unless the search ended at [`MAX_ROWS`].
    pub complete_within: u32,
}

impl Snapshot {
    /// The photos of the same owner whose hash differs from that of `photo` in at most `distance` bits ([`MAX_DISTANCE`]), nearest first,
    /// without itself and what is in the trash. Looks at a bounded number of rows: past it the answer says how far it is complete. `None`
    /// where the photo has no hash.
    ///
    /// # Errors
    /// As all of [`Read`].
    pub fn list_similar(
        &self,
        photo: &PhotoView,
        distance: u32,
        after: Option<SimilarPosition>,
        limit: usize,
    ) -> Result<Option<SimilarPage>, MetadataError> {
        let Some(hash) = photo.perceptual_hash else { return Ok(None) };
        let (owner, limit) = (photo.key.owner, bounded(limit));
        let sought = Sought { owner, hash, except: photo.id, distance: distance.min(MAX_DISTANCE), after, room: limit + 1 };
        let mut search = Search::new(self.source(), sought);
        let few = self.counts(Scope::Owner(owner))?.photos <= FEW_PHOTOS;
        let complete_within = if few && search.all()? { sought.distance } else { search.nearest_first()? };
        let positions: Vec<_> = search.found.into_iter().collect();
        let ids: Vec<_> = positions.iter().map(|at| at.photo).collect();
        let mut items = Vec::with_capacity(positions.len());
        for (at, photo) in positions.into_iter().zip(self.photos(owner, &ids)?) {
            let photo =
                photo.ok_or_else(|| MetadataError::damaged(format!("photo {} has a perceptual hash, and is not shown", at.photo)))?;
            items.push((at, SimilarPhoto { distance: at.distance, photo }));
        }
        Ok(Some(SimilarPage { page: page(items, limit), complete_within }))
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
struct Sought {
    owner: Owner,
    hash: PerceptualHash,
    except: PhotoId,
    distance: u32,
    after: Option<SimilarPosition>,
    /// So many are kept: the page, and one more.
    room: usize,
}

/// A search under way.
struct Search<'a> {
    source: &'a dyn Source,
    sought: Sought,
    found: BTreeSet<SimilarPosition>,
    rows_left: usize,
}

impl<'a> Search<'a> {
    fn new(source: &'a dyn Source, sought: Sought) -> Self {
        Self { source, sought, found: BTreeSet::new(), rows_left: MAX_ROWS }
    }

    /// Compares every photo of the owner; `false` where there were too many.
    fn all(&mut self) -> Result<bool, MetadataError> {
        self.scan(0, &Bounds::prefix(&(self.sought.owner, 0_u8).to_key()))
    }

    /// Looks up what differs in few bits, then in more, until nothing can be missing. Answers within which distance nothing is.
    fn nearest_first(&mut self) -> Result<u32, MetadataError> {
        self.same()?;
        let mut complete = 0;
        for (flips, values) in (0..).zip(FLIPS.iter()) {
            // The first band has the constant part, which tells nothing: it comes last.
            for (nth, band) in (0..).zip((0..BANDS).rev()) {
                if complete >= self.sought.distance || self.is_full_within(complete) {
                    return Ok(self.sought.distance);
                }
                for flipped in values {
                    let turned = turned(self.sought.hash, band);
                    let value = (turned.0 >> (PerceptualHash::BITS - BAND_BITS)) as u16 ^ flipped;
                    if !self.scan(band, &Bounds::prefix(&(self.sought.owner, band, value).to_key()))? {
                        return Ok(complete);
                    }
                }
                complete = u32::from(BANDS) * flips + nth;
            }
        }
        Ok(complete.min(self.sought.distance))
    }

    /// The very same hash, from where the page begins: however many photos have it, one page costs no more than it holds.
    fn same(&mut self) -> Result<(), MetadataError> {
        let Sought { owner, hash, after, .. } = self.sought;
        let prefix = (owner, 0_u8, hash).to_key();
        let bounds = match after {
            None => Bounds::prefix(&prefix),
            Some(SimilarPosition { distance: 0, photo }) => Bounds::prefix_after(&prefix, (owner, 0_u8, hash, photo).to_key()),
            Some(_) => return Ok(()),
        };
        table::scan::<Similar>(self.source, &bounds, |(_, _, _, photo), ()| {
            self.consider(0, photo);
            Ok(if self.found.len() < self.sought.room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })
    }

    /// Considers the rows of a band; `false` where there were too many.
    fn scan(&mut self, band: u8, bounds: &Bounds) -> Result<bool, MetadataError> {
        let sought = turned(self.sought.hash, band);
        let mut whole = true;
        table::scan::<Similar>(self.source, bounds, |(_, _, turned, photo), ()| {
            let Some(left) = self.rows_left.checked_sub(1) else {
                whole = false;
                return Ok(ControlFlow::Break(()));
            };
            self.rows_left = left;
            self.consider(sought.distance(turned), photo);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(whole)
    }

    fn consider(&mut self, distance: u32, photo: PhotoId) {
        let at = SimilarPosition { distance, photo };
        if distance > self.sought.distance || photo == self.sought.except || self.sought.after.is_some_and(|after| at <= after) {
            return;
        }
        // A photo that other bands gave before is there already.
        self.found.insert(at);
        if self.found.len() > self.sought.room {
            self.found.pop_last();
        }
    }

    /// Whether the page is full of what is known to be nearest.
    fn is_full_within(&self, complete: u32) -> bool {
        self.found.len() >= self.sought.room && self.found.last().is_some_and(|last| last.distance <= complete)
    }
}

#[cfg(test)]
mod tests;
