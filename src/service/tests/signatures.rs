//! Which keys open a rendition's URL, and what asking costs.

use std::pin::pin;
use std::sync::mpsc;

use futures_util::future::join_all;
use futures_util::{FutureExt as _, poll};

use super::*;
use crate::model::tenant::{SigningKey as Key, TenantEdit};
use crate::service::rendition_url::{RecipeRequest, RenditionUrl, SigningKey};

/// How long keys are remembered.
const REMEMBER: Duration = Duration::from_secs(1);

/// The path of a rendition of a blob that nobody has, signed.
fn path(key: &Key) -> String {
    let recipe = RecipeRequest { width: 50, height: 50, ..RecipeRequest::default() };
    let url = RenditionUrl { hash: BlobHash::of(b"nobody's"), recipe, expires: None, by_preset: false };
    url.to_path(&SigningKey::new(key.key.clone(), key.salt.clone()))
}

fn key(number: u8) -> Key {
    Key { key: vec![number; 32], salt: vec![number; 32] }
}

/// Whether the signature is taken: then there is no such image.
async fn opens(site: &Site, key: &Key) -> bool {
    match site.services.renditions.resolve(&path(key), Accepted::one(RenditionFormat::Jpeg)).await {
        Err(ServiceError::NotFound("image")) => true,
        Err(ServiceError::BadSignature(_)) => false,
        other => panic!("{other:?}"),
    }
}

/// The default tenant's keys are set by another than this site's service.
async fn set_keys(site: &Site, keys: Vec<Key>) {
    let set = site.metadata.write("keys", move |tx| {
        let tenant = tx.tenant(TenantId::DEFAULT)?.expect("it is there");
        let stamp = tx.stamp();
        tx.apply_all(tenant.edit(stamp, &TenantEdit { signing_keys: Some(keys), ..TenantEdit::default() })?)
    });
    set.await.unwrap();
}

#[tokio::test]
async fn bad_signatures_cost_no_scan_of_the_tenants() {
    let site = Site::new(7);
    assert!(!opens(&site, &key(1)).await);
    // The only thread for scans works.
    let scans = &site.services.pools.metadata;
    let (release, held) = mpsc::channel::<()>();
    let mut working = pin!(scans.run(move || held.recv().is_ok()));
    assert!(poll!(&mut working).is_pending());
    for number in 0..3 {
        assert_eq!(opens(&site, &key(number)).now_or_never(), Some(false), "the keys were read just now");
    }

    // Any number at once: one of them reads. One that leaves changes nothing.
    site.runtime.clock.advance(REMEMBER);
    assert!(opens(&site, &key(1)).now_or_never().is_none());
    let mut asking = pin!(join_all((0..5).map(|number| {
        let site = &site;
        async move { opens(site, &key(number)).await }
    })));
    for _ in 0..100 {
        assert!(poll!(&mut asking).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(scans.load().waiting, 1);
    release.send(()).unwrap();
    assert_eq!(asking.await, [false; 5]);
    assert_eq!(scans.load().waiting, 0, "nor does another read after it");
}

#[tokio::test]
async fn a_key_is_good_a_second_after_it_was_made_and_no_longer_than_that_after_it_was_taken_away() {
    let site = Site::new(8);
    assert!(!opens(&site, &key(1)).await);
    set_keys(&site, vec![key(1)]).await;
    site.runtime.clock.advance(REMEMBER);
    assert!(opens(&site, &key(1)).await);
    set_keys(&site, vec![key(2)]).await;
    site.runtime.clock.advance(REMEMBER);
    assert!(!opens(&site, &key(1)).await && opens(&site, &key(2)).await);
}

#[tokio::test]
async fn the_key_of_a_tenant_that_is_made_here_is_good_at_once() {
    let site = Site::new(9);
    assert!(!opens(&site, &key(1)).await);
    let (mut admin, _) = site.user("ann").await;
    admin.scopes = [Scope::Admin].into_iter().collect();
    let made = site.services.create_tenant(&admin, "Currys").await.unwrap();
    assert!(opens(&site, &made.signing_keys[0]).await);
}
