use std::sync::mpsc;
use std::time::Duration;

use futures_util::poll;

use super::*;
use crate::runtime;
use crate::service::iiif::ImageRequest;

impl Site {
    /// What asks for a rendition of this width.
    async fn asks(&self, caller: &Caller, bytes: &[u8], width: u32) -> RenditionRequest {
        let options = UrlOptions { width, ..UrlOptions::default() };
        let path = self.services.sign_rendition(caller, BlobHash::of(bytes), &options).await.unwrap();
        self.services.renditions.resolve(&path, Accepted::one(RenditionFormat::Jpeg)).await.unwrap()
    }

    /// Renditions that render or wait to.
    fn waiting(&self) -> u64 {
        self.services.load().renditions.renders_waiting
    }
}

/// Past this something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Renders at once: one works, and the original of another is read meanwhile.
const AT_ONCE: u32 = 2;
/// Renditions of one photo that may wait in these tests: half of the queue, for nobody else asks.
const OF_ONE: u32 = 8;

#[tokio::test]
async fn renditions_that_nobody_waits_for_are_not_rendered() {
    let site = Site::new(20);
    let ann = site.user("ann").await;
    let bytes = photo(1);
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    site.calls();
    let turns = site.services.renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    for round in 0..10 {
        let request = site.asks(&ann.0, &bytes, 100 + round).await;
        let mut asked = Box::pin(site.services.renditions.rendition(&request));
        assert!(poll!(&mut asked).is_pending());
        assert_eq!(site.waiting(), 1);
        drop(asked);
        assert_eq!(site.waiting(), 0);
    }
    drop(turns);
    assert!(site.calls().is_empty(), "no original was read");
    let request = site.asks(&ann.0, &bytes, 100).await;
    assert!(matches!(site.services.renditions.rendition(&request).await.unwrap().from, ServedFrom::Rendered(_)));
    assert_eq!(site.waiting(), 0);
}

#[tokio::test]
async fn one_photo_does_not_fill_the_queue() {
    let site = Site::new(21);
    let ann = site.user("ann").await;
    let (one, other) = (photo(1), photo(2));
    for bytes in [&one, &other] {
        site.send(&ann, PhotoName::Fresh, bytes).await.unwrap();
    }
    let turns = site.services.renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    let mut requests = vec![];
    for number in 0..OF_ONE {
        requests.push(site.asks(&ann.0, &one, 100 + number).await);
    }
    requests.push(site.asks(&ann.0, &other, 100).await);
    let mut asked: Vec<_> = requests.iter().map(|request| Box::pin(site.services.renditions.rendition(request))).collect();
    for rendition in &mut asked {
        assert!(poll!(rendition).is_pending());
    }
    let past = site.asks(&ann.0, &one, 200).await;
    assert!(matches!(site.services.renditions.rendition(&past).await, Err(ServiceError::Busy(_))));
    // Who asks for the same as another takes no place.
    let mut joined = Box::pin(site.services.renditions.rendition(&requests[0]));
    assert!(poll!(&mut joined).is_pending());
    assert_eq!(site.waiting(), u64::from(OF_ONE) + 1);
    drop(turns);
    for rendition in asked {
        rendition.await.unwrap();
    }
    assert!(matches!(joined.await.unwrap().from, ServedFrom::Joined));
    site.services.renditions.rendition(&past).await.unwrap();
}

#[tokio::test]
async fn all_tiles_of_a_photo_that_a_viewer_asks_for_at_once_are_made() {
    let site = Site::with_previews(24, Arc::new(MemoryStore::new()));
    let ann = site.user("ann").await;
    let bytes = large_photo(1);
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let base = site.services.sign_iiif(&ann.0, BlobHash::of(&bytes), None).await.unwrap();
    let renditions = &site.services.renditions;
    let image = renditions.resolve_iiif(base.rsplit('/').next().unwrap()).await.unwrap();
    let turns = renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    let tile = |number: u32| {
        let region = format!("{},0,80,160", number * 80);
        let request = ImageRequest::parse([region.as_str(), "80,160", "0", "default.jpg"]).unwrap();
        renditions.iiif_rendition(&image, &request).unwrap().0
    };
    let requests: Vec<_> = (0..24).map(tile).collect();
    let mut asked: Vec<_> = requests.iter().map(|request| Box::pin(renditions.rendition(request))).collect();
    for rendition in &mut asked {
        assert!(poll!(rendition).is_pending());
    }
    assert_eq!(site.waiting(), 24);
    drop(turns);
    for rendition in asked {
        runtime::timeout(PATIENCE, rendition).await.expect("it is made").unwrap();
    }
}

#[tokio::test]
async fn renditions_do_not_hold_up_uploads() {
    let site = Site::new(22);
    let ann = site.user("ann").await;
    // The only thread for renditions works, and others wait for it; originals take all the memory that they may.
    let ((release, held), imaging) = (mpsc::channel::<()>(), &site.services.pools.imaging);
    let mut working = Box::pin(imaging.pool().run(move || held.recv().is_ok()));
    let mut behind = Box::pin(imaging.pool().run(|| ()));
    assert!(poll!(&mut working).is_pending() && poll!(&mut behind).is_pending());
    let memory = site.services.renditions.limits.render_memory.take(u64::MAX).await.unwrap();
    let sent = runtime::timeout(PATIENCE, site.send(&ann, PhotoName::Fresh, &photo(1))).await.expect("it does not wait");
    assert!(sent.unwrap().created);
    drop(memory);
    release.send(()).unwrap();
    assert_eq!((working.await, behind.await), (Ok(true), Ok(())));
}

#[tokio::test]
async fn an_upload_does_not_wait_for_ever_to_be_inspected() {
    let mut site = Site::new(23);
    let ann = site.user("ann").await;
    let wait = |site: &mut Site, wait| Arc::get_mut(&mut site.services).expect("nothing runs").limits.inspection_wait = wait;
    wait(&mut site, Duration::ZERO);
    site.calls();
    let limits = site.services.limits.clone();
    // For its turn, for memory, for a thread.
    let turns = limits.inspecting.acquire_many(AT_ONCE).await.unwrap();
    assert!(matches!(site.send(&ann, PhotoName::Fresh, &photo(1)).await, Err(ServiceError::Busy(_))));
    drop(turns);
    let memory = limits.inspect_memory.take(u64::MAX).await.unwrap();
    assert!(matches!(site.send(&ann, PhotoName::Fresh, &photo(1)).await, Err(ServiceError::Busy(_))));
    drop(memory);
    let ((release, held), inspecting) = (mpsc::channel::<()>(), site.services.pools.inspecting.clone());
    let mut working = Box::pin(inspecting.pool().run(move || held.recv().is_ok()));
    assert!(poll!(&mut working).is_pending());
    assert!(matches!(site.send(&ann, PhotoName::Fresh, &photo(1)).await, Err(ServiceError::Busy(_))));
    release.send(()).unwrap();
    assert!(working.await.unwrap());

    // Nothing is left: neither of the photo nor of what it held.
    assert!(site.calls().iter().all(|(operation, _)| *operation != Operation::Publish));
    assert_eq!((site.store.keys().len(), site.metadata.read().stats().unwrap().photos), (0, 0));
    assert_eq!((site.services.load().uploads_running, limits.inspecting.available_permits()), (0, AT_ONCE as usize));
    drop(limits.inspect_memory.take(u64::MAX).await.unwrap());
    wait(&mut site, PATIENCE);
    assert!(site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap().created);
}

#[tokio::test]
async fn what_takes_an_encoder_long_waits_where_nothing_waits_behind_it() {
    let site = Site::new(25);
    let ann = site.user("ann").await;
    let bytes = photo_of((4_000, 3_000), 1);
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let renditions = &site.services.renditions;
    let fast = renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    let slow = renditions.renditions.slow.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    for (format, width, is_slow) in [
        (RenditionFormat::Png, 0, true),
        (RenditionFormat::WebP, 0, true),
        (RenditionFormat::Jpeg, 0, false),
        (RenditionFormat::Png, 2_000, false),
        (RenditionFormat::WebP, 320, false),
        (RenditionFormat::Avif, 320, true),
    ] {
        let options = UrlOptions { width, format: Some(format.extension().into()), ..UrlOptions::default() };
        let path = site.services.sign_rendition(&ann.0, BlobHash::of(&bytes), &options).await.unwrap();
        let request = renditions.resolve(&path, Accepted::one(format)).await.unwrap();
        let mut asked = Box::pin(renditions.rendition(&request));
        let load = || site.services.load().renditions;
        let waits = async {
            while load().renders_waiting + load().slow_renders_waiting == 0 {
                assert!(poll!(&mut asked).is_pending());
                tokio::task::yield_now().await;
            }
        };
        runtime::timeout(PATIENCE, waits).await.expect("it waits");
        let load = load();
        assert_eq!((load.renders_waiting, load.slow_renders_waiting), (u64::from(!is_slow), u64::from(is_slow)), "{format:?}, {width}");
    }
    drop((fast, slow));
}
