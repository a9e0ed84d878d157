//! The claim under which a site collects, which may change while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::blobs::{BlobError, BlobStore, Marker};

/// The claim under which a site collects. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Claim(Arc<Mutex<Claims>>);

#[derive(Debug)]
struct Claims {
    stands: Marker,
    /// Written as the next one, with an answer that got lost: it may stand by now, or come to.
    tried: Option<Marker>,
}

impl Claim {
    pub(super) fn new(stands: Marker) -> Self {
        Self(Arc::new(Mutex::new(Claims { stands, tried: None })))
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claim that stands, as far as this process knows.
    pub(super) fn get(&self) -> Marker {
        self.claims().stands
    }

    /// Another one stands now.
    pub(super) fn set(&self, stands: Marker) {
        *self.claims() = Claims { stands, tried: None };
    }

    /// The claim that stands in `home`, where the answer to a later one got lost: it looks.
    pub(super) async fn look(&self, home: &dyn BlobStore) -> Marker {
        let tried = self.claims().tried;
        if let Some(tried) = tried
            && home.marker().await.is_ok_and(|found| found == Some(tried))
        {
            self.set(tried);
        }
        self.get()
    }

    /// Claims `home` anew, as the epoch behind `past`, which nobody else has claimed.
    ///
    /// # Errors
    /// Those of the store. After one whose answer got lost the claim may stand nevertheless: [`Claim::look`] finds out.
    pub(super) async fn go_past(&self, home: &dyn BlobStore, past: Marker) -> Result<Marker, BlobError> {
        let stands = self.look(home).await;
        let next = Marker { site: stands.site, epoch: past.epoch.max(stands.epoch).saturating_add(1) };
        self.claims().tried = Some(next);
        let claimed = home.claim(Some(stands), next).await;
        if self.look(home).await == next {
            return Ok(next);
        }
        claimed.map(|()| {
            self.set(next);
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::{MemoryStore, Operation};
    use crate::model::SiteId;

    fn marker(epoch: u64) -> Marker {
        Marker { site: SiteId::from_bytes([1; 16]), epoch }
    }

    #[tokio::test]
    async fn a_claim_whose_answer_got_lost_is_found_again() {
        let home = MemoryStore::new();
        home.claim(None, marker(3)).await.unwrap();
        let claim = Claim::new(marker(3));
        // As if it had landed after the answer was given up, and after looking.
        home.faults().fail(Operation::Claim, 0, BlobError::Away);
        assert!(matches!(claim.go_past(&home, marker(7)).await, Err(BlobError::Away)));
        assert_eq!((claim.look(&home).await, claim.get()), (marker(3), marker(3)), "it has not landed");
        home.claim(Some(marker(3)), marker(8)).await.unwrap();
        assert_eq!(claim.get(), marker(3));
        assert_eq!((claim.look(&home).await, claim.get()), (marker(8), marker(8)), "now it has");
        assert_eq!(claim.go_past(&home, marker(2)).await.unwrap(), marker(9), "an epoch never goes back");
    }

    #[tokio::test]
    async fn anothers_claim_is_never_taken_for_the_own() {
        let home = MemoryStore::new();
        home.claim(None, marker(1)).await.unwrap();
        let claim = Claim::new(marker(1));
        home.claim(Some(marker(1)), marker(2)).await.unwrap();
        assert!(matches!(claim.go_past(&home, marker(4)).await, Err(BlobError::ClaimLost { .. })));
        assert_eq!(claim.look(&home).await, marker(1));
    }
}
