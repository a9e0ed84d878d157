//! Scans of metadata: nobody's hold up everybody's.

use super::*;
use crate::runtime::spawn_joined;

#[tokio::test]
async fn one_user_has_a_share_of_the_scans_and_readiness_waits_for_none() {
    let site = Site::new(1);
    let (ann, bob) = (site.user("ann").await.0, site.user("bob").await.0);
    let list = |caller| Box::pin(site.services.list_albums(caller, None, 10));
    // The one thread for scans has something to do.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let scans = site.services.pools.metadata.clone();
    let busy = spawn_joined(async move {
        let work = move || {
            begun.send(()).unwrap();
            ending.recv().unwrap();
        };
        scans.run(work).await
    });
    has_begun.await.unwrap();
    let mut anns: Vec<_> = (0..SCANS_OF_ONE).map(|_| list(&ann)).collect();
    for list in &mut anns {
        assert!(futures_util::poll!(list).is_pending());
    }
    assert!(matches!(list(&ann).await, Err(ServiceError::Busy(_))));
    let mut bobs = list(&bob);
    assert!(futures_util::poll!(&mut bobs).is_pending());
    site.services.ready().await.expect("nothing is wrong");
    anns.pop();
    anns.push(list(&ann));
    assert!(futures_util::poll!(anns.last_mut().unwrap()).is_pending(), "who leaves gives it back");
    end.send(()).unwrap();
    busy.await.unwrap().unwrap();
    for listed in futures_util::future::join_all(anns.into_iter().chain([bobs])).await {
        assert_eq!(listed.unwrap().items.len(), 1);
    }
}
