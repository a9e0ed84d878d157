//! Renditions of one photo that are rendered together: from one look for its preview, one read of the original, and one job of a decoder.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Receiver};

use super::Rendition;
use super::cache::CacheKey;
use super::gather::{Asked, Begun, Taking};
use super::make::{Made, imaging_recipe};
use super::preview::Preview;
use crate::imaging::{self, Ladder, MAX_RUNGS, MadeFrom, Order, Rung};
use crate::model::BlobHash;
use crate::runtime;
use crate::service::{RenditionService, ServiceError};

/// What pictures of a photo are made from, as far as it was fetched.
#[derive(Debug, Default)]
struct Sources {
    /// Width and height of the photo, as shown.
    shown: Option<(u32, u32)>,
    /// The preview, where there is one; `None`: not looked for yet.
    preview: Option<Option<Arc<Preview>>>,
    original: Option<Bytes>,
}

/// What a rendition cannot be made without, in the order in which it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    Shown,
    Preview,
    Original,
}

impl Sources {
    /// What of it this rendition is to be made from; an error is what has to be known or fetched first. A preview that is missing can be made
    /// from the original.
    fn of(&self, key: &CacheKey) -> Result<MadeFrom, Lack> {
        let original = |from| if self.original.is_some() { Ok(from) } else { Err(Lack::Original) };
        if !key.previews {
            return original(MadeFrom::Photo);
        }
        if !key.is_from_preview(self.shown.ok_or(Lack::Shown)?) {
            return original(MadeFrom::Photo);
        }
        match self.preview.as_ref().ok_or(Lack::Preview)? {
            Some(preview) if preview.picture.is_empty() => original(MadeFrom::Photo),
            Some(_) => Ok(MadeFrom::Preview),
            None => original(MadeFrom::Preview),
        }
    }

    /// What is to be made for these, numbered as they come.
    fn order(self, asked: &[Asked]) -> Order {
        let rung = |(number, asked): (u32, &Asked)| {
            let from = self.of(&asked.key).ok()?;
            Some(Rung { number, recipe: imaging_recipe(&asked.key.recipe), from })
        };
        let rungs = (0..).zip(asked).filter_map(rung).collect();
        let preview = self.preview.flatten().map(|preview| preview.picture.clone()).filter(|picture| !picture.is_empty());
        // Where the size is not known nothing is made from a preview.
        Order { original: self.original.unwrap_or_default(), preview, ladder: Ladder { shown: self.shown.unwrap_or_default(), rungs } }
    }
}

/// What is told by the thread that renders. So many at most: those that are rendered, each of them, and the preview.
enum Told {
    Begun(Vec<Asked>),
    Made(imaging::Made),
}
const TOLD_AT_MOST: usize = MAX_RUNGS + 2;

impl RenditionService {
    /// As [`RenditionService::made`], for what is not slow: together with what else is asked for of the photo.
    pub(super) async fn made_together(
        self: &Arc<Self>,
        key: CacheKey,
        stored: impl Future<Output = Option<Rendition>> + Send + 'static,
        told: impl Fn(Made) + Clone + Send + 'static,
    ) -> Result<Rendition, ServiceError> {
        let (waiting, services) = (self.clone(), self.clone());
        let turn = async move { waiting.gathered(key).await };
        let render = move |render: Begun| async move {
            let (begun, seen) = (services.runtime.clock.monotonic(), render.seen);
            let rendition = services.renditions.given_up.noted(key, render.rendered().await).await?;
            services.renditions.keep(&key, &rendition, seen);
            told(Made::Rendered { begun, ended: services.runtime.clock.monotonic() });
            Ok(rendition)
        };
        self.renditions.cache.get_or_render(key, stored, turn, render).await
    }

    /// Waits until the rendition is begun. Who gives up here leaves nothing behind.
    async fn gathered(self: &Arc<Self>, key: CacheKey) -> Result<Begun, ServiceError> {
        let place = self.renditions.fast.place(key.hash)?;
        let (begun, taking) = self.renditions.gather.join(key, place);
        if let Some(taking) = taking {
            // Ends once nothing of the photo waits: no more such tasks than the queue has places.
            runtime::spawn(self.clone().take_turns(taking));
        }
        begun.await
    }

    async fn take_turns(self: Arc<Self>, taking: Taking) {
        let taking = Arc::new(taking);
        while let Some(turn) = taking.turn(self.renditions.fast.turn()).await {
            match turn {
                Ok(_turn) => self.render_together(&taking).await,
                Err(error) => taking.fail(&error, |_| true),
            }
        }
    }

    /// Renders what waits of a photo, as much as goes together.
    async fn render_together(&self, taking: &Arc<Taking>) {
        let renditions = &self.renditions;
        let room = renditions.cache.room().await;
        taking.fail(&ServiceError::Busy("too many renditions are still being taken"), |key| !room.holds(&key.recipe));
        if taking.waiting().is_empty() {
            return;
        }
        let imaging = match self.apart(&self.pools.imaging, taking.hash()).await {
            Ok(imaging) => imaging,
            Err(error) => return taking.fail(&error, |_| true),
        };
        let (seen, forgettings) = (renditions.seen(), renditions.cache.forgettings());
        let (mut sources, mut memory) = (Sources::default(), None);
        while let Some(lack) = taking.waiting().iter().filter_map(|key| sources.of(key).err()).min() {
            if let Err(error) = self.fetch(taking.hash(), lack, &mut sources, &mut memory).await {
                taking.fail(&error, |key| sources.of(key) == Err(lack));
            }
        }
        let shown = sources.shown.unwrap_or_default();
        let (tell, told) = mpsc::channel(TOLD_AT_MOST);
        let order = {
            let (taking, tell) = (taking.clone(), tell.clone());
            move || {
                let asked = taking.begin(MAX_RUNGS, seen, |key| sources.of(key).is_ok());
                let order = sources.order(&asked);
                // Who is not told any more is answered with an error.
                tell.try_send(Told::Begun(asked)).ok().filter(|()| !order.ladder.rungs.is_empty()).map(|()| order)
            }
        };
        let each = move |made| {
            // Till the end there is an original in memory.
            let _held = &memory;
            let _ = tell.try_send(Told::Made(made));
        };
        let answered = self.answer_all((taking.hash(), shown), told, forgettings);
        let (worked, left) = tokio::join!(imaging.ladder(order, each), answered);
        let error = match worked {
            Ok(()) => ServiceError::Internal("a picture was not made".into()),
            Err(gone) => ServiceError::from(gone),
        };
        left.into_iter().for_each(|asked| drop(asked.answer(Err(error.clone()))));
        if worked.is_err() {
            taking.fail(&error, |_| true);
        }
    }

    async fn fetch(
        &self,
        hash: BlobHash,
        lack: Lack,
        sources: &mut Sources,
        memory: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<(), ServiceError> {
        match (lack, sources.shown) {
            // No photo of these bytes is there any more.
            (Lack::Shown, _) => sources.shown = Some(self.catalogue.shown(hash).await?.ok_or(ServiceError::NotFound("image"))?),
            (Lack::Preview, shown) => sources.preview = Some(self.found_preview(hash, shown.unwrap_or_default()).await),
            (Lack::Original, _) => {
                let (original, held) = self.original_to_render(hash, &self.limits.render_memory).await?;
                (sources.original, *memory) = (Some(original), Some(held));
            }
        }
        Ok(())
    }

    /// Answers each with its picture when that is told, and keeps the preview; gives back those of which nothing was told.
    async fn answer_all(&self, (hash, shown): (BlobHash, (u32, u32)), mut told: Receiver<Told>, forgettings: u64) -> Vec<Asked> {
        let mut waiting: HashMap<u32, Asked> = HashMap::new();
        while let Some(told) = told.recv().await {
            match told {
                Told::Begun(asked) => waiting = (0..).zip(asked).collect(),
                Told::Made(imaging::Made::Preview(Ok(preview))) => self.keep_made_preview(hash, shown, preview).await,
                // What was to be made from it fails as well, and says so.
                Told::Made(imaging::Made::Preview(Err(_))) => {}
                Told::Made(imaging::Made::Rung(number, made)) => {
                    let Some(asked) = waiting.remove(&number) else { continue };
                    let key = asked.key;
                    let count = |picture: imaging::Rendered| Rendition {
                        bytes: self.renditions.cache.count(picture.bytes),
                        format: key.recipe.format,
                    };
                    // Who has gone the moment it began has left nobody to keep it.
                    if let Some(rendition) = asked.answer(made.map(count).map_err(ServiceError::from)) {
                        self.renditions.cache.insert(key, rendition, forgettings).await;
                    }
                }
            }
        }
        waiting.into_values().collect()
    }
}
