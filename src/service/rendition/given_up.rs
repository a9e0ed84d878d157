//! What could not be made lately: it would fail again, and cost as much.

use std::time::Duration;

use super::cache::CacheKey;
use crate::service::ServiceError;

/// How long something that nobody waits for is not begun again.
const UNASKED: Duration = Duration::from_secs(600);
/// And what somebody asks for: it may have been the machine's fault, not the photo's.
const ASKED: Duration = Duration::from_secs(60);
/// And of how many that is remembered.
const REMEMBERED: u64 = 10_000;

/// What could not be made lately.
#[derive(Debug)]
pub(super) struct GivenUp {
    unasked: moka::future::Cache<CacheKey, ()>,
    asked: moka::future::Cache<CacheKey, ServiceError>,
}

impl Default for GivenUp {
    fn default() -> Self {
        Self {
            unasked: moka::future::Cache::builder().max_capacity(REMEMBERED).time_to_live(UNASKED).build(),
            asked: moka::future::Cache::builder().max_capacity(REMEMBERED).time_to_live(ASKED).build(),
        }
    }
}

impl GivenUp {
    /// Whether it is not worth beginning for nobody.
    pub(super) fn has(&self, key: &CacheKey) -> bool {
        self.unasked.contains_key(key) || self.asked.contains_key(key)
    }

    /// Notes what failed while nobody waited.
    pub(super) async fn add_unasked(&self, key: CacheKey) {
        self.unasked.insert(key, ()).await;
    }

    /// As what it failed lately, where that was the photo's doing.
    pub(super) async fn error(&self, key: &CacheKey) -> Option<ServiceError> {
        self.asked.get(key).await
    }

    /// Notes how a render ended, where it would fail again.
    pub(super) async fn noted<T>(&self, key: CacheKey, ended: Result<T, ServiceError>) -> Result<T, ServiceError> {
        if let Err(error @ (ServiceError::BrokenImage(_) | ServiceError::TooLarge(_))) = &ended {
            self.asked.insert(key, error.clone()).await;
        }
        ended
    }
}
