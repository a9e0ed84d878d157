//! One rendition that nobody has made yet, and everybody asks for it at once, through the routes.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures_util::future::join_all;

use super::kept_previews::KeptPreviews;
use super::*;
use crate::http::{
    self, AnswerMemory, Front, FrontParts, HotRenditions, HttpLimits, JsonMemory, ObservedRequest, Observer, RenditionOutcome,
};
use crate::runtime::{self, shutdown_channel};
use crate::service::rendition_url::{RecipeRequest, RenditionUrl, SigningKey};

const CLIENTS: usize = 1_000;
/// Past this something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Renders at once: one works, and the original of another is read meanwhile.
const AT_ONCE: u32 = 2;

/// How many requests have begun, and what came of them.
#[derive(Debug, Default)]
struct Seen {
    begun: Mutex<usize>,
    outcomes: Mutex<BTreeMap<&'static str, usize>>,
}

#[async_trait::async_trait]
impl Observer for Seen {
    fn begins(&self, _: &str, _: &axum::http::Method) {
        *self.begun.lock().unwrap() += 1;
    }

    fn ended(&self, _: &ObservedRequest<'_>) {}

    fn upload(&self, _: http::UploadOutcome) {}

    fn rendition(&self, outcome: RenditionOutcome) {
        let name = match outcome {
            RenditionOutcome::Hot | RenditionOutcome::Cached | RenditionOutcome::Disk => "found",
            RenditionOutcome::Joined => "joined",
            RenditionOutcome::Rendered(_) => "rendered",
            RenditionOutcome::Refused(code) => code,
        };
        *self.outcomes.lock().unwrap().entry(name).or_default() += 1;
    }

    async fn render(&self) -> (&'static str, String) {
        ("text/plain", String::new())
    }
}

fn front(site: &Site, shutdown: runtime::Shutdown, observer: Arc<Seen>) -> Front {
    Front::new(FrontParts {
        renditions: site.services.renditions().clone(),
        health: site.services.clone(),
        runtime: site.runtime.clone(),
        shutdown,
        observer,
        public_url: None,
        server_timing: false,
        limits: HttpLimits {
            max_json_bytes: 1 << 20,
            json_memory: JsonMemory::new(1 << 20),
            answer_memory: AnswerMemory::new(1 << 20),
            max_header_bytes: 16 << 10,
            request_timeout: PATIENCE,
            stall_timeout: PATIENCE,
            min_upload_bytes_per_second: 0,
            default_page: 100,
            max_page: 100,
        },
        hot: HotRenditions::new(&site.runtime.random),
    })
}

#[tokio::test]
async fn a_thousand_who_want_the_same_wait_for_one_decode() {
    let site = Site::new(40);
    let ann = site.user("ann").await;
    let bytes = photo(1);
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    let options = UrlOptions { width: 320, ..UrlOptions::default() };
    let path = site.services.sign_rendition(&ann.0, BlobHash::of(&bytes), &options).await.unwrap();
    let (_trigger, shutdown) = shutdown_channel();
    let seen = Arc::<Seen>::default();
    let entrance = http::edge_entrance(front(&site, shutdown, seen.clone()));
    site.calls();

    // Nothing renders before all of them have asked.
    let turns = site.services.renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    let asking = (0..CLIENTS).map(|_| entrance.clone().answer(Request::get(&path).body(Body::empty()).unwrap()));
    let answers = runtime::spawn_joined(join_all(asking.collect::<Vec<_>>()));
    let have_asked = async {
        while *seen.begun.lock().unwrap() < CLIENTS || site.services.load().renditions.renders_waiting == 0 {
            tokio::task::yield_now().await;
        }
    };
    runtime::timeout(PATIENCE, have_asked).await.expect("all of them ask");
    let load = site.services.load().renditions;
    assert_eq!(load.renders_waiting, 1, "a place a rendition, not one a client");
    assert!(load.renders_limit < CLIENTS as u64);
    drop(turns);

    let answers = runtime::timeout(PATIENCE, answers).await.expect("all of them are answered").unwrap();
    let mut bodies = vec![];
    for answer in answers {
        assert_eq!(answer.status(), 200);
        bodies.push(to_bytes(answer.into_body(), 1 << 20).await.unwrap());
    }
    assert!(bodies.iter().all(|body| body == &bodies[0] && !body.is_empty()));
    let outcomes = seen.outcomes.lock().unwrap().clone();
    assert_eq!(outcomes["rendered"], 1, "{outcomes:?}");
    assert_eq!(outcomes.values().sum::<usize>(), CLIENTS, "{outcomes:?}");
    let opened = site.calls().iter().filter(|(operation, _)| *operation == Operation::Open).count();
    assert_eq!(opened, 1, "the original was read once");
}

#[tokio::test]
async fn a_thousand_who_take_avif_wait_for_one_decode_too_and_so_does_the_avif() {
    let previews = KeptPreviews::new();
    let site = Site::with_previews(41, Arc::new(previews.clone()));
    let ann = site.user("ann").await;
    let bytes = large_photo(1);
    site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap();
    // It names no format.
    let key = site.metadata.read().tenant(TenantId::DEFAULT).unwrap().unwrap().signing_keys.remove(0);
    let recipe = RecipeRequest { width: 320, ..RecipeRequest::default() };
    let url = RenditionUrl { hash: BlobHash::of(&bytes), recipe, expires: None, by_preset: false };
    let path = url.to_path(&SigningKey::new(key.key, key.salt));
    let (_trigger, shutdown) = shutdown_channel();
    let seen = Arc::<Seen>::default();
    let entrance = http::edge_entrance(front(&site, shutdown, seen.clone()));
    let ask = || {
        let request = Request::get(&path).header("accept", "image/avif,image/webp,*/*;q=0.8");
        entrance.clone().answer(request.body(Body::empty()).unwrap())
    };
    site.calls();

    let turns = site.services.renditions.renditions.fast.turns.clone().acquire_many_owned(AT_ONCE).await.unwrap();
    let answers = runtime::spawn_joined(join_all((0..CLIENTS).map(|_| ask()).collect::<Vec<_>>()));
    // The WebP, and the preview that the AVIF waits for: both of them in one queue.
    let have_asked = async {
        while *seen.begun.lock().unwrap() < CLIENTS || site.services.load().renditions.renders_waiting < 2 {
            tokio::task::yield_now().await;
        }
    };
    runtime::timeout(PATIENCE, have_asked).await.expect("all of them ask");
    drop(turns);
    for answer in runtime::timeout(PATIENCE, answers).await.expect("all of them are answered").unwrap() {
        assert_eq!(answer.status(), 200);
    }
    let is_made = async {
        while site.services.load().renditions.slow_renders_waiting > 0 || previews.puts().1 == 0 {
            tokio::task::yield_now().await;
        }
    };
    runtime::timeout(PATIENCE, is_made).await.expect("the AVIF is made, and the preview kept");
    assert_eq!(ask().await.headers()["content-type"], "image/avif");
    let opened = site.calls().iter().filter(|(operation, _)| *operation == Operation::Open).count();
    let figures = site.services.load().renditions.previews;
    assert_eq!((opened, figures.made, previews.gets(), previews.puts()), (1, 1, 1, (1, 1)), "read, decoded, looked for and kept once");
}
