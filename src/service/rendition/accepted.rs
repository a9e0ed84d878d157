//! A format that takes long, and what is served until it is there.

use std::sync::Arc;
use std::time::Duration;

use super::cache::CacheKey;
use super::{RenditionFormat, RenditionRequest, RenditionService};
use crate::runtime;
use crate::service::ServiceError;

/// How long something that could not be made is not begun again.
const REMEMBER: Duration = Duration::from_secs(600);
/// And of how many that is remembered.
const REMEMBERED: u64 = 10_000;
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

/// What could not be made lately: it would fail again, and cost as much.
#[derive(Debug)]
pub(super) struct GivenUp(moka::future::Cache<CacheKey, ()>);

impl Default for GivenUp {
    fn default() -> Self {
        Self(moka::future::Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build())
    }
}

impl RenditionService {
    /// What can be had of a rendition without waiting long, and whether that is the best that there will be: the same in the next best format
    /// until the best is made. `begin`: has that made, where nobody does yet, in its own time.
    pub async fn ready(self: &Arc<Self>, request: RenditionRequest, begin: bool) -> (RenditionRequest, bool) {
        let RenditionRequest { key, meanwhile: Some(meanwhile), .. } = request else { return (request, true) };
        let renditions = &self.renditions;
        if renditions.is_made(&key) {
            return (RenditionRequest { meanwhile: None, ..request }, true);
        }
        // The rest of the queue is for those who name the format, and wait.
        let (waiting, limit) = renditions.slow_queue();
        if begin && waiting * QUEUE_PART < limit && !renditions.given_up.0.contains_key(&key) && !renditions.cache.is_under_way(&key) {
            let services = self.clone();
            // Bounded by the lane: one more than it holds ends at once. Nobody waits for it, so it has no deadline.
            runtime::spawn(async move {
                match services.made(key, |_| {}).await {
                    // Next time there may be room, or the backend is back.
                    Ok(_) | Err(ServiceError::Busy(_) | ServiceError::Unavailable(_)) => {}
                    Err(error) => {
                        tracing::debug!(hash = %key.hash, recipe = %key.recipe, %error, "a rendition that nobody waits for could not be made");
                        services.renditions.given_up.0.insert(key, ()).await;
                    }
                }
            });
        }
        (RenditionRequest { key: meanwhile, meanwhile: None, ..request }, false)
    }
}
