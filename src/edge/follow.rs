//! Following a site's feed: everything else waits for nothing here, for what is not read in time has the edge close.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::EdgeEvent;
use crate::model::BlobHash;
use crate::runtime::{self, Shutdown};
use crate::service::RenditionService;

use super::Edge;
use super::join::{JoinError, PAUSE};

/// How long a site waits for news before it says that there are none: so long its death may go unnoticed by who asks nothing else.
const NEWS_WAIT: Duration = Duration::from_secs(5);

impl Edge {
    /// Follows a site, and another where that one goes, until the stop. `renditions`: whose caches are cleared of what nobody has any more.
    pub async fn follow(self, renditions: Arc<RenditionService>, mut shutdown: Shutdown) {
        let (edge, caches, mut stop) = (self.clone(), renditions.clone(), shutdown.clone());
        // In a task of its own: the feed waits for nothing.
        let clearing = runtime::spawn_joined(async move {
            tokio::select! {
                () = stop.stopping() => {}
                () = edge.clear_on(&caches) => {}
            }
        });
        tokio::select! {
            () = shutdown.stopping() => {}
            () = self.follow_on(&renditions) => {}
        }
        let _ = clearing.await;
    }

    async fn follow_on(&self, renditions: &RenditionService) {
        let (mut known, mut is_broken) = (0, false);
        loop {
            let session = self.0.knowledge.session();
            if session != known {
                renditions.keys_changed().await;
                known = session;
            }
            if session > 0 {
                match self.take_news(renditions).await {
                    Ok(()) => {
                        is_broken = false;
                        self.go_back().await;
                        continue;
                    }
                    Err(error) if !is_broken => {
                        is_broken = true;
                        tracing::info!(%error, site = self.0.sites.current().server(), "the site's feed broke off");
                    }
                    Err(_) => {}
                }
            }
            if !self.rejoin(session).await {
                runtime::sleep(PAUSE).await;
            }
        }
    }

    /// Takes the next part of the feed.
    async fn take_news(&self, renditions: &RenditionService) -> Result<(), JoinError> {
        let (site, cursor, session) = (self.0.sites.current(), self.0.sites.cursor(), self.0.knowledge.session());
        let begun = self.0.runtime.clock.monotonic();
        let page = tokio::select! {
            page = site.edge_feed(cursor.as_deref(), NEWS_WAIT) => page?,
            // Another has its own news.
            () = self.0.sites.chosen.notified() => return Ok(()),
        };
        let is_hasty = page.missed || page.events.is_empty() && self.0.runtime.clock.monotonic().saturating_sub(begun) < NEWS_WAIT / 2;
        // Nothing is joined while this is taken in.
        let joining = self.0.sites.joining.lock().await;
        if session != self.0.knowledge.session() {
            return Ok(());
        }
        let mut lost = vec![];
        let mut tenants = false;
        let mut unknown = page.missed;
        for event in page.events {
            match event {
                EdgeEvent::Lost { tenant, hash } => {
                    self.0.knowledge.revoke(tenant, hash);
                    lost.push(hash);
                }
                EdgeEvent::Tenants => tenants = true,
                EdgeEvent::Other => unknown = true,
            }
        }
        // First: what comes now may fail, and then all of it is told again.
        if !lost.is_empty() {
            renditions.epoch_passed();
            self.0.figures.revoked.fetch_add(lost.len() as u64, Ordering::Relaxed);
            self.0.clearing.some(lost.iter().map(BlobHash::prefix));
        }
        if unknown {
            // The same site, in another life; or with news that only a later version understands.
            if let Some((number, site)) = self.0.sites.current_first().next() {
                self.join(number, site).await?;
            }
        } else {
            if tenants {
                self.0.knowledge.set_tenants(self.tenants_of(&site).await?);
            }
            // Only once all of it is taken in: else what failed half way would be taken for done.
            self.0.sites.set_cursor(page.next);
            self.0.knowledge.heard(begun);
        }
        drop(joining);
        if tenants {
            renditions.keys_changed().await;
        }
        if is_hasty || unknown {
            // A site that is started anew has one new life; one whose life changes all the time is several behind one address, or none of ours.
            runtime::sleep(PAUSE).await;
        }
        Ok(())
    }
}
