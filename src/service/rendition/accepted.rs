//! A format that takes long, and what is served until it is there.

use std::sync::Arc;
use std::time::Duration;

use super::cache::CacheKey;
use super::{RenditionFormat, RenditionRequest, RenditionService, Served, ServedFrom};
use crate::runtime;
use crate::service::ServiceError;

/// What nobody waits for takes at most one place in so many of the queue.
const QUEUE_PART: u64 = 4;

/// The formats that a client takes, for a URL that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The one that it likes best.
    pub best: RenditionFormat,
    /// The best that does not take long, where that one does.
    pub meanwhile: Option<RenditionFormat>,
}

impl Accepted {
    /// This one, whatever it takes.
    pub const fn one(format: RenditionFormat) -> Self {
        Self { best: format, meanwhile: None }
    }
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub struct Ready {
    /// What is answered: the best, or the next best.
    pub request: RenditionRequest,
    /// Whether it is the best that there will be.
    pub is_best: bool,
    /// It, where it was there.
    pub found: Option<Served>,
}

impl Ready {
    fn best(request: RenditionRequest, found: Option<Served>) -> Self {
        Self { request, is_best: true, found }
    }
}

impl RenditionService {
    /// What can be had of a rendition without waiting long: the same in the next best format until the best is made. `begin`: has that made,
    /// where nobody does yet, in its own time.
    pub async fn ready(self: &Arc<Self>, request: RenditionRequest, begin: bool) -> Ready {
        let RenditionRequest { key, meanwhile: Some(meanwhile), .. } = request else { return Ready::best(request, None) };
        let renditions = &self.renditions;
        // With the bytes in hand: what is known to lie there may not be read now, and then nobody shall wait for it to be made again.
        if let Some(found) = self.found(&key).await {
            return Ready::best(RenditionRequest { meanwhile: None, ..request }, Some(found));
        }
        // The rest of the queue is for those who name the format, and wait.
        let (waiting, limit) = renditions.slow_queue();
        if begin && waiting * QUEUE_PART < limit && !renditions.given_up.has(&key) && !renditions.cache.is_under_way(&key) {
            let services = self.clone();
            // Bounded by the lane: one more than it holds ends at once. Nobody waits for it, so it has no deadline.
            runtime::spawn(async move {
                match services.made(key, |_| {}).await {
                    // Next time there may be room, or the backend is back.
                    Ok(_) | Err(ServiceError::Busy(_) | ServiceError::Unavailable(_)) => {}
                    Err(error) => {
                        tracing::debug!(hash = %key.hash, recipe = %key.recipe, %error, "a rendition that nobody waits for could not be made");
                        services.renditions.given_up.add_unasked(key).await;
                    }
                }
            });
        }
        Ready { request: RenditionRequest { key: meanwhile, meanwhile: None, ..request }, is_best: false, found: None }
    }

    /// What is made already, and can be read now.
    async fn found(&self, key: &CacheKey) -> Option<Served> {
        let renditions = &self.renditions;
        let served = |rendition, from| Served { rendition, from, queued: Duration::ZERO };
        if let Some(rendition) = renditions.in_memory(key).await {
            return Some(served(rendition, ServedFrom::Cache));
        }
        let forgettings = renditions.cache.forgettings();
        let rendition = renditions.on_disk(key).await?;
        renditions.cache.insert(*key, rendition.clone(), forgettings).await;
        Some(served(rendition, ServedFrom::Disk))
    }
}
