//! Makes renditions: once for any number of requests that wait, each in its lane.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::cache::CacheKey;
use super::disk::Seen;
use super::lane::{Fetch, Lane, Place, Turn};
use super::preview::Preview;
use super::{Rendition, RenditionFormat, RenditionRequest, RenditionService, Served, ServedFrom};
use crate::imaging;
use crate::model::BlobHash;
use crate::service::ServiceError;
use crate::service::memory::Memory;
use crate::service::rendition_url::RecipeKey;

/// How a rendition that nobody else had begun came to be there. Times are monotonic.
#[derive(Debug, Clone, Copy)]
pub(super) enum Made {
    Found,
    Rendered { begun: Duration, ended: Duration },
}

/// What one rendition is made from.
#[derive(Debug)]
enum Source {
    /// The preview of a photo that is shown so large, and leave to have it until it renders.
    Preview(Arc<Preview>, (u32, u32), Fetch),
    Original(Original),
}

/// A photo's bytes, and what holds room for them.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) bytes: Bytes,
    /// To be kept until they are dropped.
    pub(super) memory: OwnedSemaphorePermit,
    /// To be kept until it renders; none where nobody waits.
    pub(super) fetch: Option<Fetch>,
}

/// The right to make a slow rendition, and what of.
#[derive(Debug)]
struct SlowTurn {
    place: Place,
    turn: Turn,
    source: Source,
    /// What the cache on disk had seen before it was fetched.
    seen: Option<Seen>,
}

impl RenditionService {
    /// Renders, or takes from the cache. Any number of requests for the same rendition wait for one render; it is given up where all of
    /// them have gone before its turn.
    ///
    /// # Errors
    /// `Busy` where too many renditions wait, or are still being taken, or the deadline passes; `Damaged` where the original's bytes are;
    /// `BrokenImage` where it cannot be decoded.
    pub async fn rendition(self: &Arc<Self>, request: &RenditionRequest) -> Result<Served, ServiceError> {
        let key = request.key;
        if let Some(rendition) = self.renditions.in_memory(&key).await {
            return Ok(Served { rendition, from: ServedFrom::Cache, queued: Duration::ZERO });
        }
        let began = self.runtime.clock.monotonic();
        let made = Arc::new(OnceLock::new());
        let making = self.made(key, {
            let made = made.clone();
            move |how| {
                let _ = made.set(how);
            }
        });
        let in_time = crate::runtime::timeout(self.renditions.deadline, making).await;
        let rendition = in_time.unwrap_or(Err(ServiceError::Busy("the rendition took too long")))?;
        let (queued, from) = match made.get() {
            Some(Made::Found) => (Duration::ZERO, ServedFrom::Disk),
            Some(Made::Rendered { begun, ended }) => (begun.saturating_sub(began), ServedFrom::Rendered(ended.saturating_sub(began))),
            None => (Duration::ZERO, ServedFrom::Joined),
        };
        Ok(Served { rendition, from, queued })
    }

    /// The rendition once it is there: kept, under way, found on disk or rendered now; of the last two `told` says which.
    pub(super) async fn made(
        self: &Arc<Self>,
        key: CacheKey,
        told: impl Fn(Made) + Clone + Send + 'static,
    ) -> Result<Rendition, ServiceError> {
        let (looking, waiting, services) = (self.clone(), self.clone(), self.clone());
        let stored = {
            let told = told.clone();
            async move {
                let rendition = looking.renditions.on_disk(&key).await?;
                told(Made::Found);
                Some(rendition)
            }
        };
        if let Some(error) = self.renditions.given_up.error(&key).await {
            return Err(error);
        }
        if !self.is_slow(&key).await? {
            return self.made_together(key, stored, told).await;
        }
        let turn = async move { waiting.slow_turn(&key).await };
        let render = move |turn: SlowTurn| async move {
            let (begun, SlowTurn { place, turn, source, seen }) = (services.runtime.clock.monotonic(), turn);
            let rendition = services.renditions.given_up.noted(key, services.render_alone(&key, source).await).await?;
            services.renditions.keep(&key, &rendition, seen);
            drop((place, turn));
            told(Made::Rendered { begun, ended: services.runtime.clock.monotonic() });
            Ok(rendition)
        };
        self.renditions.cache.get_or_render(key, stored, turn, render).await
    }

    /// Whether nothing else should wait behind it.
    async fn is_slow(&self, key: &CacheKey) -> Result<bool, ServiceError> {
        if let Some(is_slow) = key.recipe.is_slow() {
            return Ok(is_slow);
        }
        let shown = self.catalogue.shown(key.hash).await?.ok_or(ServiceError::NotFound("image"))?;
        Ok(key.recipe.is_slow_at(imaging::picture_size(shown, &imaging_recipe(&key.recipe))))
    }

    /// Waits for what a slow render is made from, and then for its turn. Who gives up here leaves nothing behind.
    async fn slow_turn(self: &Arc<Self>, key: &CacheKey) -> Result<SlowTurn, ServiceError> {
        let renditions = &self.renditions;
        let (place, seen) = (renditions.slow.place(key.hash)?, renditions.seen());
        let source = renditions.given_up.noted(*key, self.slow_source(key).await).await?;
        let turn = renditions.slow.turn().await?;
        if !renditions.cache.has_room(&key.recipe).await {
            return Err(ServiceError::Busy("too many renditions are still being taken"));
        }
        Ok(SlowTurn { place, turn, source, seen })
    }

    /// The preview, where this recipe is to be made from it, else the original.
    async fn slow_source(self: &Arc<Self>, key: &CacheKey) -> Result<Source, ServiceError> {
        if key.previews {
            // No photo of these bytes is there any more.
            let shown = self.catalogue.shown(key.hash).await?.ok_or(ServiceError::NotFound("image"))?;
            if key.is_from_preview(shown) {
                let fetch = self.renditions.slow.fetch().await?;
                let preview = self.preview(key.hash, shown).await?;
                if !preview.picture.is_empty() {
                    return Ok(Source::Preview(preview, shown, fetch));
                }
            }
        }
        let original = self.original_to_render(key.hash, &self.limits.slow_memory, Some(&self.renditions.slow)).await?;
        Ok(Source::Original(original))
    }

    async fn render_alone(&self, key: &CacheKey, source: Source) -> Result<Rendition, ServiceError> {
        let (decoders, recipe) = (self.apart(&self.pools.slow, key.hash).await?, imaging_recipe(&key.recipe));
        let rendered = match source {
            Source::Preview(preview, shown, fetch) => {
                drop(fetch);
                decoders.render_preview(preview.picture.clone(), shown, recipe).await??
            }
            Source::Original(Original { bytes, memory: _memory, fetch }) => {
                drop(fetch);
                decoders.render(bytes, recipe).await??
            }
        };
        Ok(Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format })
    }

    /// A photo's bytes, once there is room for them in this memory; fetched with the leave of this lane, where it is one that is waited in.
    pub(super) async fn original_to_render(&self, hash: BlobHash, memory: &Memory, lane: Option<&Lane>) -> Result<Original, ServiceError> {
        let opening = leave_of(lane).await?;
        let blob = self.catalogue.open(hash).await?;
        // Who waits for memory keeps nobody from fetching what needs none.
        drop(opening);
        let size = blob.size_bytes();
        let memory = memory.take(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        let fetch = leave_of(lane).await?;
        Ok(Original { bytes: blob.read_at(0, length).await?, memory, fetch })
    }
}

async fn leave_of(lane: Option<&Lane>) -> Result<Option<Fetch>, ServiceError> {
    match lane {
        Some(lane) => lane.fetch().await.map(Some),
        None => Ok(None),
    }
}

pub(super) fn imaging_recipe(recipe: &RecipeKey) -> imaging::Recipe {
    let format = match recipe.format {
        RenditionFormat::Jpeg => imaging::OutputFormat::Jpeg,
        RenditionFormat::Png => imaging::OutputFormat::Png,
        RenditionFormat::WebP => imaging::OutputFormat::WebP,
        RenditionFormat::Avif => imaging::OutputFormat::Avif,
    };
    imaging::Recipe {
        region: recipe.region,
        turn: recipe.turn,
        tone: recipe.tone,
        resize: recipe.resize,
        gravity: recipe.gravity,
        enlarge: recipe.enlarge,
        blur: recipe.blur,
        background: recipe.background,
        quality: recipe.quality,
        animated: recipe.animated,
        ..imaging::Recipe::fit(recipe.width, recipe.height, format)
    }
}
