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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlobHash;
    use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

    fn key(name: &[u8]) -> CacheKey {
        let recipe = RecipeRequest { width: 10, ..RecipeRequest::default() }.settle(RenditionFormat::Avif, 80, 100).unwrap();
        CacheKey { hash: BlobHash::of(name), recipe, previews: false, max_embedded_bytes: 1 }
    }

    #[tokio::test]
    async fn what_would_fail_again_is_remembered_and_nothing_else() {
        let given_up = GivenUp::default();
        let lasting = [ServiceError::BrokenImage("torn".into()), ServiceError::TooLarge("too long".into())];
        let passing = [ServiceError::Busy("full"), ServiceError::Unavailable("decoder"), ServiceError::Damaged, ServiceError::NoSpace];
        for (number, error) in lasting.iter().chain(&passing).enumerate() {
            let key = key(&[number as u8]);
            let ended: Result<(), _> = given_up.noted(key, Err(error.clone())).await;
            assert_eq!(ended.as_ref(), Err(error), "it is told");
            let expected = lasting.contains(error).then(|| error.clone());
            assert_eq!((given_up.error(&key).await, given_up.has(&key)), (expected.clone(), expected.is_some()), "{error}");
        }
        assert_eq!(given_up.noted(key(b"made"), Ok(7)).await, Ok(7));
        assert!(!given_up.has(&key(b"made")));
        // What failed for nobody is not begun for nobody, but whoever asks has it tried.
        given_up.add_unasked(key(b"unasked")).await;
        assert_eq!((given_up.has(&key(b"unasked")), given_up.error(&key(b"unasked")).await), (true, None));
    }
}
