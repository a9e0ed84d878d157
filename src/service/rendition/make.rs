//! Makes renditions: once for any number of requests that wait, each in its lane.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::cache::CacheKey;
use super::lane::{Place, Turn};
use super::{Rendition, RenditionFormat, RenditionRequest, RenditionService, Renditions, Served, ServedFrom};
use crate::imaging::{self, Decoders};
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

impl Renditions {
    /// Waits for the turn of a render that is slow. Who gives up here leaves nothing behind.
    async fn slow_turn(&self, key: &CacheKey) -> Result<(Place, Turn), ServiceError> {
        let place = self.slow.place(key.hash)?;
        let turn = self.slow.turn().await?;
        if !self.cache.has_room(&key.recipe).await {
            return Err(ServiceError::Busy("too many renditions are still being taken"));
        }
        Ok((place, turn))
    }
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
        if !key.recipe.is_slow() {
            return self.made_together(key, stored, told).await;
        }
        let turn = async move { waiting.renditions.slow_turn(&key).await };
        let render = move |turn: (Place, Turn)| async move {
            let (begun, seen) = (services.runtime.clock.monotonic(), services.renditions.seen());
            let rendition = services.renditions.given_up.noted(key, services.render_alone(&key, &services.pools.slow).await).await?;
            services.renditions.keep(&key, &rendition, seen);
            drop(turn);
            told(Made::Rendered { begun, ended: services.runtime.clock.monotonic() });
            Ok(rendition)
        };
        self.renditions.cache.get_or_render(key, stored, turn, render).await
    }

    async fn render_alone(self: &Arc<Self>, key: &CacheKey, decoders: &Decoders) -> Result<Rendition, ServiceError> {
        if let Some(rendition) = self.render_from_preview(key, decoders).await? {
            return Ok(rendition);
        }
        let (original, _memory) = self.original_to_render(key.hash, &self.limits.slow_memory).await?;
        let rendered = decoders.render(original, imaging_recipe(&key.recipe)).await??;
        Ok(Rendition { bytes: self.renditions.cache.count(rendered.bytes), format: key.recipe.format })
    }

    /// A photo's bytes, and what holds room for them in this memory: to be kept until they are dropped.
    pub(super) async fn original_to_render(&self, hash: BlobHash, memory: &Memory) -> Result<(Bytes, OwnedSemaphorePermit), ServiceError> {
        let blob = self.catalogue.open(hash).await?;
        let size = blob.size_bytes();
        let memory = memory.take(size).await?;
        let length = usize::try_from(size).map_err(|_| ServiceError::TooLarge("the original is too large to decode".into()))?;
        Ok((blob.read_at(0, length).await?, memory))
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
