//! Renditions of one photo that are rendered together: from one look for its preview, one read of the original, and one job of a decoder.
//!
//! What comes from the backend is fetched first, and the turn is taken for the decoder alone; who waits is answered before anything is written
//! to the backend (decision 0037).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Receiver};

use super::cache::CacheKey;
use super::disk::Seen;
use super::gather::{Asked, Begun, Taking, Wanted};
use super::lane::{Fetch, Turn};
use super::make::{Made, Original, imaging_recipe};
use super::preview::Preview;
use super::{Rendition, RenditionFormat};
use crate::imaging::{self, Ladder, MAX_RUNGS, MadeFrom, Order, Rendered, Rung};
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

/// What was fetched of a photo until now, and what holds room for it.
#[derive(Debug, Default)]
struct Fetched {
    sources: Sources,
    /// Of the original.
    memory: Option<OwnedSemaphorePermit>,
    /// Kept until it is the photo's turn, so that there are not too many that are fetched and wait.
    fetch: Option<Fetch>,
}

/// What is there once it is a photo's turn.
#[derive(Debug)]
struct Ready {
    sources: Sources,
    memory: Option<OwnedSemaphorePermit>,
    /// What the caches had seen before anything was fetched.
    seen: Option<Seen>,
    forgettings: u64,
    _turn: Turn,
}

/// What a rendition cannot be made without, in the order in which it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    Shown,
    Preview,
    Original,
}

impl Sources {
    /// What of it this is to be made from; an error is what has to be known or fetched first. A preview that is missing can be made from the
    /// original.
    fn of(&self, wanted: &Wanted) -> Result<MadeFrom, Lack> {
        let original = |from| if self.original.is_some() { Ok(from) } else { Err(Lack::Original) };
        let is_from_preview = match wanted {
            Wanted::Rendition(key) => key.previews && key.is_from_preview(self.shown.ok_or(Lack::Shown)?),
            Wanted::Preview => self.shown.map(|_| true).ok_or(Lack::Shown)?,
        };
        if !is_from_preview {
            return original(MadeFrom::Photo);
        }
        match self.preview.as_ref().ok_or(Lack::Preview)? {
            Some(preview) if preview.picture.is_empty() && *wanted != Wanted::Preview => original(MadeFrom::Photo),
            Some(_) => Ok(MadeFrom::Preview),
            None => original(MadeFrom::Preview),
        }
    }

    /// What is to be made for these, numbered as they come.
    fn order(self, asked: &[Asked]) -> Order {
        let rung = |(number, asked): (u32, &Asked)| {
            let Wanted::Rendition(key) = asked.wanted else { return None };
            Some(Rung { number, recipe: imaging_recipe(&key.recipe), from: self.of(&asked.wanted).ok()? })
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
        let turn = async move { waiting.gathered(key.hash, Wanted::Rendition(key)).await };
        let render = move |render: Begun| async move {
            let (begun, seen) = (services.runtime.clock.monotonic(), render.seen);
            let rendition = services.renditions.given_up.noted(key, render.rendered().await).await?;
            services.renditions.keep(&key, &rendition, seen);
            told(Made::Rendered { begun, ended: services.runtime.clock.monotonic() });
            Ok(rendition)
        };
        self.renditions.cache.get_or_render(key, stored, turn, render).await
    }

    /// The preview of a photo of this size, where renditions are made that nothing waits behind: found, or made with whatever else is waited for of
    /// the photo, so that its original is read and decoded once for all.
    pub(super) async fn preview(self: &Arc<Self>, hash: BlobHash, shown: (u32, u32)) -> Result<Arc<Preview>, ServiceError> {
        if let Some(preview) = self.renditions.remembered_preview(&hash).await {
            return Ok(preview);
        }
        let picture = self.gathered(hash, Wanted::Preview).await?.rendered().await?.bytes;
        Ok(Arc::new(Preview { shown, picture }))
    }

    /// Waits until it is begun. Who gives up here leaves nothing behind.
    async fn gathered(self: &Arc<Self>, hash: BlobHash, wanted: Wanted) -> Result<Begun, ServiceError> {
        let place = self.renditions.fast.place(hash)?;
        let (begun, taking) = self.renditions.gather.join(hash, wanted, place);
        if let Some(taking) = taking {
            // Ends once nothing of the photo waits: no more such tasks than the queue has places.
            runtime::spawn(self.clone().take_turns(taking));
        }
        begun.await
    }

    async fn take_turns(self: Arc<Self>, taking: Taking) {
        let taking = Arc::new(taking);
        while let Some(ready) = taking.turn(self.fetched(&taking)).await {
            match ready {
                Ok(Some(ready)) => self.render_together(&taking, ready).await,
                Ok(None) => {}
                Err(error) => taking.fail(&error, |_| true),
            }
        }
    }

    /// Fetches what those that wait of a photo are made from, and waits with that for its turn; `None` where none of them is left to be rendered.
    async fn fetched(&self, taking: &Taking) -> Result<Option<Ready>, ServiceError> {
        let renditions = &self.renditions;
        let (seen, forgettings) = (renditions.seen(), renditions.cache.forgettings());
        let mut fetched = Fetched::default();
        while let Some(lack) = taking.waiting().iter().filter_map(|wanted| fetched.sources.of(wanted).err()).min() {
            if let Err(error) = self.fetch(taking.hash(), lack, &mut fetched).await {
                taking.fail(&error, |wanted| fetched.sources.of(wanted) == Err(lack));
            }
        }
        if let Some(Some(preview)) = &fetched.sources.preview {
            answer_all_alike(taking.begin(usize::MAX, seen, |wanted| *wanted == Wanted::Preview), &Ok(picture_of(preview)));
        }
        if taking.waiting().is_empty() {
            return Ok(None);
        }
        let turn = renditions.fast.turn().await?;
        let Fetched { sources, memory, fetch } = fetched;
        drop(fetch);
        let room = renditions.cache.room().await;
        taking.fail(
            &ServiceError::Busy("too many renditions are still being taken"),
            |wanted| matches!(wanted, Wanted::Rendition(key) if !room.holds(&key.recipe)),
        );
        Ok((!taking.waiting().is_empty()).then_some(Ready { sources, memory, seen, forgettings, _turn: turn }))
    }

    /// Renders what waits of a photo, as much as goes together.
    async fn render_together(self: &Arc<Self>, taking: &Arc<Taking>, ready: Ready) {
        let imaging = match self.apart(&self.pools.imaging, taking.hash()).await {
            Ok(imaging) => imaging,
            Err(error) => return taking.fail(&error, |_| true),
        };
        let Ready { sources, memory, seen, forgettings, _turn } = ready;
        let found = sources.preview.clone().flatten();
        let (shown, original) = (sources.shown.unwrap_or_default(), sources.original.clone());
        // Till the end there is an original in memory.
        let memory = Arc::new(memory);
        let held = memory.clone();
        let (tell, told) = mpsc::channel(TOLD_AT_MOST);
        let order = {
            let (taking, tell) = (taking.clone(), tell.clone());
            move || {
                let asked = taking.begin(MAX_RUNGS, seen, |wanted| sources.of(wanted).is_ok());
                let order = sources.order(&asked);
                // Who is not told any more is answered with an error.
                tell.try_send(Told::Begun(asked)).ok().filter(|()| !order.ladder.rungs.is_empty()).map(|()| order)
            }
        };
        let each = move |made| {
            let _held = &held;
            let _ = tell.try_send(Told::Made(made));
        };
        let answered = self.answer_all((taking.hash(), shown), told, forgettings);
        let (worked, left) = tokio::join!(imaging.ladder(order, each), answered);
        let (previews, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|asked| asked.wanted == Wanted::Preview && worked.is_ok());
        let error = match worked {
            Ok(()) => ServiceError::Internal("a picture was not made".into()),
            Err(gone) => ServiceError::from(gone),
        };
        answer_all_alike(left, &Err(error.clone()));
        if worked.is_err() {
            taking.fail(&error, |_| true);
        }
        match (found, original) {
            _ if previews.is_empty() => {}
            (Some(preview), _) => answer_all_alike(previews, &Ok(picture_of(&preview))),
            // Nothing of the others was made from it.
            (None, Some(original)) => {
                let made = imaging.preview(original).await.map_err(ServiceError::from);
                let made = made.and_then(|made| made.map_err(ServiceError::from));
                self.preview_made((taking.hash(), shown), made, forgettings, previews).await;
            }
            (None, None) => answer_all_alike(previews, &Err(error)),
        }
        drop(memory);
    }

    /// Answers who waits for a preview that was made, and has it kept.
    async fn preview_made(
        self: &Arc<Self>,
        of: (BlobHash, (u32, u32)),
        made: Result<Option<Rendered>, ServiceError>,
        forgettings: u64,
        waiting: impl IntoIterator<Item = Asked>,
    ) {
        let made = match made {
            Ok(made) => Ok(picture_of(&*self.keep_made_preview(of, made, forgettings).await)),
            Err(error) => Err(error),
        };
        answer_all_alike(waiting, &made);
    }

    async fn fetch(&self, hash: BlobHash, lack: Lack, fetched: &mut Fetched) -> Result<(), ServiceError> {
        let (renditions, sources) = (&self.renditions, &mut fetched.sources);
        match (lack, sources.shown) {
            // No photo of these bytes is there any more.
            (Lack::Shown, _) => sources.shown = Some(self.catalogue.shown(hash).await?.ok_or(ServiceError::NotFound("image"))?),
            (Lack::Preview, shown) => {
                sources.preview = Some(match renditions.remembered_preview(&hash).await {
                    // One that is in memory waits for no backend.
                    Some(preview) => Some(preview),
                    None => {
                        // Who has leave must not wait for more of it.
                        if fetched.fetch.is_none() {
                            fetched.fetch = Some(renditions.fast.fetch().await?);
                        }
                        self.stored_preview_of(hash, shown.unwrap_or_default()).await
                    }
                });
            }
            (Lack::Original, _) => {
                // Who waits for memory keeps nobody from fetching what needs none.
                fetched.fetch = None;
                let original = self.original_to_render(hash, &self.limits.render_memory, Some(&renditions.fast)).await?;
                let Original { bytes, memory, fetch } = original;
                (sources.original, fetched.memory, fetched.fetch) = (Some(bytes), Some(memory), fetch);
            }
        }
        Ok(())
    }

    /// Answers each with its picture when that is told, and keeps the preview; gives back those of which nothing was told.
    async fn answer_all(self: &Arc<Self>, of: (BlobHash, (u32, u32)), mut told: Receiver<Told>, forgettings: u64) -> Vec<Asked> {
        let mut waiting: HashMap<u32, Asked> = HashMap::new();
        while let Some(told) = told.recv().await {
            match told {
                Told::Begun(asked) => waiting = (0..).zip(asked).collect(),
                // Where it failed, what was to be made from it fails as well, and says so.
                Told::Made(imaging::Made::Preview(made)) => {
                    let previews = waiting.extract_if(|_, asked| asked.wanted == Wanted::Preview).map(|(_, asked)| asked);
                    let previews: Vec<_> = previews.collect();
                    self.preview_made(of, made.map_err(ServiceError::from), forgettings, previews).await;
                }
                Told::Made(imaging::Made::Rung(number, made)) => {
                    let Some(asked) = waiting.remove(&number) else { continue };
                    let Wanted::Rendition(key) = asked.wanted else { continue };
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

fn answer_all_alike(waiting: impl IntoIterator<Item = Asked>, made: &Result<Rendition, ServiceError>) {
    waiting.into_iter().for_each(|asked| drop(asked.answer(made.clone())));
}

/// A preview as an answer.
fn picture_of(preview: &Preview) -> Rendition {
    Rendition { bytes: preview.picture.clone(), format: RenditionFormat::Jpeg }
}
