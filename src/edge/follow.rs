//! Joining a site, following its feed, and clearing the caches of what nobody has any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::{EdgeBasis, EdgeEvent, EdgeTenant};
use crate::client::{Client, ClientError};
use crate::model::tenant::SigningKey;
use crate::model::{BlobHash, HashPrefix};
use crate::runtime::{self, Shutdown};
use crate::service::{RenditionBasis, RenditionService, TenantUrls};

use super::Edge;

/// How long a site waits for news before it says that there are none: so long its death may go unnoticed by who asks nothing else.
const NEWS_WAIT: Duration = Duration::from_secs(5);
/// How long nobody is asked where nobody has answered.
const PAUSE: Duration = Duration::from_secs(1);
/// Blobs that are asked of at once.
const ASKED_AT_ONCE: usize = 1_000;

/// Why a site was not joined.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "its renditions are made with other settings than here: renditions.default_quality {}, max_side {}, previews {}",
        .0.default_quality, .0.max_side, .0.previews
    )]
    OtherSettings(EdgeBasis),
    #[error("a signing key that cannot be read")]
    Malformed,
}

impl Edge {
    /// Follows a site, and another where that one goes, until the stop. `renditions`: whose caches are cleared of what nobody has any more.
    pub async fn follow(self, renditions: Arc<RenditionService>, mut shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.stopping() => {}
            () = self.follow_on(&renditions) => {}
        }
    }

    async fn follow_on(&self, renditions: &RenditionService) {
        let mut cleared = 0;
        loop {
            let session = self.0.knowledge.session();
            if session == 0 {
                self.rejoin_or_pause(session).await;
            } else if session != cleared {
                renditions.keys_changed().await;
                // What cannot be cleared now is not shown either, and cleared with the next session.
                self.clear(renditions).await;
                cleared = session;
            } else if let Err(error) = self.take_news(renditions).await {
                tracing::info!(%error, site = self.0.sites.current().server(), "the site's feed broke off");
                self.rejoin_or_pause(session).await;
            }
        }
    }

    async fn rejoin_or_pause(&self, session: u64) {
        if !self.rejoin(session).await {
            runtime::sleep(PAUSE).await;
        }
    }

    /// Takes the next part of the feed.
    async fn take_news(&self, renditions: &RenditionService) -> Result<(), JoinError> {
        let (site, cursor, session) = (self.0.sites.current(), self.0.sites.cursor(), self.0.knowledge.session());
        let begun = self.0.runtime.clock.monotonic();
        let page = site.edge_feed(cursor.as_deref(), NEWS_WAIT).await?;
        // Nothing is joined while this is taken in.
        let joining = self.0.sites.joining.lock().await;
        if session != self.0.knowledge.session() {
            // Another site was joined meanwhile: this is news of the former.
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
        if unknown {
            // The same site, in another life; or with news that only a later version understands.
            let current = self.0.sites.current_first().next();
            return match current {
                Some((number, site)) => self.join(number, site).await,
                None => Ok(()),
            };
        }
        if tenants {
            self.0.knowledge.set_tenants(self.tenants_of(&site).await?);
        }
        // Only once all of it is taken in: else what failed half way would be taken for done.
        self.0.sites.set_cursor(page.next);
        self.0.knowledge.heard(begun);
        drop(joining);
        if tenants || !lost.is_empty() {
            self.0.figures.revoked.fetch_add(lost.len() as u64, Ordering::Relaxed);
            renditions.keys_changed().await;
            self.clear_some(renditions, lost.iter().map(BlobHash::prefix).collect()).await;
        }
        Ok(())
    }

    /// Joins a site where none was since `session`: the next one, and the present one last. Answers whether one is joined.
    pub(super) async fn rejoin(&self, session: u64) -> bool {
        let mut joining = self.0.sites.joining.lock().await;
        if self.0.knowledge.session() != session {
            return true;
        }
        let now = self.0.runtime.clock.monotonic();
        if joining.failed.is_some_and(|failed| now.saturating_sub(failed) < PAUSE) {
            return false;
        }
        let mut order: Vec<_> = self.0.sites.current_first().collect();
        if session > 0 {
            // The one that has just failed comes last.
            order.rotate_left(1);
        }
        for (number, site) in order {
            match self.join(number, site).await {
                Ok(()) => {
                    joining.failed = None;
                    return true;
                }
                // Said once: it is tried again every second.
                Err(error) if joining.failed.is_none() => tracing::warn!(site = site.server(), %error, "a site cannot be joined"),
                Err(error) => tracing::debug!(site = site.server(), %error, "a site still cannot be joined"),
            }
        }
        joining.failed = Some(self.0.runtime.clock.monotonic());
        false
    }

    /// Begins a new session with this site. Only for who has `joining`.
    async fn join(&self, number: usize, site: &Client) -> Result<(), JoinError> {
        // The place in the feed first: what changes from here on is told.
        let begun = self.0.runtime.clock.monotonic();
        let feed = site.edge_feed(None, Duration::ZERO).await?;
        let tenants = self.tenants_of(site).await?;
        self.0.sites.choose(number, feed.next);
        self.0.knowledge.begin(tenants, begun);
        self.0.figures.joined.fetch_add(1, Ordering::Relaxed);
        tracing::info!(site = site.server(), "follows this site");
        Ok(())
    }

    async fn tenants_of(&self, site: &Client) -> Result<Vec<TenantUrls>, JoinError> {
        let answer = site.edge_tenants().await?;
        let basis = answer.basis;
        let theirs = RenditionBasis { quality: basis.default_quality, max_side: basis.max_side, previews: basis.previews };
        if theirs != self.0.basis {
            return Err(JoinError::OtherSettings(basis));
        }
        answer.tenants.into_iter().map(read_tenant).collect::<Option<_>>().ok_or(JoinError::Malformed)
    }

    /// Removes from the caches what nobody has any more, of all that lies there.
    async fn clear(&self, renditions: &RenditionService) {
        let cached = renditions.cached_blobs().await;
        self.clear_some(renditions, cached).await;
    }

    /// The same of these.
    async fn clear_some(&self, renditions: &RenditionService, mut prefixes: Vec<HashPrefix>) {
        prefixes.sort_unstable();
        prefixes.dedup();
        let site = self.0.sites.current();
        for asked in prefixes.chunks(ASKED_AT_ONCE) {
            let unowned = match site.edge_unowned(asked.to_vec()).await {
                Ok(unowned) => unowned.prefixes,
                Err(error) => {
                    tracing::info!(%error, "what nobody has any more stays in the caches for now, and is not shown");
                    return;
                }
            };
            // Only of what was asked: whatever else stands there is no answer.
            for prefix in unowned.into_iter().filter(|prefix| asked.binary_search(prefix).is_ok()) {
                if let Err(error) = renditions.forget_prefix(prefix).await {
                    tracing::warn!(%error, "renditions of what nobody has any more could not be removed");
                }
            }
        }
    }
}

fn read_tenant(tenant: EdgeTenant) -> Option<TenantUrls> {
    let read = |key: &crate::api::EdgeSigningKey| {
        Some(SigningKey { key: STANDARD.decode(&key.key).ok()?, salt: STANDARD.decode(&key.salt).ok()? })
    };
    let signing_keys = tenant.signing_keys.iter().map(read).collect::<Option<_>>()?;
    Some(TenantUrls { id: tenant.id, signing_keys, settings: tenant.renditions.into() })
}
