//! Joining a site: finding out where its feed stands, and what its tenants are.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::{EdgeBasis, EdgeSigningKey, EdgeTenant};
use crate::client::{Client, ClientError};
use crate::model::tenant::SigningKey;
use crate::runtime;
use crate::service::{RenditionBasis, TenantUrls};

use super::sites::Joining;
use super::{ASK_WITHIN, Edge};

/// How long nobody is asked where nobody has answered.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How long a site is followed before those that stand before it in the settings are looked at: going back costs that everything is asked anew.
const LOOK_BACK: Duration = Duration::from_secs(5 * 60);

/// Why a site was not joined.
#[derive(Debug, thiserror::Error)]
pub(super) enum JoinError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "its renditions are made with other settings than here: renditions.default_quality {}, max_side {}, previews {}, limits.max_embedded_bytes {}",
        .0.default_quality, .0.max_side, .0.previews, .0.max_embedded_bytes
    )]
    OtherSettings(EdgeBasis),
    #[error("a signing key that cannot be read")]
    Malformed,
}

impl JoinError {
    /// Whether the site is there, and does not want this edge, or not as it is.
    fn is_refused(&self) -> bool {
        match self {
            Self::Client(error) => error.is_refused_token(),
            Self::OtherSettings(_) => true,
            Self::Malformed => false,
        }
    }
}

impl Edge {
    /// Looks whether the site that is followed still is of use, after a question of `session` to it has failed, and joins another where it is
    /// not. Answers whether another was joined: then the question may be asked again.
    pub(super) async fn rejoin(&self, session: u64) -> bool {
        let mut joining = self.0.sites.joining.lock().await;
        if self.0.knowledge.session() != session {
            return true;
        }
        if self.has_just_failed() {
            return false;
        }
        let mut order: Vec<_> = self.0.sites.current_first().collect();
        let followed = order.first().map(|(number, _)| *number);
        if session > 0 {
            // What it says of its feed says whether it is there. That it does not answer three times in a row is as good as gone.
            let doubts = self.0.sites.doubts.fetch_add(1, Ordering::Relaxed);
            if (order.len() == 1 || doubts < 2) && self.is_still_followed().await {
                return false;
            }
            order.rotate_left(1);
        }
        let (mut refused, mut renders_otherwise) = (0, false);
        for (number, site) in &order {
            match self.join(*number, site).await {
                Ok(()) => return true,
                Err(error) => {
                    refused += usize::from(error.is_refused());
                    renders_otherwise |= Some(*number) == followed && matches!(error, JoinError::OtherSettings(_));
                    joining.say(site, &error);
                }
            }
        }
        if refused == order.len() || renders_otherwise {
            // Not away: none of them wants this edge to know anything, or the one that it knows everything of makes other pictures now.
            self.0.knowledge.close();
        }
        self.0.sites.note_failure(self.0.runtime.clock.monotonic());
        false
    }

    /// Goes back to a site that is liked better, where the present one was followed for a while and that one answers again.
    pub(super) async fn go_back(&self) {
        let mut joining = self.0.sites.joining.lock().await;
        let now = self.0.runtime.clock.monotonic();
        if self.0.sites.better().next().is_none() {
            joining.look_back_at = None;
            return;
        }
        if now < *joining.look_back_at.get_or_insert(now + LOOK_BACK) {
            return;
        }
        joining.look_back_at = Some(now + LOOK_BACK);
        // In little time: whoever has to join another waits for this.
        let _ = runtime::timeout(ASK_WITHIN, async {
            for (number, site) in self.0.sites.better() {
                match self.join(number, site).await {
                    Ok(()) => return,
                    Err(error) => joining.say(site, &error),
                }
            }
        })
        .await;
    }

    /// Whether no site could be joined a moment ago: asking now would take as long, and be as futile.
    pub(super) fn has_just_failed(&self) -> bool {
        self.0.sites.failed().is_some_and(|failed| self.0.runtime.clock.monotonic().saturating_sub(failed) < PAUSE)
    }

    /// Whether the feed goes on where it was left: then nothing of what is known is wrong.
    async fn is_still_followed(&self) -> bool {
        let Some(cursor) = self.0.sites.cursor() else { return false };
        let page = self.0.sites.current().edge_feed(Some(&cursor), Duration::ZERO).await;
        page.is_ok_and(|page| !page.missed)
    }

    /// Begins a new session with this site. Only for who has `joining`.
    pub(super) async fn join(&self, number: usize, site: &Client) -> Result<(), JoinError> {
        // The place in the feed first: what changes from here on is told.
        let begun = self.0.runtime.clock.monotonic();
        let feed = site.edge_feed(None, Duration::ZERO).await?;
        let tenants = self.tenants_of(site).await?;
        self.0.sites.choose(number, feed.next);
        self.0.knowledge.begin(tenants, begun);
        self.0.figures.joined.fetch_add(1, Ordering::Relaxed);
        self.0.clearing.all();
        tracing::info!(site = site.server(), "follows this site");
        Ok(())
    }

    /// The tenants as a site says them.
    pub(super) async fn tenants_of(&self, site: &Client) -> Result<Vec<TenantUrls>, JoinError> {
        let answer = site.edge_tenants().await?;
        let basis = answer.basis;
        let theirs = RenditionBasis {
            quality: basis.default_quality,
            max_side: basis.max_side,
            previews: basis.previews,
            max_embedded_bytes: basis.max_embedded_bytes,
        };
        if theirs != self.0.basis {
            return Err(JoinError::OtherSettings(basis));
        }
        answer.tenants.into_iter().map(read_tenant).collect::<Option<_>>().ok_or(JoinError::Malformed)
    }
}

impl Joining {
    /// Says why a site was not joined; the same again only for who looks for it.
    fn say(&mut self, site: &Client, error: &JoinError) {
        let text = error.to_string();
        if self.said.insert(site.server().to_owned(), text.clone()).as_ref() == Some(&text) {
            tracing::debug!(site = site.server(), %error, "a site still cannot be joined");
        } else {
            tracing::warn!(site = site.server(), %error, "a site cannot be joined");
        }
    }
}

fn read_tenant(tenant: EdgeTenant) -> Option<TenantUrls> {
    let read = |key: &EdgeSigningKey| Some(SigningKey { key: STANDARD.decode(&key.key).ok()?, salt: STANDARD.decode(&key.salt).ok()? });
    let signing_keys = tenant.signing_keys.iter().map(read).collect::<Option<_>>()?;
    Some(TenantUrls { id: tenant.id, signing_keys, settings: tenant.renditions.into() })
}
