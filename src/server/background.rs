//! Work that goes on beside the requests: deleting what is doomed, writing when tokens were last used, previews of new photos, recompressing old ones, and at the start
//! clearing the cache of renditions of what nobody has any more.

use std::sync::Arc;
use std::time::Duration;

use super::claim::Claim;
use super::said::Said;
use crate::maintenance::ColdJob;
use crate::runtime::{self, Shutdown};
use crate::service::{Graces, Services};

/// How often the delete queue is looked at.
const DELETE_EVERY: Duration = Duration::from_secs(5);
/// How long copies of uploads that came to nothing wait.
const UNNAMED_GRACE: Duration = Duration::from_secs(60);
/// Keys that are deleted in one batch.
const DELETE_BATCH: usize = 256;
/// Pause before renditions are looked for again that a disk would not give or not remove.
const CLEAR_AGAIN: Duration = Duration::from_secs(60);
/// How often last uses are written.
const USES_EVERY: Duration = Duration::from_secs(60);

/// Starts the work of a site that collects under this claim, and deletes copies that were named once no sooner than `named_grace` after they
/// were queued; the answer ends when all of it has, after the stop has begun.
pub(super) fn start(
    services: Arc<Services>,
    claim: Claim,
    named_grace: Duration,
    previews_at_once: usize,
    cold: ColdJob,
    shutdown: Shutdown,
) -> impl Future<Output = ()> {
    let graces = Graces { named: named_grace, unnamed: UNNAMED_GRACE };
    let deleting = every(DELETE_EVERY, shutdown.clone(), {
        let (services, said) = (services.clone(), Arc::<Said>::default());
        move || {
            let (services, claim, said) = (services.clone(), claim.clone(), said.clone());
            async move {
                let claim = claim.look(&**services.blobs()).await;
                match services.delete_doomed(claim, graces, DELETE_BATCH).await {
                    Ok(deleted) => {
                        if said.is_over() {
                            tracing::info!("the delete queue is worked on again");
                        }
                        if deleted.keys + deleted.failed > 0 {
                            tracing::info!(keys = deleted.keys, failed = deleted.failed, "deleted doomed copies");
                        }
                    }
                    Err(error) if said.is_news(&error) => {
                        tracing::error!(%error, "the delete queue cannot be worked on: tried again, and said once");
                    }
                    Err(_) => {}
                }
            }
        }
    });
    let previews: Vec<_> = (0..previews_at_once.max(1))
        .map(|_| runtime::spawn_joined(services.renditions().clone().make_previews(shutdown.clone())))
        .collect();
    let clearing = runtime::spawn_joined({
        let (services, mut shutdown) = (services.clone(), shutdown.clone());
        async move {
            tokio::select! {
                () = shutdown.stopping() => {}
                () = clear_renditions(&services) => {}
            }
        }
    });
    let cold = runtime::spawn_joined(cold.run(shutdown.clone()));
    let uses = every(USES_EVERY, shutdown, move || {
        let services = services.clone();
        async move {
            if let Err(error) = services.write_token_uses().await {
                tracing::warn!(%error, "last uses of tokens could not be written");
            }
        }
    });
    let deleting = runtime::spawn_joined(deleting);
    let uses = runtime::spawn_joined(uses);
    async move {
        // A task that panicked has ended as well.
        let _ = deleting.await;
        let _ = clearing.await;
        let _ = cold.await;
        let _ = uses.await;
        for making in previews {
            let _ = making.await;
        }
    }
}

/// Removes the renditions of what nobody has any more, as soon as the disk lets it.
async fn clear_renditions(services: &Services) {
    let mut left = None;
    loop {
        match services.forget_unowned_renditions(left).await {
            Ok(None) => return,
            Ok(some) => left = some,
            Err(error) => {
                tracing::warn!(%error, "renditions of what nobody has any more stay in the cache until the next start");
                return;
            }
        }
        runtime::sleep(CLEAR_AGAIN).await;
    }
}

/// Does `work` now and then, and once more at the stop.
async fn every<F: Future<Output = ()>>(pause: Duration, mut shutdown: Shutdown, work: impl Fn() -> F) {
    while !shutdown.is_stopping() {
        work().await;
        let _ = runtime::timeout(pause, shutdown.stopping()).await;
    }
    work().await;
}
