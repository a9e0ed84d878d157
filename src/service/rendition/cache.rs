//! A cache of renditions in memory, bounded in bytes, scan-resistant (moka's TinyLFU), with one render at a time for a key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::imaging::{preview_serves, processor};
use crate::model::{BlobHash, HashPrefix};
use crate::runtime;
use crate::service::Forgotten;
use crate::service::rendition_url::RecipeKey;

use super::disk::EntryName;
use super::kept::Kept;
use super::make::imaging_recipe;
use super::preview::MAGIC;
use super::{Rendition, ServiceError};

/// The cache puts out late what is too much, and lets go of it later still: within two turns of its housekeeping as a rule.
const HOUSEKEEPINGS: usize = 4;
/// Of what clients may hold, small images have one more of so many parts.
const FOR_SMALL_ONES: u64 = 4;

/// Counts the versions of the pipeline: a rendition of another version has another tag. Where previews come out otherwise, their own version
/// ([`MAGIC`]) is raised as well, so that none of before is used.
pub(super) const ENCODER_VERSION: u32 = 7;

/// What a rendition is a function of, beside the encoder's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) hash: BlobHash,
    pub(super) recipe: RecipeKey,
    /// Whether small ones are made from previews at this site.
    pub(super) previews: bool,
    /// A larger colour profile, or orientation in a larger block, is not looked at at this site.
    pub(super) max_embedded_bytes: u64,
}

impl CacheKey {
    /// BLAKE3 over everything that the bytes are a function of, as 32 hex digits.
    pub(super) fn tag(&self) -> String {
        self.digest().to_hex()[..32].to_owned()
    }

    /// Whether it is made from the preview of its photo, which is `shown` large; the photo itself where that can have none. The tag covers what
    /// this follows from.
    pub(super) fn is_from_preview(&self, shown: (u32, u32)) -> bool {
        self.previews && preview_serves(shown, &imaging_recipe(&self.recipe))
    }

    /// Where it lies on disk.
    pub(super) fn entry(&self) -> EntryName {
        EntryName::new(&self.hash, &self.digest())
    }

    fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key("halidom 2026-11 rendition entity tag");
        hasher.update(self.hash.as_bytes());
        hasher.update(&ENCODER_VERSION.to_be_bytes());
        if self.previews {
            hasher.update(MAGIC);
        }
        hasher.update(&self.max_embedded_bytes.to_be_bytes());
        hasher.update(self.recipe.to_string().as_bytes());
        // A range of one must not go on in what another kind of processor has made.
        hasher.update(processor().as_bytes());
        hasher.finalize()
    }
}

/// The cache. Failed renders are not kept.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Kept,
    flights: Flights,
    alive: Arc<AtomicU64>,
    max_alive: u64,
    /// What was forgotten: what was begun of it before is not kept.
    forgotten: Lately,
}

/// Room for one more image: for small ones there is a little more, so that who takes large ones slowly does not keep pages from their
/// thumbnails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    ForAny,
    ForSmallOnes,
    None,
}

impl Room {
    pub(super) fn holds(self, recipe: &RecipeKey) -> bool {
        match self {
            Self::ForAny => true,
            Self::ForSmallOnes => recipe.is_small(),
            Self::None => false,
        }
    }
}

/// An image, counted for as long as anybody has it: the cache, or a client that takes it.
struct Counted {
    image: Vec<u8>,
    alive: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.image
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.image.len() as u64, Ordering::Relaxed);
    }
}

/// What was forgotten lately.
#[derive(Debug, Clone, Default)]
struct Lately(Arc<Mutex<Forgotten<HashPrefix>>>);

impl Lately {
    fn get(&self) -> MutexGuard<'_, Forgotten<HashPrefix>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Rendered = BoxFuture<'static, Result<Rendition, ServiceError>>;

impl Cache {
    /// Holds at most `max_bytes` of images. Clients may hold `max_taken` more that were put out of it.
    pub(super) fn new(max_bytes: u64, max_taken: u64) -> Self {
        let (kept, max_alive) = (Kept::new(max_bytes), max_bytes.saturating_add(max_taken));
        Self { kept, flights: Flights::default(), alive: Arc::default(), max_alive, forgotten: Lately::default() }
    }

    /// Counts an image until the last who has it lets it go.
    pub(super) fn count(&self, image: Vec<u8>) -> Bytes {
        self.alive.fetch_add(image.len() as u64, Ordering::Relaxed);
        Bytes::from_owner(Counted { image, alive: self.alive.clone() })
    }

    /// What there is room for. Those under way are not counted yet.
    pub(super) async fn room(&self) -> Room {
        for _ in 0..HOUSEKEEPINGS {
            if self.alive.load(Ordering::Relaxed) < self.max_alive {
                return Room::ForAny;
            }
            self.kept.tidy().await;
        }
        match self.alive.load(Ordering::Relaxed) {
            alive if alive < self.max_alive => Room::ForAny,
            alive if alive < self.max_alive + self.max_alive / FOR_SMALL_ONES => Room::ForSmallOnes,
            _ => Room::None,
        }
    }

    /// Whether there is room for one more image of this recipe.
    pub(super) async fn has_room(&self, recipe: &RecipeKey) -> bool {
        self.room().await.holds(recipe)
    }

    /// Counts forgettings: to be asked before something is made without being asked for.
    pub(super) fn forgettings(&self) -> u64 {
        self.forgotten.get().count()
    }

    /// Keeps what was made without being asked for, unless its blob was forgotten since so many forgettings.
    pub(super) async fn insert(&self, key: CacheKey, rendition: Rendition, forgettings: u64) {
        self.kept.insert(key, rendition).await;
        if self.is_forgotten_since(forgettings, &key.hash) {
            self.kept.remove(&key).await;
        }
    }

    /// Whether a blob was forgotten since so many forgettings.
    pub(super) fn is_forgotten_since(&self, forgettings: u64, hash: &BlobHash) -> bool {
        self.forgotten.get().is_since(forgettings, |blob| *blob == hash.prefix())
    }

    /// Whether somebody waits for it.
    pub(super) fn is_under_way(&self, key: &CacheKey) -> bool {
        self.flights.state().by_key.contains_key(key)
    }

    /// Whether it lies here; nobody asks for it by that.
    pub(super) fn contains(&self, key: &CacheKey) -> bool {
        self.kept.contains(key)
    }

    pub(super) async fn get(&self, key: &CacheKey) -> Option<Rendition> {
        self.kept.get(key).await
    }

    /// Drops the renditions of blobs whose hash begins so; one that is made meanwhile will not be kept.
    pub(super) async fn forget(&self, prefix: &HashPrefix) {
        self.forgotten.get().add(*prefix);
        for key in self.kept.of_blob(prefix) {
            self.kept.remove(&key).await;
        }
    }

    /// Keeps nothing that is under way; what lies here stays.
    pub(super) fn forget_begun(&self) {
        self.forgotten.get().add_all();
    }

    /// Of which blobs there are renditions here.
    pub(super) fn blobs(&self) -> Vec<HashPrefix> {
        self.kept.blobs()
    }

    /// The kept rendition, or the one that `stored` finds elsewhere, or the one that `render` makes once it is its `turn`; others that ask meanwhile wait for it and share its
    /// error. One that has its turn goes to its end and is kept also where every asker has gone; before that it is dropped with the last.
    pub(super) async fn get_or_render<Turn, Render>(
        &self,
        key: CacheKey,
        stored: impl Future<Output = Option<Rendition>> + Send + 'static,
        turn: impl Future<Output = Result<Turn, ServiceError>> + Send + 'static,
        render: impl FnOnce(Turn) -> Render + Send + 'static,
    ) -> Result<Rendition, ServiceError>
    where
        Turn: Send + 'static,
        Render: Future<Output = Result<Rendition, ServiceError>> + Send + 'static,
    {
        let (kept, flights, forgotten) = (self.kept.clone(), self.flights.clone(), self.forgotten.clone());
        let rendered = async move {
            // One that landed since this asker looked.
            if let Some(rendition) = kept.get(&key).await {
                return Ok(rendition);
            }
            let begun = forgotten.get().count();
            let rendition = match stored.await {
                Some(rendition) => rendition,
                None => {
                    let turn = turn.await?;
                    flights.hold(&key);
                    render(turn).await?
                }
            };
            kept.insert(key, rendition.clone()).await;
            // Either the forgetting sees it there, or this sees the forgetting.
            let is_forgotten = forgotten.get().is_since(begun, |blob| *blob == key.hash.prefix());
            if is_forgotten {
                kept.remove(&key).await;
            }
            Ok(rendition)
        };
        self.flights.join(key, rendered).await
    }

    /// Entries and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        self.kept.size()
    }
}

/// The renders under way. Each lives as long as somebody waits for it.
#[derive(Debug, Clone, Default)]
struct Flights(Arc<Mutex<FlightsState>>);

#[derive(Debug, Default)]
struct FlightsState {
    begun: u64,
    /// With their numbers.
    by_key: HashMap<CacheKey, (u64, WeakShared<Rendered>)>,
}

impl Flights {
    /// The flight under way, or `rendered` as a new one.
    fn join(&self, key: CacheKey, rendered: impl Future<Output = Result<Rendition, ServiceError>> + Send + 'static) -> Shared<Rendered> {
        let mut state = self.state();
        if let Some(flight) = state.by_key.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return flight;
        }
        state.begun += 1;
        let landing = Landing { flights: self.clone(), key, number: state.begun };
        let number = landing.number;
        let flight = async move {
            let _landing = landing;
            rendered.await
        };
        let flight = flight.boxed().shared();
        // Always there before it is first asked.
        if let Some(weak) = flight.downgrade() {
            state.by_key.insert(key, (number, weak));
        }
        flight
    }

    /// Has a task wait for the flight, to its end.
    fn hold(&self, key: &CacheKey) {
        let flight = self.state().by_key.get(key).and_then(|(_, flight)| flight.upgrade());
        if let Some(flight) = flight {
            runtime::spawn(async move { drop(flight.await) });
        }
    }

    fn state(&self) -> MutexGuard<'_, FlightsState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Strikes a flight off the list when it ends or is dropped.
struct Landing {
    flights: Flights,
    key: CacheKey,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut state = self.flights.state();
        // Where the last asker has gone, another may have begun the same anew.
        if state.by_key.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            state.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
