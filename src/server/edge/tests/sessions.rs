//! What an edge goes on to know, and what not, where it hears of its site late, or of another one.

use super::*;
use crate::config::ByteSize;

/// Longer than any test moves the clock on.
const LONG: Duration = Duration::from_secs(1 << 32);

impl Rig {
    async fn edge_with_a_disk(&self, sites: &[String], remember: Duration) -> TestEdge {
        let change = |config: &mut Config| (config.edge.remember, config.renditions.disk_bytes) = (remember, ByteSize::mib(64));
        self.edge(sites, change).await
    }
}

impl TestEdge {
    fn pool(&self, name: &str) -> BlockingPool {
        self.parts().pools.iter().find(|(pool, _)| *pool == name).unwrap().1.clone()
    }

    /// Holds up all work of a pool, until what it gives is dropped.
    async fn hold(&self, name: &str, rig: &Rig) -> Vec<std::sync::mpsc::Sender<()>> {
        let (pool, limit) = (self.pool(name), self.pool(name).load().limit);
        let hold = |_| {
            let (hold, held) = std::sync::mpsc::channel();
            let pool = pool.clone();
            runtime::spawn(async move {
                let _ = pool.run(move || held.recv()).await;
            });
            hold
        };
        let holds = (0..limit).map(hold).collect();
        rig.until("all its threads are busy", async || pool.load().running == limit).await;
        holds
    }

    /// Asks until it holds, while time goes on: what failed is not tried again before.
    async fn in_time(&self, what: &str, rig: &Rig, holds: impl AsyncFn() -> bool) {
        rig.until(what, async || {
            self.clock.advance(Duration::from_secs(1));
            holds().await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_former_session_began_does_not_come_to_the_disk_in_the_next() {
    let rig = Rig::new().await;
    let (begun, kept) = (rig.upload("camera.jpg").await, rig.upload("brick.jpg").await);
    let (first, second) = (Line::to(rig.running.http).await, Line::nowhere().await);
    let edge = rig.edge_with_a_disk(&[first.url(), second.url()], LONG).await;
    assert_eq!(edge.status(&url(&kept, "thumbnail"), &rig).await, 200);
    rig.until("one is kept on disk", async || edge.on_disk() == 1).await;
    // All that it takes is there, but for a decoder: nobody has to wait for it to be made.
    let held = edge.hold("pool_slow_imaging", &rig).await;
    let slow = format!("{}/full/64,/0/default.avif", url(&begun, "iiif"));
    tokio::select! {
        status = edge.status(&slow, &rig) => panic!("{status}: nothing decodes"),
        () = rig.until("one waits for its decoder", async || edge.pool("pool_slow_imaging").load().waiting == 1) => {}
    }
    // Both go while the edge hears of nothing.
    first.cut().await;
    rig.purge(&begun).await;
    rig.purge(&kept).await;
    second.lead_to(rig.running.http);
    edge.in_time("what lay there is cleared", &rig, async || edge.on_disk() == 0).await;
    assert_eq!((edge.parts().edge.figures().joined, edge.parts().edge.figures().revoked), (2, 0));
    drop(held);
    rig.until("the render has ended", async || edge.parts().renditions.load().slow_renders_waiting == 0).await;
    edge.parts().rendition_disk.settle().await;
    assert_eq!(edge.on_disk(), 0);
    assert_eq!(edge.status(&slow, &rig).await, 404);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_takes_no_keys_with_it() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let line = Line::to(rig.running.http).await;
    let edge = rig.edge_with_a_disk(&[line.url()], Duration::from_millis(500)).await;
    let thumbnail = url(&photo, "thumbnail");
    assert_eq!(edge.status(&thumbnail, &rig).await, 200);
    rig.until("it is kept on disk", async || edge.on_disk() == 1).await;
    rig.purge(&photo).await;
    rig.until("and cleared", async || edge.on_disk() == 0).await;
    // Closed: keys that were thrown away could not be read again.
    line.cut().await;
    edge.clock.advance(Duration::from_millis(900));
    assert_eq!(edge.status("/readyz", &rig).await, 503);
    let forged = thumbnail.replacen("/i/", "/i/A", 1);
    assert_eq!(edge.status(&forged, &rig).await, 403, "looked at with the keys of a moment ago");
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_comes_back_with_other_settings_closes_its_edge() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let (line, away) = (Line::to(rig.running.http).await, Line::nowhere().await);
    let edge = rig.edge(&[line.url(), away.url()], |config| config.edge.remember = LONG).await;
    let (thumbnail, quality) = (url(&photo, "thumbnail"), rig.config.renditions.default_quality);
    assert_eq!(edge.status(&thumbnail, &rig).await, 200);
    let rig = rig.restarted(|config| config.renditions.default_quality = quality - 1).await;
    line.lead_to(rig.running.http);
    edge.in_time("it serves nothing", &rig, async || edge.status("/readyz", &rig).await == 503).await;
    assert_eq!(edge.status(&thumbnail, &rig).await, 503);
    let rig = rig.restarted(|config| config.renditions.default_quality = quality).await;
    line.lead_to(rig.running.http);
    edge.in_time("it is followed again", &rig, async || edge.status("/readyz", &rig).await == 200).await;
    assert_eq!(edge.status(&thumbnail, &rig).await, 200);
    rig.end(edge).await;
}
