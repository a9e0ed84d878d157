use std::pin::Pin;
use std::sync::mpsc;

use futures_util::future::join_all;
use futures_util::poll;

use super::*;

#[tokio::test]
async fn rows_that_lie_in_memory_wait_for_no_thread() {
    let site = Site::new(6);
    let ann = site.user("ann").await;
    let sent = site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap().photo;
    let (release, held) = mpsc::channel::<()>();
    let mut holding = Box::pin(site.services.pools.lookup.run(move || held.recv().is_ok()));
    assert!(poll!(&mut holding).is_pending());
    assert_eq!(site.services.photo(&ann.0, sent.id).await.unwrap(), sent);
    let other = site.send(&ann, PhotoName::Fresh, &photo(2)).await.unwrap().photo;
    site.services.original(&ann.0, other.id).await.unwrap();
    let unknown = site.services.authenticate(&Secret::from_random([7; 32]), None, None).await;
    assert_eq!(unknown.unwrap_err(), ServiceError::Unauthenticated);
    release.send(()).unwrap();
    assert_eq!(holding.await, Ok(true));
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn that_rows_do_not_lie_in_memory_is_no_failure() {
    let site = Site::new(7);
    let ann = site.user("ann").await;
    let sent = site.send(&ann, PhotoName::Fresh, &photo(1)).await.unwrap().photo;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    site.engine.set_cold(true);
    assert_eq!(site.services.photo(&ann.0, sent.id).await.unwrap(), sent);
    assert_eq!(String::from_utf8_lossy(&log.0.lock().unwrap()), "");
    // Looked up on this thread, whose log it is.
    site.engine.set_cold(false);
    site.engine.set_unreadable(true);
    site.services.photo(&ann.0, sent.id).await.unwrap_err();
    assert!(String::from_utf8_lossy(&log.0.lock().unwrap()).contains("injected"), "what the system said is logged");
}

#[tokio::test]
async fn rows_that_do_not_are_looked_up_off_the_async_threads() {
    let site = Site::new(6);
    let ann = site.user("ann").await;
    let bytes = photo(1);
    let sent = site.send(&ann, PhotoName::Fresh, &bytes).await.unwrap().photo;
    site.calls();
    site.engine.set_cold(true);

    // No row can be had: the only thread of each pool waits, as for a disk.
    let Pools { lookup, metadata, .. } = &site.services.pools;
    let (releases, mut held): (Vec<_>, Vec<_>) = [lookup, metadata]
        .map(|pool| {
            let (release, held) = mpsc::channel::<()>();
            (release, Box::pin(pool.run(move || held.recv().is_ok())))
        })
        .into_iter()
        .unzip();
    for pool in &mut held {
        assert!(poll!(pool).is_pending());
    }

    let (services, caller) = (&site.services, &ann.0);
    let (secret, options) = (Secret::from_random([7; 32]), UrlOptions { width: 50, ..UrlOptions::default() });
    let path = format!("/i/unsigned/rs:fit:50:50/plain/{}@jpg", sent.hash);
    let other = photo(2);
    let mut asked: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
        Box::pin(async { drop(services.authenticate(&secret, None, None).await) }),
        Box::pin(async { drop(services.photo(caller, sent.id).await.unwrap()) }),
        Box::pin(async { drop(services.original(caller, sent.id).await.unwrap()) }),
        Box::pin(async { drop(services.open_blob(sent.hash).await.unwrap()) }),
        Box::pin(async { drop(services.album(caller, ann.1).await.unwrap()) }),
        Box::pin(async { drop(services.photo_urls(caller).await) }),
        Box::pin(async { drop(services.sign_rendition(caller, sent.hash, &options).await) }),
        Box::pin(async { drop(services.renditions.resolve(&path, Accepted::one(RenditionFormat::Jpeg)).await) }),
        Box::pin(async { drop(site.send(&ann, PhotoName::Fresh, &other).await.unwrap()) }),
    ];
    for call in &mut asked {
        assert!(poll!(call).is_pending());
    }
    assert!(site.calls().is_empty(), "nothing was begun for who may not be there");
    for release in releases {
        release.send(()).unwrap();
    }
    join_all(held).await;
    join_all(asked).await;
}
