//! A backend of previews that stalls keeps nobody waiting who does not need it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::poll;

use super::kept_previews::KeptPreviews;
use super::*;
use crate::blobs::DerivedKind;
use crate::runtime;
use crate::service::rendition::Catalogue;
use crate::service::stores::Stores;

/// Past this something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Renders at once: one works, and another waits at the decoder's door.
const AT_ONCE: usize = 2;

struct Rig {
    site: Site,
    ann: (Caller, AlbumId),
    previews: KeptPreviews,
}

impl Rig {
    async fn new(seed: u64) -> Self {
        let previews = KeptPreviews::new();
        let site = Site::with_previews(seed, Arc::new(previews.clone()));
        let ann = site.user("ann").await;
        Self { site, ann, previews }
    }

    /// A new large photo, and what asks for it in so many pixels.
    async fn photo(&self, number: u8, width: u32) -> RenditionRequest {
        let bytes = large_photo(number);
        self.site.send(&self.ann, PhotoName::Fresh, &bytes).await.unwrap();
        self.asks(&bytes, width).await
    }

    async fn asks(&self, bytes: &Bytes, width: u32) -> RenditionRequest {
        let options = UrlOptions { width, ..UrlOptions::default() };
        let path = self.site.services.sign_rendition(&self.ann.0, BlobHash::of(bytes), &options).await.unwrap();
        self.site.services.renditions.resolve(&path, Accepted::one(RenditionFormat::Jpeg)).await.unwrap()
    }

    fn renditions(&self) -> &Arc<RenditionService> {
        &self.site.services.renditions
    }

    async fn made(&self, request: &RenditionRequest) {
        runtime::timeout(PATIENCE, self.renditions().rendition(request)).await.expect("it waits for no backend").unwrap();
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let turned = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    runtime::timeout(PATIENCE, turned).await.expect(what);
}

#[tokio::test]
async fn who_waits_is_answered_though_previews_cannot_be_kept() {
    let rig = Rig::new(50).await;
    rig.previews.hold_puts(true);
    let photos = AT_ONCE as u8 + 2;
    for number in 0..photos {
        let request = rig.photo(number, 320).await;
        rig.made(&request).await;
    }
    until("all of them are on their way", || rig.previews.puts() == (photos.into(), 0)).await;
    // From what is remembered.
    let again = rig.asks(&large_photo(0), 200).await;
    rig.made(&again).await;
    assert_eq!(rig.site.services.load().renditions.previews.made, u64::from(photos));
    rig.previews.hold_puts(false);
    rig.renditions().previews_kept().await;
    assert_eq!(rig.previews.puts(), (photos.into(), photos.into()));
}

#[tokio::test]
async fn what_is_in_memory_is_rendered_though_others_wait_for_the_backend() {
    let rig = Rig::new(51).await;
    let known = rig.photo(0, 320).await;
    rig.made(&known).await;
    let mut requests = vec![];
    for number in 1..=AT_ONCE as u8 + 2 {
        requests.push(rig.photo(number, 320).await);
    }
    rig.previews.hold_gets(true);
    let before = rig.previews.gets();
    let mut stuck: Vec<_> = requests.iter().map(|request| Box::pin(rig.renditions().rendition(request))).collect();
    for rendition in &mut stuck {
        assert!(poll!(rendition).is_pending());
    }
    until("all of them are looked for", || rig.previews.gets() == before + requests.len()).await;
    let again = rig.asks(&large_photo(0), 200).await;
    rig.made(&again).await;
    // Who gives up leaves nothing behind.
    let fetches = || rig.renditions().renditions.fast.fetches.available_permits();
    let held = fetches();
    drop(stuck.pop());
    until("its leave to fetch is given back", || fetches() == held + 1).await;
    rig.previews.hold_gets(false);
    for rendition in stuck {
        runtime::timeout(PATIENCE, rendition).await.expect("the backend is back").unwrap();
    }
}

/// The stores of a site that a blob may leave.
#[derive(Debug)]
struct Leaving {
    stores: Stores,
    is_gone: AtomicBool,
}

#[async_trait]
impl Catalogue for Leaving {
    async fn tenants(&self) -> Result<Vec<TenantUrls>, ServiceError> {
        self.stores.tenants().await
    }

    async fn tenant_owns(&self, tenant: TenantId, hash: BlobHash) -> Result<bool, ServiceError> {
        self.stores.tenant_owns(tenant, hash).await
    }

    async fn shown_to(&self, tenant: TenantId, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        self.stores.shown_to(tenant, hash).await
    }

    async fn shown(&self, hash: BlobHash) -> Result<Option<(u32, u32)>, ServiceError> {
        self.stores.shown(hash).await
    }

    async fn tenant_of(&self, hash: BlobHash) -> Result<Option<TenantId>, ServiceError> {
        self.stores.tenant_of(hash).await
    }

    async fn is_present(&self, _: BlobHash) -> Result<bool, ServiceError> {
        Ok(!self.is_gone.load(Ordering::SeqCst))
    }

    async fn open(&self, hash: BlobHash) -> Result<BlobReader, ServiceError> {
        Catalogue::open(&self.stores, hash).await
    }
}

#[tokio::test]
async fn no_preview_comes_to_the_backend_once_its_blob_has_gone() {
    let rig = Rig::new(52).await;
    let (first, second) = (rig.photo(1, 320).await, rig.photo(2, 320).await);
    let hashes = [1, 2].map(|number| BlobHash::of(&large_photo(number)));
    let leaving = Arc::new(Leaving { stores: rig.site.services.stores.clone(), is_gone: AtomicBool::new(false) });
    let mut config = Config::for_testing("/nowhere");
    config.renditions.previews = true;
    config.renditions.deadline = PATIENCE * 2;
    let pools = rig.site.services.pools.clone();
    let pools = RenditionPools { imaging: pools.imaging, slow: pools.slow, previews: pools.previews };
    let previews = Arc::new(rig.previews.clone());
    let renditions = Arc::new(RenditionService::new(leaving.clone(), previews, None, rig.site.runtime.clone(), pools, &config));
    let made =
        async |request: &RenditionRequest| runtime::timeout(PATIENCE, renditions.rendition(request)).await.expect("it is made").unwrap();

    rig.previews.hold_puts(true);
    made(&first).await;
    until("its preview is on its way", || rig.previews.puts() == (1, 0)).await;
    // It is deleted while its preview is on its way.
    leaving.is_gone.store(true, Ordering::SeqCst);
    renditions.forget_preview(hashes[0]).await.unwrap();
    // And another before.
    made(&second).await;
    rig.previews.hold_puts(false);
    renditions.previews_kept().await;
    assert_eq!(rig.previews.puts(), (1, 1), "nothing is begun for what has gone");
    for hash in hashes {
        assert!(rig.previews.get_derived(DerivedKind::Preview, &hash).await.unwrap().is_none());
    }
    assert!(!renditions.remembers_preview(&hashes[0]).await);
}

#[tokio::test]
async fn no_preview_of_a_forgotten_blob_is_remembered_whenever_it_comes() {
    let rig = Rig::new(53).await;
    let (request, hash) = (rig.photo(1, 320).await, BlobHash::of(&large_photo(1)));
    let forget = async || {
        rig.renditions().forget_preview(hash).await.unwrap();
        rig.renditions().forget(hash).await.unwrap();
    };
    // Once it is made anew, and once it is found on the backend.
    for round in 0..2 {
        let kept = rig.previews.get_derived(DerivedKind::Preview, &hash).await.unwrap();
        assert_eq!(kept.is_some(), round == 1);
        rig.previews.hold_gets(true);
        let before = rig.previews.gets();
        let mut asked = Box::pin(rig.renditions().rendition(&request));
        assert!(poll!(&mut asked).is_pending());
        until("it is looked for", || rig.previews.gets() > before).await;
        forget().await;
        if let Some(kept) = kept {
            rig.previews.lay(hash, kept).await;
        }
        rig.previews.hold_gets(false);
        runtime::timeout(PATIENCE, asked).await.expect("it is made").unwrap();
        assert!(!rig.renditions().remembers_preview(&hash).await);
        rig.renditions().previews_kept().await;
        assert!(
            rig.previews.get_derived(DerivedKind::Preview, &hash).await.unwrap().is_some(),
            "the blob is still there: only what was begun is forgotten"
        );
    }
    assert_eq!(rig.site.services.load().renditions.previews.made, 1);
    rig.made(&request).await;
    assert!(rig.renditions().remembers_preview(&hash).await);
}
