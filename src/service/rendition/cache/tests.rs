//! The cache: what is shared, kept, forgotten and bounded.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::poll;
use tokio::sync::Semaphore;

use super::*;
use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

/// A cache, and renders whose turns come, and that end, as often as they are let.
struct Rig {
    cache: Cache,
    key: CacheKey,
    turns: Arc<Semaphore>,
    ends: Arc<Semaphore>,
    renders: Arc<AtomicUsize>,
}

impl Rig {
    fn new() -> Self {
        let recipe = RecipeRequest { width: 10, height: 10, format: Some(RenditionFormat::Png), ..RecipeRequest::default() };
        let recipe = recipe.settle(RenditionFormat::Png, 80, 100).unwrap();
        let key = CacheKey { hash: BlobHash::of(b"x"), recipe, previews: false, max_embedded_bytes: 1 << 20 };
        let (turns, ends) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        Self { cache: Cache::new(1_000_000, 0), key, turns, ends, renders: Arc::default() }
    }

    fn ask(&self) -> BoxFuture<'_, Result<Rendition, ServiceError>> {
        let (turns, ends, renders) = (self.turns.clone(), self.ends.clone(), self.renders.clone());
        let turn = async move { turns.acquire_owned().await.map_err(|_| ServiceError::Busy("closed")) };
        let render = |turn| async move {
            renders.fetch_add(1, Ordering::Relaxed);
            ends.acquire().await.unwrap().forget();
            drop(turn);
            Ok(Rendition { bytes: Bytes::from_static(b"picture"), format: RenditionFormat::Png })
        };
        Box::pin(self.cache.get_or_render(self.key, std::future::ready(None), turn, render))
    }

    fn renders(&self) -> usize {
        self.renders.load(Ordering::Relaxed)
    }

    fn flights(&self) -> usize {
        self.cache.flights.state().by_key.len()
    }
}

#[tokio::test]
async fn a_render_whose_askers_have_gone_ends_and_is_kept() {
    let rig = Rig::new();
    rig.turns.add_permits(1);
    // Asked for, and given up before it is there: twice.
    for _ in 0..2 {
        assert!(poll!(rig.ask()).is_pending());
        assert_eq!(rig.flights(), 1);
    }
    let last = rig.ask();
    rig.ends.add_permits(10);
    assert_eq!(last.await.unwrap().bytes, "picture");
    assert_eq!((rig.renders(), rig.flights()), (1, 0));
    assert!(rig.cache.get(&rig.key).await.is_some());
}

#[tokio::test]
async fn one_whose_turn_has_not_come_is_dropped_with_its_last_asker() {
    let rig = Rig::new();
    let (mut first, mut second) = (rig.ask(), rig.ask());
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    // Who joined is served, whoever began.
    drop(first);
    assert!(poll!(&mut second).is_pending());
    assert_eq!(rig.flights(), 1);
    drop(second);
    assert_eq!(rig.flights(), 0);
    rig.turns.add_permits(1);
    assert_eq!(rig.turns.available_permits(), 1, "nobody waits for a turn");
    assert_eq!(rig.renders(), 0);

    rig.turns.forget_permits(1);
    let (mut first, mut second) = (rig.ask(), rig.ask());
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    drop(first);
    rig.turns.add_permits(1);
    rig.ends.add_permits(1);
    assert_eq!(second.await.unwrap().bytes, "picture");
    assert_eq!(rig.renders(), 1);
}

#[tokio::test]
async fn a_forgetting_refuses_what_is_under_way_of_its_own_blob_alone() {
    let rig = Rig::new();
    rig.turns.add_permits(2);
    for (forgotten, is_kept) in [(BlobHash::of(b"another"), true), (rig.key.hash, false)] {
        let mut rendering = rig.ask();
        assert!(poll!(&mut rendering).is_pending());
        rig.cache.forget(&forgotten.prefix()).await;
        rig.ends.add_permits(1);
        assert_eq!(rendering.await.unwrap().bytes, "picture");
        assert_eq!(rig.cache.contains(&rig.key), is_kept);
        rig.cache.forget(&rig.key.hash.prefix()).await;
        assert!(!rig.cache.contains(&rig.key));
    }
}

#[tokio::test]
async fn where_all_that_was_begun_is_forgotten_what_is_there_stays() {
    let rig = Rig::new();
    rig.turns.add_permits(2);
    rig.ends.add_permits(2);
    let other = CacheKey { hash: BlobHash::of(b"another"), ..rig.key };
    let begun = rig.cache.forgettings();
    rig.cache.insert(other, rig.ask().await.unwrap(), begun).await;
    rig.cache.forget(&rig.key.hash.prefix()).await;
    rig.ends.forget_permits(1);
    let mut rendering = rig.ask();
    assert!(poll!(&mut rendering).is_pending());
    rig.cache.forget_begun();
    rig.ends.add_permits(1);
    let rendered = rendering.await.unwrap();
    rig.cache.insert(rig.key, rendered.clone(), begun).await;
    assert!(rig.cache.contains(&other) && !rig.cache.contains(&rig.key));
    rig.cache.insert(rig.key, rendered, rig.cache.forgettings()).await;
    assert!(rig.cache.contains(&rig.key), "begun since");
}

#[test]
fn all_that_the_bytes_follow_from_is_in_the_tag() {
    let key = Rig::new().key;
    let recipe = RecipeRequest { width: 11, height: 10, format: Some(RenditionFormat::Png), ..RecipeRequest::default() };
    let others = [
        CacheKey { hash: BlobHash::of(b"y"), ..key },
        CacheKey { recipe: recipe.settle(RenditionFormat::Png, 80, 100).unwrap(), ..key },
        CacheKey { previews: true, ..key },
        CacheKey { max_embedded_bytes: 1, ..key },
    ];
    assert!(others.iter().all(|other| other.tag() != key.tag()));
}

#[tokio::test]
async fn what_clients_hold_beside_the_cache_is_bounded() {
    let cache = Cache::new(10_000, 5_000);
    let taken: Vec<_> = (0..15).map(|_| cache.count(vec![0; 1_000])).collect();
    assert_eq!(cache.room().await, Room::ForSmallOnes);
    let more: Vec<_> = (0..4).map(|_| cache.count(vec![0; 1_000])).collect();
    assert_eq!(cache.room().await, Room::None);
    drop(more);
    let part = taken[0].slice(..1);
    drop(taken);
    assert_eq!(cache.alive.load(Ordering::Relaxed), 1_000, "a part keeps all of it");
    drop(part);
    // Of what it keeps itself the cache makes room.
    for nth in 0..100_u8 {
        assert_eq!(cache.room().await, Room::ForAny, "{nth}");
        let key = CacheKey { hash: BlobHash::of(&[nth]), ..Rig::new().key };
        cache.kept.insert(key, Rendition { bytes: cache.count(vec![0; 1_000]), format: RenditionFormat::Png }).await;
    }
}

#[test]
fn who_takes_large_ones_slowly_keeps_nobody_from_thumbnails() {
    let recipe =
        |width, height| RecipeRequest { width, height, ..RecipeRequest::default() }.settle(RenditionFormat::Jpeg, 80, 8_192).unwrap();
    for (recipe, is_small) in
        [(recipe(320, 320), true), (recipe(640, 0), true), (recipe(0, 0), false), (recipe(1_280, 1_280), false), (recipe(641, 0), false)]
    {
        assert_eq!([Room::ForAny, Room::ForSmallOnes, Room::None].map(|room| room.holds(&recipe)), [true, is_small, false], "{recipe:?}");
    }
}

#[tokio::test]
async fn an_error_is_shared_and_not_kept() {
    let rig = Rig::new();
    let (mut first, mut second) = (rig.ask(), rig.ask());
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    rig.turns.close();
    assert_eq!(first.await.unwrap_err(), ServiceError::Busy("closed"));
    assert_eq!(second.await.unwrap_err(), ServiceError::Busy("closed"));
    assert_eq!(rig.flights(), 0);
    assert!(rig.cache.get(&rig.key).await.is_none());
}

#[test]
fn very_large_enlargements_wait_with_what_is_slow() {
    let is_slow = |width, height, enlarge| {
        let recipe = RecipeRequest { width, height, enlarge, ..RecipeRequest::default() };
        recipe.settle(RenditionFormat::Png, 80, 8_192).unwrap().is_slow() == Some(true)
    };
    assert!(is_slow(8_000, 8_000, true) && is_slow(8_000, 0, true) && is_slow(0, 3_000, true));
    // A photo's own size is as large as its owner made it.
    assert!(!is_slow(8_000, 8_000, false) && !is_slow(0, 0, false) && !is_slow(0, 0, true));
    assert!(!is_slow(2_048, 2_048, true) && !is_slow(2_560, 0, true));
}
