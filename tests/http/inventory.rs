//! The inventory of a running site: by HTTP, by the command line, and of its backend alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use halidom::api::{InventoryLine, InventoryPart, InventoryState, InventorySummary};
use halidom::client::{Client, ClientError, ClientSettings};
use halidom::model::BlobHash;
use halidom::runtime::Runtime;
use serde_json::Value;

use super::harness;
use super::harness::wait::output;
use super::photos::{small, small_with};
use super::site::{Caller, Site};

/// What an answer's lines say: things, and then the summary.
fn read(lines: &str) -> (Vec<InventoryLine>, InventorySummary) {
    let mut parts: Vec<InventoryPart> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let Some(InventoryPart::End { summary }) = parts.pop() else { panic!("the last line is missing: {lines}") };
    let things = parts.into_iter().map(|part| match part {
        InventoryPart::Thing(line) => line,
        InventoryPart::End { .. } => panic!("an end before the end: {lines}"),
    });
    (things.collect(), summary)
}

async fn listed(caller: &Caller, read_data: bool) -> (Vec<InventoryLine>, InventorySummary) {
    let got = caller.get(&format!("/v1/admin/inventory?read_data={read_data}")).await.described("list_inventory");
    assert_eq!((got.status, got.field("content-type")), (200, "application/x-ndjson"));
    read(std::str::from_utf8(&got.body).unwrap())
}

fn hashes(lines: &[InventoryLine], state: InventoryState) -> BTreeSet<String> {
    lines.iter().filter(|line| line.state == state).map(|line| line.hash.clone().unwrap()).collect()
}

/// Puts other bytes in a copy's place: copies are read-only.
fn overwrite(copy: &Path, bytes: &[u8]) {
    std::fs::remove_file(copy).unwrap();
    std::fs::write(copy, bytes).unwrap();
}

/// Where a copy of these bytes lies that no site has put there.
fn copy_at(site: &Site, hash: &str, nonce: u8) -> PathBuf {
    let leaf = site.data().join("blobs/blobs").join(&hash[..2]).join(&hash[2..4]);
    std::fs::create_dir_all(&leaf).unwrap();
    leaf.join(format!("{hash}.{}", format!("{nonce:02x}").repeat(12)))
}

/// The command on this site; how it ends, what it prints, and what it says beside.
fn command(caller: &Caller, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = harness::command();
    command.env("HALIDOM_SERVER", &caller.base).env("HALIDOM_TOKEN", caller.token.as_deref().unwrap()).args(arguments);
    let said = output(&mut command);
    (said.status.code(), String::from_utf8(said.stdout).unwrap(), String::from_utf8_lossy(&said.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_deletions_go_on_while_inventories_are_made() {
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let (anns, bobs) = (ann.album("Album").await, bob.album("Album").await);
    let acknowledged = std::sync::Mutex::new(BTreeSet::new());
    let over = AtomicBool::new(false);
    let working = async {
        let mut uploads = 0;
        // Until many copies were deleted.
        while uploads < 60 || site.copies().len() + 60 > uploads {
            let bytes = small_with((uploads % 251) as u8, 100 + uploads);
            let hash = ann.uploaded(&anns, "one.jpg", &bytes).await.hash.to_string();
            acknowledged.lock().unwrap().insert(hash);
            // A copy of another user's takes the place of the first one, which is deleted once it has waited.
            bob.uploaded(&bobs, "one.jpg", &bytes).await;
            uploads += 2;
            // Little at once: what waits longer than the server bears it is cut.
            site.clock.advance(Duration::from_secs(2));
        }
        over.store(true, Ordering::Relaxed);
    };
    let listing = async {
        let mut made = 0;
        while !over.load(Ordering::Relaxed) {
            let before = acknowledged.lock().unwrap().clone();
            let (lines, summary) = listed(&site.admin, made % 2 == 0).await;
            assert_eq!((summary.missing, summary.extra, summary.damaged, summary.foreign), (0, 0, 0, 0), "{summary:?}");
            assert_eq!(lines.len() as u64, summary.named + summary.doomed);
            assert!(lines.is_sorted_by(|one, next| one.key < next.key));
            let named = hashes(&lines, InventoryState::Named);
            assert!(before.is_subset(&named), "{:?}", before.difference(&named).collect::<Vec<_>>());
            made += 1;
        }
        assert!(made > 2);
    };
    futures_util::join!(working, listing);
    let (lines, summary) = listed(&site.admin, true).await;
    assert_eq!(hashes(&lines, InventoryState::Named), *acknowledged.lock().unwrap());
    assert!(summary.bytes_read > 0);
}

/// A site with something of every state; gives what has to be said of each, by its key or path, where its bytes are read.
async fn damaged_site() -> (Site, BTreeMap<String, InventoryState>) {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    let mut copies = vec![];
    for number in 1..=4 {
        let photo = ann.uploaded(&album, "photo.jpg", &small(number)).await;
        copies.push(site.copy_of(&photo.hash.to_string()));
    }
    let mut expected: BTreeMap<_, _> =
        copies.iter().map(|copy| (copy.file_name().unwrap().to_str().unwrap().to_owned(), InventoryState::Named)).collect();
    let name = |copy: &Path| copy.file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = std::fs::read(&copies[0]).unwrap();
    bytes[100] ^= 1;
    overwrite(&copies[0], &bytes);
    expected.insert(name(&copies[0]), InventoryState::Damaged);
    std::fs::remove_file(&copies[1]).unwrap();
    expected.insert(name(&copies[1]), InventoryState::Missing);
    let extra = copy_at(&site, &BlobHash::of(b"extra").to_string(), 7);
    std::fs::write(&extra, b"extra").unwrap();
    expected.insert(name(&extra), InventoryState::Extra);
    std::fs::write(site.data().join("blobs/blobs/notes.txt"), "a note").unwrap();
    expected.insert("blobs/notes.txt".to_owned(), InventoryState::Foreign);
    (site, expected)
}

fn states(lines: Vec<InventoryLine>) -> BTreeMap<String, InventoryState> {
    lines.into_iter().map(|line| (line.key.or(line.path).unwrap(), line.state)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_a_running_site_and_its_backend_alone() {
    let (site, expected) = damaged_site().await;
    let (code, stdout, stderr) = command(&site.admin, &["--json", "inventory", "--read-data"]);
    assert_eq!(code, Some(3), "{stderr}");
    let (lines, summary) = read(&stdout);
    assert_eq!(states(lines), expected);
    assert_eq!((summary.named, summary.damaged, summary.missing, summary.extra, summary.foreign), (2, 1, 1, 1, 1));

    // For people the counts stand apart from the lines.
    let (code, stdout, stderr) = command(&site.admin, &["inventory"]);
    assert_eq!((code, stdout.lines().count()), (Some(3), expected.len()), "{stderr}");
    assert!(stderr.contains("missing:") && !stdout.contains("summary"), "{stderr}");

    // The backend, which the server is using: what is missing there cannot be known.
    let blobs = format!("file://{}", site.data().join("blobs").display());
    let before = site.copies();
    let (code, stdout, stderr) = command(&site.admin, &["--json", "inventory", "--read-data", "--blobs", &blobs]);
    assert_eq!(code, Some(3), "{stderr}");
    let (lines, summary) = read(&stdout);
    let alone = expected.iter().filter(|(_, state)| **state != InventoryState::Missing).map(|(name, state)| {
        let of_names = matches!(state, InventoryState::Named | InventoryState::Extra);
        (name.clone(), if of_names { InventoryState::Stored } else { *state })
    });
    assert_eq!(states(lines), alone.collect::<BTreeMap<_, _>>());
    assert_eq!((summary.stored, summary.damaged, summary.foreign, summary.named), (3, 1, 1, 0));
    assert_eq!(command(&site.admin, &["inventory", "--blobs", &blobs]).0, Some(0), "without its bytes nothing is known to be damaged");
    assert_eq!(site.copies(), before);

    let none = format!("file://{}", site.data().join("nowhere").display());
    assert_eq!(command(&site.admin, &["inventory", "--blobs", &none]).0, Some(1));
    assert!(!site.data().join("nowhere").exists());
    assert_eq!(command(&site.admin, &["inventory", "--config", "/nonexistent"]).0, Some(2), "the server has its own");
    let ann = site.user("eve").await;
    let (code, stdout, stderr) = command(&ann, &["inventory"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_half_way_is_not_taken_for_whole() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    let photo = ann.uploaded(&album, "photo.jpg", &small(1)).await;
    let copy = site.copy_of(&photo.hash.to_string());
    // More than are told at once, and all before the photo.
    let extras = 300;
    for extra in 0..extras {
        let hash = format!("0000{:060x}", extra + 1);
        std::fs::write(copy_at(&site, &hash, 7), b"x").unwrap();
    }
    // The head of a copy that only a later program can read: it is neither sound nor damaged.
    let mut later = b"\xc0HALIDOM\x00\x02".to_vec();
    later.resize(104, 0);
    later.extend(&BlobHash::of(&later).as_bytes()[..8]);
    later.resize(std::fs::read(&copy).unwrap().len(), 0);
    overwrite(&copy, &later);

    // Whether anything came until then, be it the head alone, is a matter of moments.
    let request = site.admin.call(reqwest::Method::GET, "/v1/admin/inventory?read_data=true");
    let read = async {
        let response = request.send().await?;
        assert_eq!(response.status(), 200);
        response.bytes().await
    };
    read.await.expect_err("the connection breaks off");

    let client = Client::new(&site.base, site.admin.token.as_deref(), ClientSettings::default(), Runtime::system()).unwrap();
    let mut lines = 0;
    let error = client.inventory(true).try_for_each(|part| {
        lines += usize::from(matches!(part, InventoryPart::Thing(_)));
        std::future::ready(Ok(()))
    });
    let error = error.await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(lines <= extras, "{lines}");

    let (code, stdout, stderr) = command(&site.admin, &["--json", "inventory", "--read-data"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["state"] == "extra"), "{stdout}");
    assert!(stderr.contains("could not list all"), "{stderr}");

    // Its turn is over.
    let (_, summary) = listed(&site.admin, false).await;
    assert_eq!((summary.extra, summary.named), (extras as u64, 1));
}
