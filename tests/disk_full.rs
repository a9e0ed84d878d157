//! A full disk, a real one: uploads get 507 and leave nothing, reads go on, and once there is room again so do uploads, without a restart.
//!
//! Needs root, for a small file system on a loop device; without it the test says that it was skipped, or fails where that may not be.

mod durability;
#[path = "harness/needs.rs"]
mod needs;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use durability::server::Server;
use durability::settings::{self, say};
use durability::site::Sending;
use durability::{Failure, Ledger, Photos, Site};
use reqwest::StatusCode;

const DISK_BYTES: u64 = 192 << 20;
/// Left free beside the ballast: room for metadata's files and some dozens of photos.
const ROOM_BYTES: u64 = 48 << 20;
/// Uploads that are tried at most, of each kind; the disk is full long before.
const MANY: u64 = 20_000;
/// So many refusals in a row, and the disk counts as full to the last block.
const REFUSALS: u64 = 40;
const LONGEST_PHOTO_BYTES: u64 = 2_000_000;

#[tokio::test]
async fn a_full_disk_is_refused_clearly_and_survived() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = match Disk::mount(dir.path()) {
        Ok(disk) => disk,
        Err(why) => return needs::missing("loop", "a server on a full disk", &why),
    };
    let seed = settings::seed("HALIDOM_DISK_FULL_SEED");
    let (data, log) = (disk.mounted.join("data"), dir.path().join("serve.log"));
    let mut ledger = Ledger::new(Photos::new(seed, LONGEST_PHOTO_BYTES));
    let (mut server, site) = Server::start(&data, &log).expect("a server on a small disk");
    for (album, name) in ledger.photos.albums().into_iter().zip(["left", "right"]) {
        site.create_album(album, name).await.expect("an album");
    }
    let ballast = disk.fill();

    if let Err(problem) = run(&site, &mut ledger, &data, &ballast).await {
        panic!("HALIDOM_DISK_FULL_SEED={seed}: {}", server.failed(&problem));
    }
    // And nothing of it was only in memory.
    server.kill();
    let (mut server, site) = Server::start(&data, &log).expect("a server after a full disk");
    prove(&site, &ledger, &data).await.unwrap_or_else(|problem| panic!("after a restart: {}", server.failed(&problem)));
    server.kill();
}

async fn run(site: &Site, ledger: &mut Ledger, data: &Path, ballast: &Path) -> Result<(), String> {
    // Photos of all sizes, until not even the smallest fits: then blobs and metadata have both met the end of the disk.
    let mut in_a_row = 0;
    let mut refused = 0;
    for _ in 0..MANY {
        match send(site, ledger).await {
            Ok(()) => in_a_row = 0,
            Err(Failure::Refused { status: StatusCode::INSUFFICIENT_STORAGE, code, .. }) if code == "no_space" => {
                in_a_row += 1;
                refused += 1;
                nothing_staged(data)?;
            }
            Err(failure) => return Err(format!("a full disk is not told by {failure:?}")),
        }
        if in_a_row == REFUSALS {
            break;
        }
    }
    if in_a_row < REFUSALS {
        return Err("the disk is never full".into());
    }
    say(&format!("disk_full: {} photos fitted, {refused} were refused", ledger.count()));
    prove(site, ledger, data).await.map_err(|problem| format!("while the disk is full: {problem}"))?;
    rendered(site, ledger).await.map_err(|problem| format!("while the disk is full: {problem}"))?;

    fs::remove_file(ballast).map_err(|error| format!("the ballast: {error}"))?;
    let before = ledger.count();
    for number in ledger.unfinished().into_iter().take(20) {
        resend(site, ledger, number).await.map_err(|failure| format!("there is room again, and upload {number} fails: {failure:?}"))?;
    }
    for _ in 0..20 {
        send(site, ledger).await.map_err(|failure| format!("there is room again, and still: {failure:?}"))?;
    }
    assert_eq!(ledger.count(), before + 40);
    prove(site, ledger, data).await.map_err(|problem| format!("after there was room again: {problem}"))
}

async fn prove(site: &Site, ledger: &Ledger, data: &Path) -> Result<(), String> {
    let mut problems = ledger.prove(site, 0).await.map_err(|failure| format!("{failure:?}"))?;
    let report = site.check().await.map_err(|failure| format!("{failure:?}"))?;
    if report.problems != 0 {
        problems.push(format!("the check found {}: {:?}", report.problems, report.findings));
    }
    problems.extend(nothing_staged(data).err());
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Thumbnails are made and served, though they cannot be kept on the full disk.
async fn rendered(site: &Site, ledger: &Ledger) -> Result<(), String> {
    let [album, _] = ledger.photos.albums();
    let photos = site.photos(album).await.map_err(|failure| format!("{failure:?}"))?;
    let http = reqwest::Client::builder().tls_certs_only([]).build().map_err(|error| error.to_string())?;
    for photo in photos.iter().take(20) {
        let answer = http.get(format!("{}{}", site.base(), photo.urls.thumbnail)).send().await.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("a thumbnail is answered {}", answer.status()));
        }
    }
    if photos.is_empty() { Err("no photo to look at".into()) } else { Ok(()) }
}

async fn send(site: &Site, ledger: &mut Ledger) -> Result<(), Failure> {
    let number = ledger.begin();
    resend(site, ledger, number).await
}

async fn resend(site: &Site, ledger: &mut Ledger, number: u64) -> Result<(), Failure> {
    let photos = &ledger.photos;
    let sending = Sending {
        album: photos.album(number),
        name: &Photos::name(number),
        naming: photos.naming(number),
        hash: Some(photos.hash(number)),
        bytes: photos.bytes(number),
    };
    let photo = site.upload(sending, || {}).await?;
    ledger.acknowledge(number, &photo).map_err(Failure::Broken)
}

fn nothing_staged(data: &Path) -> Result<(), String> {
    let entries = fs::read_dir(data.join("blobs/staging")).map_err(|error| format!("staging: {error}"))?;
    match entries.count() {
        0 => Ok(()),
        count => Err(format!("{count} files lie in staging")),
    }
}

/// A small ext4 on a loop device, unmounted when dropped.
struct Disk {
    mounted: PathBuf,
}

impl Disk {
    /// # Errors
    /// Why there is none: no root, or no loop devices.
    fn mount(dir: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root, to mount a small file system".into());
        }
        let (image, mounted) = (dir.join("disk.img"), dir.join("mounted"));
        fs::create_dir(&mounted).expect("a directory");
        File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("a disk image");
        // No blocks kept back for root: the server may run as root here, and full has to be full.
        command("mkfs.ext4", &["-q", "-m", "0", &image.display().to_string()])?;
        command("mount", &["-o", "loop", &image.display().to_string(), &mounted.display().to_string()])?;
        Ok(Self { mounted })
    }

    /// Takes the disk's room but for `ROOM_BYTES`; deleting the file gives it back.
    fn fill(&self) -> PathBuf {
        let ballast = self.mounted.join("ballast");
        let stat = rustix::fs::statvfs(&self.mounted).expect("the disk tells its room");
        let free = stat.f_bavail * stat.f_frsize;
        let mut file = File::create(&ballast).expect("a ballast");
        let block = vec![0x5a; 1 << 20];
        for _ in 0..free.saturating_sub(ROOM_BYTES) >> 20 {
            file.write_all(&block).expect("there is room for the ballast");
        }
        file.sync_all().expect("the ballast is written");
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the server that the test left behind may still be ending.
        let unmounted = command("umount", &["-l", &self.mounted.display().to_string()]);
        if let Err(why) = unmounted {
            say(&format!("disk_full: {why}"));
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
    let output = Command::new(program).env("PATH", path).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}
