//! The server is killed while clients upload: every photo that was acknowledged is there and whole after the next start, nothing
//! half-made shows, staging is empty and a check finds nothing.
//!
//! SIGKILL loses nothing that the kernel was given: this is about the order of the server's own steps. What a power cut loses is tested
//! in `tests/powercut`. `HALIDOM_KILL_ROUNDS` (40; 200 with `HALIDOM_TEST_LONG`) rounds; `HALIDOM_KILL_SEED` runs one again.

mod durability;

use std::path::Path;

use durability::server::Server;
use durability::settings::{self, below, say};
use durability::traffic::{Moment, upload_until};
use durability::{Failure, Ledger, Photos, Site};
use halidom::runtime::Random;

const ROUNDS: u64 = 40;
const LONG_ROUNDS: u64 = 200;
const UPLOADERS: usize = 12;
/// A kill comes within so many events: some dozens of photos.
const EVENTS: u64 = 400;
const LONGEST_PHOTO_BYTES: u64 = 300_000;
/// Every so many rounds all photos are downloaded, else only those of the last round.
const WHOLE: u64 = 20;

#[tokio::test]
async fn acknowledged_photos_survive_sigkill() {
    let rounds = settings::number("HALIDOM_KILL_ROUNDS").unwrap_or(if settings::long() { LONG_ROUNDS } else { ROUNDS });
    let seed = settings::seed("HALIDOM_KILL_SEED");
    let random = Random::seeded(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let (data, log) = (dir.path().join("data"), dir.path().join("serve.log"));
    let mut ledger = Ledger::new(Photos::new(seed, LONGEST_PHOTO_BYTES));
    let mut from = 0;
    for round in 0..rounds {
        if let Err(problem) = kill_once(&data, &log, &random, &mut ledger, &mut from, round).await {
            panic!("HALIDOM_KILL_SEED={seed}, round {round}: {problem}");
        }
    }
    if let Err(problem) = prove(&data, &log, &ledger, 0).await {
        panic!("HALIDOM_KILL_SEED={seed}, after the last round: {problem}");
    }
    say(&format!("crash_kill: {} photos acknowledged, all there after {rounds} rounds", ledger.count()));
    assert!(ledger.count() as u64 > rounds, "hardly anything was acknowledged: hardly anything was proved");
}

/// A control: what the rounds prove would not be proved of a site that lost something.
#[tokio::test]
async fn a_loss_is_noticed() {
    let seed = settings::seed("HALIDOM_KILL_SEED");
    let dir = tempfile::tempdir().expect("a directory");
    let (data, log) = (dir.path().join("data"), dir.path().join("serve.log"));
    let mut ledger = Ledger::new(Photos::new(seed, LONGEST_PHOTO_BYTES));
    let moment = Moment::Events { events: EVENTS, turns: 0 };
    let (mut server, site) = prove(&data, &log, &ledger, 0).await.expect("an empty site");
    make_albums(&site, &ledger).await.expect("two albums");
    let problems = upload_until(&site, &mut ledger, UPLOADERS, moment, || server.kill()).await;
    assert_eq!(problems, Vec::<String>::new());
    let (mut server, site) = prove(&data, &log, &ledger, 0).await.expect("nothing is lost");

    let invented = ledger.invent();
    let problems = ledger.prove(&site, invented).await.expect("the site answers");
    assert_eq!(problems.len(), 1, "an acknowledgement that never was: {problems:?}");
    server.kill();

    let (number, _) = ledger.acknowledged().next().expect("something was acknowledged");
    let hash = ledger.photos.hash(number).to_string();
    let copies: Vec<_> = walkdir::WalkDir::new(data.join("blobs"))
        .into_iter()
        .map(|entry| entry.expect("an entry").into_path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&hash)))
        .collect();
    assert!(!copies.is_empty(), "{hash} is a file on the disk");
    for copy in copies {
        let file = std::fs::OpenOptions::new().write(true).open(&copy).expect("a copy");
        file.set_len(file.metadata().expect("its length").len() / 2).expect("it is cut in half");
    }
    let problem = prove(&data, &log, &ledger, 0).await.expect_err("half a photo is lost");
    assert!(problem.contains(&format!("upload {number} ")) && problem.contains("the check found"), "{problem}");
}

/// Starts, proves what was promised, uploads what is unfinished and more, kills.
async fn kill_once(data: &Path, log: &Path, random: &Random, ledger: &mut Ledger, from: &mut u64, round: u64) -> Result<(), String> {
    if below(random, 8) == 0 {
        // Killed wherever it happens to be in its start: nothing may depend on a start that went through.
        Server::spawn(data, log).kill();
    }
    let whole = round % WHOLE == WHOLE - 1;
    let (mut server, site) = prove(data, log, ledger, if whole { 0 } else { *from }).await?;
    *from = ledger.unfinished().first().copied().unwrap_or(ledger.mark());
    if round == 0 {
        make_albums(&site, ledger).await.map_err(|failure| server.failed(&format!("{failure:?}")))?;
    }
    let moment = Moment::draw(random, EVENTS);
    let how = format!("{moment:?}");
    let problems = upload_until(&site, ledger, UPLOADERS, moment, || server.kill()).await;
    if problems.is_empty() { Ok(()) } else { Err(server.failed(&format!("{how}: {}", problems.join("\n")))) }
}

/// Starts the server and proves that it has what was acknowledged; photos before upload `from` are compared by their hashes only.
async fn prove(data: &Path, log: &Path, ledger: &Ledger, from: u64) -> Result<(Server, Site), String> {
    let (mut server, site) = Server::start(data, log)?;
    let mut problems = ledger.prove(&site, from).await.map_err(|failure| server.failed(&format!("{failure:?}")))?;
    problems.extend(staged(data).into_iter().map(|name| format!("{name} lies in staging after a start")));
    let report = site.check().await.map_err(|failure| server.failed(&format!("{failure:?}")))?;
    if report.problems != 0 || report.findings.len() as u64 != report.problems {
        problems.push(format!("the check found {}: {:?}", report.problems, report.findings));
    }
    if problems.is_empty() { Ok((server, site)) } else { Err(server.failed(&problems.join("\n"))) }
}

async fn make_albums(site: &Site, ledger: &Ledger) -> Result<(), Failure> {
    for (album, name) in ledger.photos.albums().into_iter().zip(["left", "right"]) {
        site.create_album(album, name).await?;
    }
    Ok(())
}

/// What lies in staging.
fn staged(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("blobs/staging")).expect("staging is there");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
