//! A filer that goes away for half a minute: what does not need it goes on, what needs it is refused within its deadline, and nothing is lost.
//!
//! A machine in QEMU (`machine.rs`) has a kernel's NFS server, an NFS 4.2 mount of it, and the real server with its photos there. The clients run
//! here, outside of it. Runs with `HALIDOM_TEST_LONG=1` (`make test-long`); the console stays in `target/nfs`.

#[path = "../durability/mod.rs"]
mod durability;
mod machine;

use std::time::Duration;

use durability::settings::{self, say};
use durability::site::Sending;
use durability::{Failure, Ledger, Photos, Site};
use halidom::runtime::{Clock, timeout};
use machine::Machine;
use reqwest::StatusCode;

const PHOTOS: u64 = 12;
const LONGEST_PHOTO_BYTES: u64 = 400_000;
/// How long the filer is away.
const AWAY: Duration = Duration::from_secs(30);
/// What needs the filer has an answer by then: the machine's server gives a call 3 s (`init`), an upload makes several, and none of it is quick there. QEMU
/// takes connections one by one, and the kernel repeats one that it has dropped after 1, 3, 7 and 15 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// What does not need it.
const UNHARMED_WITHIN: Duration = Duration::from_secs(5);
/// After a plain client of the same mount was answered.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);
/// Uploads at once while the filer is away, and as many downloads: together more than the server has threads for files.
const AT_ONCE: u64 = 10;

struct Test {
    machine: Machine,
    site: Site,
    http: reqwest::Client,
    ledger: Ledger,
    clock: Clock,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filer_that_goes_away_takes_nothing_with_it() {
    if !settings::long() {
        return say("SKIPPED: a filer that goes away: set HALIDOM_TEST_LONG=1");
    }
    let seed = settings::seed("HALIDOM_NFS_SEED");
    let mut test = Test::begin(seed);
    for album in test.ledger.photos.albums() {
        test.site.create_album(album, "from a filer").await.expect("an album");
    }
    for _ in 0..PHOTOS {
        test.upload().await.expect("an upload");
    }
    let (_, first) = test.ledger.acknowledged().next().expect("a photo");
    let photos = test.site.photos(test.ledger.photos.albums()[0]).await.expect("a list");
    let thumbnail = photos.iter().find(|photo| photo.id == first).expect("the first photo").urls.thumbnail.clone();
    assert_eq!(test.status(&thumbnail).await, StatusCode::OK);

    test.machine.tell("stop");
    test.machine.wait_for("stopped");
    let went = test.clock.monotonic();
    let mut refused = 0;
    while test.clock.monotonic().saturating_sub(went) < AWAY {
        refused += test.while_away(&thumbnail).await;
    }
    assert!(refused > 0, "nothing was asked of the filer");
    assert_eq!(test.status("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);

    test.machine.tell("start");
    test.machine.wait_for("plain");
    let back = test.clock.monotonic();
    // Each of the tries is answered, or refused at once; the first that is answered says that the service is whole.
    while test.site.original(first).await.is_err() || test.upload().await.is_err() {}
    let took = test.clock.monotonic().saturating_sub(back);
    say(&format!("nfs: {refused} requests refused while the filer was away; whole {took:?} after a plain client"));
    assert!(took < WHOLE_WITHIN, "whole only after {took:?}{}", test.machine.end_of_console());
    while test.status("/readyz").await != StatusCode::OK {}
    for _ in 0..PHOTOS {
        test.upload().await.expect("an upload");
    }
    let problems = test.ledger.prove(&test.site, 0).await.expect("the site answers");
    assert!(problems.is_empty(), "{problems:#?}");
    let report = test.site.check().await.expect("a check");
    say(&format!("nfs: {} photos acknowledged, all there; {report:?}", test.ledger.count()));
    assert!(report.findings.is_empty(), "{report:#?}");
}

impl Test {
    fn begin(seed: u64) -> Self {
        let parts = machine::parts("nfs");
        machine::build(&parts, &durability::server::binary());
        let mut machine = Machine::boot(&parts, "serve");
        let token = machine.wait_for("serving");
        let site = Site::new(&format!("http://127.0.0.1:{}", machine.port), &token);
        let http = reqwest::Client::builder().retry(reqwest::retry::never()).tls_certs_only([]).build().expect("a client");
        Self { machine, site, http, ledger: Ledger::new(Photos::new(seed, LONGEST_PHOTO_BYTES)), clock: Clock::system() }
    }

    /// Uploads a photo that was not acknowledged yet.
    async fn upload(&mut self) -> Result<(), Failure> {
        let number = self.ledger.unfinished().first().copied().unwrap_or_else(|| self.ledger.begin());
        let photo = send(&self.site, &self.ledger.photos, number).await?;
        self.ledger.acknowledge(number, &photo).expect("what was sent");
        Ok(())
    }

    async fn status(&self, path: &str) -> StatusCode {
        let answer = self.http.get(format!("{}{path}", self.site.base())).send().await.expect("an answer");
        let status = answer.status();
        let _ = answer.bytes().await;
        status
    }

    /// Asks for all kinds of things at once; answers how many were refused.
    async fn while_away(&mut self, thumbnail: &str) -> u64 {
        while (self.ledger.unfinished().len() as u64) < AT_ONCE {
            self.ledger.begin();
        }
        let numbers: Vec<u64> = self.ledger.unfinished().into_iter().take(AT_ONCE as usize).collect();
        let acknowledged: Vec<_> = self.ledger.acknowledged().map(|(_, id)| id).collect();
        let originals: Vec<_> = acknowledged.into_iter().cycle().take(AT_ONCE as usize).collect();
        let uploads = numbers.iter().map(|number| timeout(ANSWERED_WITHIN, send(&self.site, &self.ledger.photos, *number)));
        let downloads = originals.iter().map(|id| timeout(ANSWERED_WITHIN, self.site.original(*id)));
        let unharmed = async {
            for _ in 0..10 {
                let shown = timeout(UNHARMED_WITHIN, self.status(thumbnail)).await.expect("a cached rendition needs no filer");
                assert_eq!(shown, StatusCode::OK);
                let listed = timeout(UNHARMED_WITHIN, self.site.albums()).await.expect("a list needs no filer");
                assert_eq!(listed.expect("a list").len(), 2);
                assert_eq!(timeout(UNHARMED_WITHIN, self.status("/livez")).await, Some(StatusCode::OK));
            }
        };
        let asked = async { tokio::join!(futures_util::future::join_all(uploads), futures_util::future::join_all(downloads)) };
        let ((uploads, downloads), ()) = tokio::join!(asked, unharmed);
        let mut refused = 0;
        for failure in uploads.into_iter().map(|answer| answer.expect("an upload is answered in time").expect_err("there is no filer")) {
            refused += require_away("upload", &failure);
        }
        let numbers = self.ledger.acknowledged().map(|(number, _)| number).collect::<Vec<_>>();
        for (number, answer) in numbers.into_iter().cycle().zip(downloads) {
            match answer.expect("a download is answered in time") {
                // What lies in the kernel's cache, and was delegated to it by the filer, needs no filer.
                Ok(bytes) => assert!(bytes == self.ledger.photos.bytes(number), "other bytes of upload {number}"),
                Err(failure) => refused += require_away("download", &failure),
            }
        }
        refused
    }
}

async fn send(site: &Site, photos: &Photos, number: u64) -> Result<halidom::api::Photo, Failure> {
    let (name, bytes) = (Photos::name(number), photos.bytes(number));
    let (album, naming) = (photos.album(number), photos.naming(number));
    site.upload(Sending { album, name: &name, naming, hash: None, bytes }, || {}).await
}

#[track_caller]
fn require_away(what: &str, failure: &Failure) -> u64 {
    match failure {
        Failure::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. } => 1,
        other => panic!("{what}: {other:?}"),
    }
}
