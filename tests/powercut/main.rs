//! The power is cut while clients upload: every photo that was acknowledged is there and whole after the next boot.
//!
//! A machine in QEMU (`machine.rs`) runs the real server on ext4 or XFS, on a drive with a volatile write cache (`drive.rs`, which says
//! what a cut loses). The clients run here, outside of it: a photo counts as acknowledged once its 201 was read on this side. A round is
//! one boot: prove everything that earlier rounds were promised, upload again what they left unfinished, upload more, cut.
//!
//! Runs with `HALIDOM_TEST_LONG=1` (`make test-long`). `HALIDOM_POWERCUT_ROUNDS` (5) rounds on each file system;
//! `HALIDOM_POWERCUT_SEED` runs one again. Consoles stay in `target/powercut`.

mod drive;
#[path = "../durability/mod.rs"]
mod durability;
mod machine;
mod nbd;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use durability::settings::{self, below, say};
use durability::traffic::{Moment, upload_until};
use durability::{Ledger, Photos, Site};
use halidom::runtime::Random;
use machine::{Computer, FileSystem, Syncs};
use tokio::sync::oneshot;

const ROUNDS: u64 = 5;
const UPLOADERS: usize = 8;
/// A cut comes within so many events: some dozens of photos.
const EVENTS: u64 = 240;
/// Or at one of so many writes of the drive.
const WRITES: u64 = 240;
/// Writes of a boot, about.
const RECOVERY_WRITES: u64 = 40;
const LONGEST_PHOTO_BYTES: u64 = 600_000;

/// An emulated machine takes more than one core: they run one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[tokio::test]
async fn acknowledged_photos_survive_power_cuts_on_ext4() {
    survive("power cuts on ext4", FileSystem::Ext4).await;
}

#[tokio::test]
async fn acknowledged_photos_survive_power_cuts_on_xfs() {
    survive("power cuts on XFS", FileSystem::Xfs).await;
}

/// A control: were syncs lost, the same rounds would fail.
#[tokio::test]
async fn lost_syncs_are_caught() {
    let Some(test) = Test::new("the control without syncs", FileSystem::Ext4) else { return };
    let mut ledger = test.ledger();
    for round in 0..ROUNDS {
        match test.round(&mut ledger, round, Syncs::Lost).await {
            Err(caught) => return say(&format!("powercut: as it should be, without syncs round {round} fails: {}", first_line(&caught))),
            Ok(()) => continue,
        }
    }
    panic!("{ROUNDS} power cuts without any sync lost nothing: this test would notice nothing");
}

/// A control: half of one acknowledged blob is enough to fail.
#[tokio::test]
async fn a_truncated_blob_is_caught() {
    let Some(test) = Test::new("the control with a truncated blob", FileSystem::Xfs) else { return };
    let mut ledger = test.ledger();
    for round in 0..ROUNDS {
        test.round(&mut ledger, round, Syncs::Kept).await.expect("a round without damage");
        if ledger.count() > 0 {
            break;
        }
    }
    let (number, id) = ledger.acknowledged().last().expect("something was acknowledged");
    let hash = ledger.photos.hash(number);
    test.computer.truncate("truncate", &hash.to_string()).expect("the blob is cut in half");

    let (running, site) = test.computer.boot("truncated", Syncs::Kept).expect("the machine boots");
    let problems = ledger.prove(&site, 0).await.expect("the site answers");
    assert!(problems.iter().any(|problem| problem.contains(&id.to_string())), "not a word of {id} in {problems:?}");
    let report = check(&site).expect_err("a check finds it");
    assert!(report.contains(&hash.to_string()), "not a word of {hash} in {report}");

    // And an acknowledgement that never was is missed.
    let invented = ledger.invent();
    let problems = ledger.prove(&site, invented).await.expect("the site answers");
    assert!(problems.iter().any(|problem| problem.contains("is gone")), "{problems:?}");
    test.computer.cut(running, &test.random);
}

async fn survive(what: &str, file_system: FileSystem) {
    let Some(test) = Test::new(what, file_system) else { return };
    let rounds = settings::number("HALIDOM_POWERCUT_ROUNDS").unwrap_or(ROUNDS);
    let mut ledger = test.ledger();
    for round in 0..rounds {
        if let Err(problem) = test.round(&mut ledger, round, Syncs::Kept).await {
            panic!("{what}, round {round}: {problem}");
        }
    }
    let (running, site) = test.computer.boot("last", Syncs::Kept).expect("the machine boots");
    test.prove(&ledger, &site, 0).await.unwrap_or_else(|problem| panic!("{what}, after the last round: {problem}"));
    say(&format!("powercut: {what}: {} photos acknowledged, all there after {rounds} rounds", ledger.count()));
    assert!(ledger.count() > 0, "nothing was acknowledged: nothing was proved");
    test.computer.cut(running, &test.random);
}

/// One run on one machine.
struct Test {
    seed: u64,
    random: Random,
    computer: Computer,
    _turn: MutexGuard<'static, ()>,
}

impl Test {
    /// `None` where tests that take long were not asked for.
    fn new(what: &str, file_system: FileSystem) -> Option<Self> {
        if !settings::long() {
            say(&format!("SKIPPED: {what}: set HALIDOM_TEST_LONG=1"));
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("powercut");
        build(&parts);
        let seed = settings::seed("HALIDOM_POWERCUT_SEED");
        let computer = Computer::new(&parts, &parts.join(what.replace(' ', "-")), file_system);
        Some(Self { seed, random: Random::seeded(seed), computer, _turn: turn })
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(Photos::new(self.seed, LONGEST_PHOTO_BYTES))
    }

    /// Boots, proves what was promised, uploads, cuts.
    async fn round(&self, ledger: &mut Ledger, round: u64, syncs: Syncs) -> Result<(), String> {
        let random = &self.random;
        if round > 0 && below(random, 2) == 0 {
            let lost = self.computer.boot_and_cut(&format!("{round}-interrupted"), 1 + below(random, RECOVERY_WRITES), random)?;
            say(&format!("powercut: round {round}: cut during recovery: {lost}"));
        }
        let (mut running, site) = self.computer.boot(&round.to_string(), syncs)?;
        self.prove(ledger, &site, 0).await.map_err(|problem| running.failed(&problem))?;
        for (album, name) in ledger.photos.albums().into_iter().zip(["left", "right"]) {
            site.create_album(album, name).await.map_err(|failure| running.failed(&format!("{failure:?}")))?;
        }
        let before = ledger.count();
        let (moment, how) = if below(random, 2) == 0 {
            let moment = Moment::draw(random, EVENTS);
            let how = format!("{moment:?}");
            (moment, how)
        } else {
            let (tell, told) = oneshot::channel();
            let writes = 1 + below(random, WRITES);
            // Nobody listens where the uploads failed already.
            running.blow_at(writes, move || _ = tell.send(()));
            (Moment::Told(told), format!("write {writes} of the drive"))
        };
        let mut lost = None;
        let cut = || lost = Some(self.computer.cut(running, random));
        let problems = upload_until(&site, ledger, UPLOADERS, moment, cut).await;
        let count = ledger.count() - before;
        say(&format!("powercut: round {round}: {count} photos acknowledged until {how}: {}", lost.unwrap_or_default()));
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    async fn prove(&self, ledger: &Ledger, site: &Site, from: u64) -> Result<(), String> {
        let problems = ledger.prove(site, from).await.map_err(|failure| format!("{failure:?}"))?;
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        check(site)
    }
}

/// `halidom check --read-data`, as an operator runs it.
fn check(site: &Site) -> Result<(), String> {
    let output = Command::new(durability::server::binary())
        .args(["--server", site.base(), "--token", site.token(), "--json", "check", "--read-data"])
        .output()
        .expect("halidom runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("check ended with {}: {said}", output.status)) }
}

/// Makes the machine's parts; what stands from the last time is kept.
fn build(parts: &PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/machine");
    let mut command = Command::new(&script);
    // virtio, the two file systems; what they need in turn is found out.
    command.arg(parts).arg("tests/powercut/init").arg(durability::server::binary()).args([
        "virtio_pci",
        "virtio_blk",
        "virtio_net",
        "ext4",
        "xfs",
    ]);
    let status = command.status().expect("scripts/machine runs");
    assert!(status.success(), "scripts/machine failed: {status}");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
