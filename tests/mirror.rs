//! A site with a mirror, both on disks: files of either are damaged and removed under it, it is killed in the middle of repairing, and nobody notices.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test fails where it panics, in its helpers too, and says its seed.

mod harness;

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use halidom::model::BlobHash;
use halidom::runtime::{Random, spawn_thread};
use harness::wait::until;
use harness::{Server, wait, wire};
use serde_json::Value;

const PHOTOS: u64 = 300;

/// Photo `number`: a picture with a comment of its own.
fn photo(number: u64) -> Vec<u8> {
    let picture = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/clock.jpg")).unwrap();
    let mut comment: Vec<u8> = number.to_be_bytes().to_vec();
    comment.resize(3_000, (number % 251) as u8);
    let mut whole = vec![0xff, 0xd8, 0xff, 0xfe];
    whole.extend(u16::try_from(comment.len() + 2).unwrap().to_be_bytes());
    whole.extend(comment);
    whole.extend(&picture[2..]);
    whole
}

/// Chances that a seed gives again.
struct Dice(Random);

impl Dice {
    /// A number below `sides`.
    fn roll(&self, sides: u64) -> u64 {
        u64::from_be_bytes(self.0.bytes()) % sides
    }
}

/// A photo that was acknowledged.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: String,
    hash: String,
}

struct Site {
    data: PathBuf,
    mirror: PathBuf,
}

impl Site {
    fn mirror_url(&self) -> String {
        format!("file://{}", self.mirror.display())
    }

    /// `verify_every`: how often both are read.
    fn start(&self, verify_every: &str) -> Server {
        let url = self.mirror_url();
        let settings = [("HALIDOM_MIRROR__URL", &*url), ("HALIDOM_MIRROR__VERIFY_EVERY", verify_every)];
        Server::start_with(&self.data, &settings)
    }

    /// The files of this photo's copies in the first store, or in the mirror.
    fn copies(&self, in_mirror: bool, hash: &str) -> Vec<PathBuf> {
        let root = if in_mirror { self.mirror.clone() } else { self.data.join("blobs") };
        let leaf = root.join("blobs").join(&hash[..2]).join(&hash[2..4]);
        let Ok(entries) = fs::read_dir(leaf) else { return vec![] };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(hash)).collect()
    }

    /// Harms every copy of a photo in one store.
    fn harm(&self, dice: &Dice, in_mirror: bool, hash: &str) {
        let copies = self.copies(in_mirror, hash);
        assert!(!copies.is_empty(), "{hash} is there");
        for path in copies {
            let length = path.metadata().unwrap().len();
            if dice.roll(3) == 0 {
                fs::remove_file(path).unwrap();
                continue;
            }
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            if dice.roll(2) == 0 {
                file.set_len(dice.roll(length)).unwrap();
                continue;
            }
            let (at, mut byte) = (dice.roll(length), [0]);
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << dice.roll(8)], at).unwrap();
        }
    }

    /// The stopped site's check, with its photos in the first store, or in the mirror.
    fn check(&self, in_mirror: bool) -> Value {
        let mut command = harness::command();
        command.args(["--json", "check", "--read-data", "--data"]).arg(&self.data);
        if in_mirror {
            command.args(["--blobs", &self.mirror_url()]);
        }
        let output = wait::output(&mut command);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

fn upload(server: &Server, token: &str, album: &str, number: u64) -> Acknowledged {
    let path = format!("/v1/albums/{album}/photos?name={number}.jpg");
    let answer = wire::call(&server.url, "POST", &path, &[("authorization", &format!("Bearer {token}"))], &photo(number));
    assert_eq!(answer.status, 201, "{answer:?}");
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    Acknowledged { id: text("id"), hash: text("hash") }
}

/// At once, or once the other store, which a start does not wait for, is there.
#[track_caller]
fn reads_right(url: &str, token: &str, photo: &Acknowledged) {
    let path = format!("/v1/photos/{}/original", photo.id);
    let read = || wire::get(url, &path, &[("authorization", &format!("Bearer {token}"))]);
    let answer = until("no store is away", read, |answer| answer.status != 503);
    assert_eq!((answer.status, BlobHash::of(&answer.body).to_string()), (200, photo.hash.clone()), "{photo:?}");
}

fn mirror(server: &Server) -> Value {
    server.admin().json(["blobs", "status"])["mirror"].clone()
}

fn count(mirror: &Value, names: &[&str]) -> u64 {
    names.iter().map(|name| mirror[name].as_u64().unwrap()).sum()
}

fn until_whole(server: &Server) -> Value {
    until("the mirror is whole", || mirror(server), |now| now["phase"] == "whole" && count(now, &["missed", "to_repair"]) == 0)
}

#[test]
fn whatever_is_damaged_or_lost_in_one_store_is_served_from_the_other_and_repaired() {
    let seed = 20_261_128;
    println!("seed {seed}");
    let dice = Dice(Random::seeded(seed));
    let directory = tempfile::tempdir().unwrap();
    let site = Site { data: directory.path().join("data"), mirror: directory.path().join("mirror") };
    let server = site.start("0s");
    let user = server.user("ann");
    let album = user.json(["album", "create", "all"])["id"].as_str().unwrap().to_owned();
    until_whole(&server);
    let photos: Vec<_> = (0..PHOTOS).map(|number| upload(&server, user.token(), &album, number)).collect();
    until_whole(&server);

    // Two thirds lose one of their two copies.
    let (mut in_first, mut in_mirror) = (vec![], vec![]);
    for photo in &photos {
        let which = dice.roll(3);
        if which < 2 {
            site.harm(&dice, which == 1, &photo.hash);
            let store = if which == 0 { &mut in_first } else { &mut in_mirror };
            store.push(photo);
        }
    }
    assert!(in_first.len() > 50 && in_mirror.len() > 50, "{} and {}", in_first.len(), in_mirror.len());
    for photo in &photos {
        reads_right(&server.url, user.token(), photo);
    }
    // What is read is repaired.
    let done = until("what was read is repaired", || mirror(&server), |now| count(now, &["repaired"]) >= in_first.len() as u64);
    assert_eq!((count(&done, &["repaired"]), count(&done, &["lost"])), (in_first.len() as u64, 0), "{done}");
    let check = server.admin().json(["check", "--read-data"]);
    assert_eq!(check["problems"], 0, "{check}");
    server.kill();

    // And what nobody reads: both are gone through.
    let server = site.start("1s");
    until("both are gone through", || mirror(&server), |now| now["phase"] == "verifying");
    until_whole(&server);
    assert_eq!(count(&mirror(&server), &["lost"]), 0);
    server.terminate();
    server.ended();
    for in_mirror in [false, true] {
        let check = site.check(in_mirror);
        assert_eq!(check["problems"], 0, "mirror: {in_mirror}: {check}");
    }
}

#[test]
fn a_kill_in_the_middle_of_repairing_loses_nothing() {
    let seed = 4;
    println!("seed {seed}");
    let dice = Dice(Random::seeded(seed));
    let directory = tempfile::tempdir().unwrap();
    let site = Site { data: directory.path().join("data"), mirror: directory.path().join("mirror") };
    let server = site.start("0s");
    let user = server.user("ann");
    let album = user.json(["album", "create", "all"])["id"].as_str().unwrap().to_owned();
    let photos: Vec<_> = (0..100).map(|number| upload(&server, user.token(), &album, number)).collect();
    until_whole(&server);
    for photo in &photos {
        site.harm(&dice, dice.roll(2) == 0, &photo.hash);
    }
    server.terminate();
    server.ended();
    for round in 0..3 {
        let server = site.start("1s");
        let (url, token, reading) = (server.url.clone(), user.token().to_owned(), photos.clone());
        let reader = spawn_thread("reader", move || {
            for photo in &reading {
                let path = format!("/v1/photos/{}/original", photo.id);
                let head = wire::head("GET", &path, &[("authorization", &format!("Bearer {token}"))]);
                // Until it is killed.
                let Ok(mut stream) = TcpStream::connect(url.strip_prefix("http://").unwrap()) else { return };
                if stream.write_all(head.as_bytes()).and_then(|()| stream.read_to_end(&mut vec![])).is_err() {
                    return;
                }
            }
        });
        let what = format!("round {round}: some are repaired");
        until(&what, || mirror(&server), |now| count(now, &["repaired", "copied"]) >= 5 || now["phase"] == "verifying");
        server.kill();
        reader.unwrap().join().unwrap();
    }
    let server = site.start("1s");
    for photo in &photos {
        reads_right(&server.url, user.token(), photo);
    }
    // From here on each copy is read at least once more.
    until("both were gone through", || mirror(&server), |now| now["phase"] == "verifying");
    until_whole(&server);
    assert_eq!(count(&mirror(&server), &["lost"]), 0);
    server.terminate();
    server.ended();
    for in_mirror in [false, true] {
        let check = site.check(in_mirror);
        assert_eq!(check["problems"], 0, "mirror: {in_mirror}: {check}");
    }
}

#[test]
fn a_mirror_that_is_away_holds_up_what_the_settings_say() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site { data: directory.path().join("data"), mirror: directory.path().join("mirror") };
    let server = site.start("0s");
    let user = server.user("ann");
    let album = user.json(["album", "create", "all"])["id"].as_str().unwrap().to_owned();
    let old = upload(&server, user.token(), &album, 1);
    until_whole(&server);
    server.terminate();
    server.ended();
    // As a disk that was not mounted.
    let gone = directory.path().join("gone");
    fs::rename(&site.mirror, &gone).unwrap();
    let server = site.start("0s");
    let path = format!("/v1/albums/{album}/photos?name=2.jpg");
    let authorization = format!("Bearer {}", user.token());
    let answer = wire::call(&server.url, "POST", &path, &[("authorization", &authorization)], &photo(2));
    assert_eq!(answer.status, 503, "{answer:?}");
    reads_right(&server.url, user.token(), &old);
    assert_eq!(mirror(&server)["phase"], "away");
    server.terminate();
    server.ended();
    assert!(!site.mirror.exists(), "nothing is set up in its stead");

    let url = site.mirror_url();
    let server = Server::start_with(&site.data, &[("HALIDOM_MIRROR__URL", &url), ("HALIDOM_MIRROR__NEEDS", "first")]);
    let new = upload(&server, user.token(), &album, 2);
    assert_eq!(count(&mirror(&server), &["missed"]), 1);
    server.kill();
    fs::rename(&gone, &site.mirror).unwrap();
    let server = Server::start_with(&site.data, &[("HALIDOM_MIRROR__URL", &url), ("HALIDOM_MIRROR__NEEDS", "first")]);
    until_whole(&server);
    assert_eq!(site.copies(true, &new.hash).len(), 1, "what it missed was found again after the kill");
    let refused = server.admin().run(["blobs", "move", "--to", "file:///nowhere/else"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("mirror"), "{refused:?}");
}

#[test]
fn until_a_move_is_finished_the_former_place_mends_the_new_one() {
    let dice = Dice(Random::seeded(7));
    let directory = tempfile::tempdir().unwrap();
    let site = Site { data: directory.path().join("data"), mirror: directory.path().join("there") };
    let server = Server::start(&site.data);
    let user = server.user("ann");
    let album = user.json(["album", "create", "all"])["id"].as_str().unwrap().to_owned();
    let photos: Vec<_> = (0..20).map(|number| upload(&server, user.token(), &album, number)).collect();
    let moved = server.admin().json(["blobs", "move", "--to", &site.mirror_url()]);
    assert_eq!(moved["phase"], "switched", "{moved}");
    for photo in &photos {
        site.harm(&dice, true, &photo.hash);
    }
    for photo in &photos {
        reads_right(&server.url, user.token(), photo);
    }
    // Whatever is marked and not repaired yet is now.
    let finished = server.admin().json(["blobs", "finish"]);
    assert_eq!(finished["phase"], "settled", "{finished}");
    fs::remove_dir_all(site.data.join("blobs")).unwrap();
    for photo in &photos {
        reads_right(&server.url, user.token(), photo);
    }
    let check = server.admin().json(["check", "--read-data"]);
    assert_eq!(check["problems"], 0, "{check}");
}
