//! An edge: a node that shows renditions and has no metadata. It asks a site whose photos they are, remembers the answers for a bounded time,
//! and follows the site's feed of what is to be forgotten. Away from every site it serves what it knows, until that time is over, and then
//! nothing.
//!
//! One site at a time is asked and followed: an answer is only good together with the feed of the site that gave it. Where that site does
//! not answer, the next one is joined, and everything is asked anew; so it is once one that is liked better answers again.

mod asking;
mod bytes;
mod clearing;
mod follow;
mod join;
mod knowledge;
mod sites;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::api::EdgeBlob;
use crate::blobs::StoreReader;
use crate::client::{Client, ClientError};
use crate::model::{BlobHash, TenantId};
use crate::runtime::{self, BlockingPool, Runtime};
use crate::service::{BlobReader, Catalogue, RenditionBasis, ServiceError, TenantUrls};

use asking::Asking;
use bytes::EdgeRead;
use clearing::Clearing;
use knowledge::{Asked, Knowledge};
use sites::Sites;

/// How long a question takes at most, whoever is asked: somebody waits for it.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// How often a question is asked whose answer is revoked while it is under way.
const ASK_AGAIN: usize = 3;

/// How an edge behaves.
#[derive(Debug, Clone, Copy)]
pub struct EdgeSettings {
    /// How long what it knows holds after its site was heard of last.
    pub remember: Duration,
    /// Answers that it remembers at most.
    pub answers: u64,
    /// What its renditions are a function of: a site that says otherwise is not followed.
    pub basis: RenditionBasis,
    /// A photo of more bytes is none that a site would have taken.
    pub max_photo_bytes: u64,
}

/// What an edge knows, and whom it asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Runtime,
    knowledge: Knowledge,
    sites: Sites,
    asking: Asking,
    clearing: Clearing,
    max_photo_bytes: u64,
    /// Where the blobs lie, where this machine can read them itself.
    backend: Option<StoreReader>,
    /// Where what a site sent is hashed.
    hashing: BlockingPool,
    basis: RenditionBasis,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    asked: AtomicU64,
    revoked: AtomicU64,
    joined: AtomicU64,
}

/// How an edge stands to its sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeFigures {
    /// How long ago a site was heard of; `None`: never.
    pub silence: Option<Duration>,
    /// Answers that are remembered, about.
    pub answers: u64,
    /// Blobs that were asked of.
    pub asked: u64,
    /// Answers that were revoked.
    pub revoked: u64,
    /// How often a site was joined.
    pub joined: u64,
}

impl Edge {
    /// An edge of these sites, the first of which it likes best. It knows nothing until it [follows](Edge::follow) one.
    pub fn new(settings: EdgeSettings, sites: Vec<Client>, backend: Option<StoreReader>, hashing: BlockingPool, runtime: Runtime) -> Self {
        let knowledge = Knowledge::new(runtime.clock.clone(), settings.remember, settings.answers);
        let sites = Sites::new(sites);
        let (asking, clearing, figures) = (Asking::default(), Clearing::default(), Figures::default());
        let EdgeSettings { basis, max_photo_bytes, .. } = settings;
        Self(Arc::new(Inner { knowledge, sites, asking, clearing, max_photo_bytes, backend, hashing, basis, figures, runtime }))
    }

    /// Whether it can say whose photos are whose.
    ///
    /// # Errors
    /// `Unavailable` where no site was heard of lately.
    pub fn ready(&self) -> Result<(), ServiceError> {
        self.0.knowledge.require()
    }

    /// How it stands to its sites.
    pub fn figures(&self) -> EdgeFigures {
        let Figures { asked, revoked, joined } = &self.0.figures;
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        EdgeFigures {
            silence: self.0.knowledge.silence(),
            answers: self.0.knowledge.answers(),
            asked: of(asked),
            revoked: of(revoked),
            joined: of(joined),
        }
    }

    /// Whether what lies in the caches was looked through since a site was joined: what begins from then on is kept.
    #[cfg(test)]
    pub fn has_looked_through_caches(&self) -> bool {
        self.0.clearing.has_found_all()
    }

    /// Asks the site that is followed; where it is gone, joins the next, and asks that.
    async fn ask<T, F>(&self, question: impl Fn(Client, Asked) -> F) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let asking = async {
            loop {
                // First: what is joined meanwhile is not what was asked.
                let asked = self.0.knowledge.asking();
                if self.has_just_failed() {
                    return Err(ServiceError::Unavailable("site"));
                }
                match question(self.0.sites.current(), asked).await {
                    Ok(answer) => {
                        self.0.sites.doubts.store(0, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(error) if error.is_away() && self.rejoin(asked.session()).await => {
                        tracing::debug!(%error, "another site is asked");
                    }
                    Err(error) => {
                        if !error.is_not_found() {
                            tracing::warn!(%error, "the site does not answer its edge");
                        }
                        return Err(refused(&error));
                    }
                }
            }
        };
        runtime::timeout(ASK_WITHIN, asking).await.unwrap_or(Err(ServiceError::Unavailable("site")))
    }

    /// Asks of a blob, and remembers the answer, a no for a moment; with others who ask the same.
    async fn ask_of(&self, tenant: Option<TenantId>, hash: BlobHash) -> Result<Option<EdgeBlob>, ServiceError> {
        if self.0.knowledge.is_missing(tenant, hash) {
            return Ok(None);
        }
        let edge = self.clone();
        let asked = self.0.asking.join((tenant, hash), || Box::pin(async move { edge.ask_alone(tenant, hash).await }));
        asked.await
    }

    async fn ask_alone(&self, tenant: Option<TenantId>, hash: BlobHash) -> Result<Option<EdgeBlob>, ServiceError> {
        self.0.figures.asked.fetch_add(1, Ordering::Relaxed);
        for _ in 0..ASK_AGAIN {
            // Before: what comes while it is asked may be missing no more.
            let before = self.0.knowledge.asking();
            let answered = self.ask(|site, asked| async move { Ok((asked, site.edge_blob(hash, tenant).await?)) });
            match answered.await {
                Ok((_, blob)) if blob.size_bytes > self.0.max_photo_bytes => {
                    tracing::warn!(%hash, size_bytes = blob.size_bytes, "the site says of a photo that it is larger than any may be");
                    return Err(ServiceError::Unavailable("site"));
                }
                Ok((asked, blob)) if self.0.knowledge.learn(asked, tenant, hash, blob) => return Ok(Some(blob)),
                // It was revoked while it was under way: the site knows better now.
                Ok(_) => {}
                Err(ServiceError::NotFound(_)) => {
                    self.0.knowledge.learn_missing(before, tenant, hash);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ServiceError::Unavailable("site"))
    }

    async fn blob(&self, hash: BlobHash) -> Result<Option<EdgeBlob>, ServiceError> {
        match self.0.knowledge.blob(hash) {
            Some(blob) => Ok(Some(blob)),
            None => self.ask_of(None, hash).await,
        }
    }
}

/// What an answer that is none means to who asked the edge.
fn refused(error: &ClientError) -> ServiceError {
    if error.is_not_found() {
        ServiceError::NotFound("image")
    } else if error.is_busy() {
        ServiceError::Busy("the site is busy")
    } else {
        ServiceError::Unavailable("site")
    }
}

#[async_trait]
impl Catalogue for Edge {
    async fn tenants(&self) -> Result<Vec<TenantUrls>, ServiceError> {
        self.0.knowledge.tenants()
    }

    async fn tenant_owns(&self, tenant: TenantId, hash: BlobHash) -> Result<bool, ServiceError> {
        Ok(self.0.knowledge.owns(tenant, hash)? || self.ask_of(Some(tenant), hash).await?.is_some())
    }

    async fn shown_to(&self, tenant: TenantId, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        let known = if self.0.knowledge.owns(tenant, hash)? { self.0.knowledge.blob(hash) } else { None };
        let blob = match known {
            Some(blob) => Some(blob),
            None => self.ask_of(Some(tenant), hash).await?,
        };
        Ok(blob.map(|blob| (blob.width, blob.height)))
    }

    async fn shown(&self, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        Ok(self.blob(hash).await?.map(|blob| (blob.width, blob.height)))
    }

    async fn tenant_of(&self, hash: BlobHash) -> Result<Option<TenantId>, ServiceError> {
        Ok(self.0.knowledge.tenant_of(hash))
    }

    async fn is_present(&self, _: BlobHash) -> Result<bool, ServiceError> {
        // Whoever asks has made something to be kept beside the blob, and an edge keeps nothing there.
        Ok(true)
    }

    async fn open(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        let blob = self.blob(hash).await?.ok_or(ServiceError::NotFound("blob"))?;
        Ok(BlobReader::new(Arc::new(EdgeRead::new(self.clone(), hash, blob.size_bytes))))
    }
}
