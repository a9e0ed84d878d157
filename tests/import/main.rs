//! Trees of photos come in and go out: the CLI against real servers, on real file systems.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

#[path = "../harness/mod.rs"]
mod harness;
mod hostile;
mod layouts;
mod shared;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use harness::wait::until;
use harness::{Cli, Server};
use serde_json::Value;
use tree::{Tree, number};

/// A server that may take in what lies in this directory.
fn server(place: &Path, name: &str) -> Server {
    let allowed = place.display().to_string();
    Server::start_with(&place.join(name), &[("HALIDOM_IMPORT__DIRECTORIES", &allowed)])
}

/// Album, name, hash, caption and time of every photo of the caller's.
fn photos(cli: &Cli) -> BTreeSet<[String; 5]> {
    let mut all = BTreeSet::new();
    for album in cli.json(["album", "list"])["items"].as_array().unwrap() {
        for photo in cli.json(["photo", "list", album["id"].as_str().unwrap()])["items"].as_array().unwrap() {
            let text = |field: &str| photo[field].as_str().unwrap_or_default().to_owned();
            let album = album["name"].as_str().unwrap().to_owned();
            assert!(all.insert([album, text("name"), text("hash"), text("caption"), text("taken_at")]), "{photo} twice");
        }
    }
    all
}

fn import(cli: &Cli, directory: &Path, more: &[&str], code: i32) -> Value {
    let directory = directory.to_str().unwrap();
    let arguments = ["import", directory].into_iter().chain(more.iter().copied());
    cli.json_ending(code, arguments)
}

/// `name=count`, as the import counted it.
fn counted(import: &Value, expected: &[(&str, u64)]) {
    let counts = &import["counts"];
    for (name, expected) in expected {
        assert_eq!(number(counts, name), *expected, "{name}: {import:#}");
    }
}

fn is_sound(admin: &Cli, data: &Path) {
    let report = admin.json(["check", "--read-data"]);
    assert_eq!((number(&report, "problems"), number(&report, "orphans")), (0, 0), "{report}");
    assert_eq!(std::fs::read_dir(data.join("blobs/staging")).unwrap().count(), 0, "nothing is left in staging");
}

#[test]
fn a_tree_goes_in_and_out_and_in_at_another_site() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    for path in ["top.jpg", "Ski/a.jpg", "Ski/b.jpg", "2019/Sommer: am See?/a.jpg", "2019/Sommer: am See?/Größe ☃.jpg"] {
        tree.photo(path);
    }
    tree.again("Ski/a.jpg", "Copies/a.jpg");
    tree.again("Ski/a.jpg", "Ski/twice.jpg");
    tree.write("Ski/b.jpg.xmp", b"<dc:description>The peak</dc:description>");
    tree.undated("Ski/undated.jpg");
    tree.write("Ski/undated.jpg.xmp", b"<exif:DateTimeOriginal>2019-07-14T12:00:00+02:00</exif:DateTimeOriginal>");
    let server = server(place.path(), "one");
    let admin = server.admin();

    let first = import(&admin, &source, &[], 0);
    counted(&first, &[("imported", 7), ("duplicates", 1), ("refused", 0), ("sidecars", 2), ("existing", 0)]);
    assert_eq!((first["layout"].as_str(), first["state"].as_str()), (Some("folders"), Some("done")));
    let there = photos(&admin);
    let albums: BTreeSet<_> = there.iter().map(|[album, ..]| album.as_str()).collect();
    assert_eq!(albums, ["2019 / Sommer: am See?", "Copies", "Ski", "filer"].into());
    assert!(there.iter().any(|[album, name, _, caption, _]| album == "Ski" && name == "b.jpg" && caption == "The peak"), "{there:?}");
    let stats = admin.json(["stats"]);
    assert_eq!((number(&stats, "photos"), number(&stats, "blobs")), (7, 6));
    counted(&import(&admin, &source, &[], 0), &[("imported", 0), ("existing", 7), ("duplicates", 1)]);
    assert_eq!(photos(&admin), there, "a second time changes nothing");
    is_sound(&admin, &place.path().join("one"));

    let out = place.path().join("out");
    let export = |more: &[&str], code| {
        let arguments = ["export"].into_iter().chain(more.iter().copied());
        admin.json_ending(code, arguments)
    };
    let exported = export(&["--mine", out.to_str().unwrap()], 0);
    assert_eq!((number(&exported, "downloaded"), number(&exported, "albums")), (7, 4), "{exported}");
    let written = out.join("Ski/undated.jpg").metadata().unwrap().modified().unwrap();
    assert_eq!(written, std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_563_098_400), "files have the time of their photo");
    let files = tree::files(&out);
    assert_eq!(files.len(), 8, "{files:?}");
    assert!(files.contains_key(Path::new("2019 _ Sommer_ am See_/Größe ☃.jpg")), "{files:?}");
    let again = export(&["--mine", out.to_str().unwrap()], 0);
    assert_eq!((number(&again, "downloaded"), number(&again, "skipped")), (0, 7));
    assert_eq!(tree::files(&out), files, "a second time changes nothing");
    std::fs::write(out.join("Ski/b.jpg"), "mine").unwrap();
    assert_eq!(number(&export(&["Ski", out.to_str().unwrap()], 0), "downloaded"), 1);
    assert_eq!(std::fs::read(out.join("Ski/b.jpg")).unwrap(), b"mine", "nothing of others is overwritten");
    std::fs::remove_dir_all(&out).unwrap();
    export(&["--all", out.to_str().unwrap()], 0);

    let other = self::server(place.path(), "other");
    let elsewhere = other.admin();
    let back = import(&elsewhere, &out, &["--manifest", "manifest.jsonl", "--create-users"], 0);
    counted(&back, &[("imported", 7), ("refused", 0)]);
    assert_eq!(photos(&elsewhere), there, "names, albums, captions, times and bytes are the same at the other site");
}

#[test]
fn a_manifest_says_album_user_and_name() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    tree.photo("00/1.jpg");
    tree.photo("00/2.jpg");
    tree.photo("00/not-listed.jpg");
    let wrong = "0".repeat(64);
    let csv = format!(
        "path,album,user,name,hash\n00/1.jpg,Ski,ann,Peak.jpg,\n00/2.jpg,Ski,bob,,\n00/none.jpg,Ski,ann,,\n00/1.jpg,Other,ann,,{wrong}\n"
    );
    tree.write("list.csv", csv.as_bytes());
    let server = server(place.path(), "data");
    let admin = server.admin();
    let ann = server.user("ann");
    let said = import(&admin, &source, &["--manifest", "list.csv"], 3);
    counted(&said, &[("imported", 1), ("refused", 3)]);
    let codes: BTreeSet<_> = said["refusals"].as_array().unwrap().iter().map(|refusal| refusal["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["digest_mismatch", "not_found", "unreadable"].into(), "{said}");
    let said = import(&admin, &source, &["--manifest", "list.csv", "--create-users"], 3);
    counted(&said, &[("imported", 1), ("existing", 1), ("refused", 2)]);
    assert!(photos(&ann).iter().any(|[album, name, ..]| album == "Ski" && name == "Peak.jpg"));
    assert!(photos(&admin).is_empty());
}

#[test]
fn a_server_that_is_killed_goes_on_and_nothing_comes_twice() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    for number in 0..600 {
        tree.photo(&format!("{}/{number}.jpg", number / 100));
    }
    let mut running = server(place.path(), "data");
    let begun = import(&running.admin(), &source, &["--detach"], 0);
    let id = begun["id"].as_str().unwrap().to_owned();
    for kill_at in [1, 100, 250] {
        let admin = running.admin();
        let stands = || number(&admin.json(["stats"]), "photos");
        until("photos come in", stands, |photos| *photos >= kill_at);
        running.kill();
        running = server(place.path(), "data");
    }
    let admin = running.admin();
    let shown = || admin.json(["import", "--list"])["items"][0].clone();
    let done = until("the import goes on by itself to its end", shown, |import| import["state"] != "running");
    assert_eq!((done["state"].as_str(), done["id"].as_str()), (Some("done"), Some(id.as_str())), "{done}");
    assert_eq!(number(&done["counts"], "imported") + number(&done["counts"], "existing"), 600, "{done}");
    let stats = admin.json(["stats"]);
    assert_eq!((number(&stats, "photos"), number(&stats, "blobs")), (600, 600));
    assert_eq!(photos(&admin).len(), 600);
    let report = admin.json(["check", "--read-data"]);
    assert_eq!(number(&report, "problems"), 0, "{report}");
    assert_eq!(std::fs::read_dir(place.path().join("data/blobs/staging")).unwrap().count(), 0);
}

#[test]
fn one_that_is_stopped_goes_on_when_it_is_begun_again() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    for number in 0..400 {
        tree.photo(&format!("{number}.jpg"));
    }
    let server = server(place.path(), "data");
    let admin = server.admin();
    let begun = import(&admin, &source, &["--detach"], 0);
    let other = place.path().join("other");
    Tree::new(&other).photo("a.jpg");
    let refused = admin.run(["import", other.to_str().unwrap(), "--detach"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("one at a time"), "{refused:?}");
    admin.json(["import", "--stop", begun["id"].as_str().unwrap()]);
    let shown = || admin.json(["import", "--list"])["items"][0].clone();
    let stopped = until("it stops", shown, |import| import["state"] != "running");
    assert_eq!(stopped["state"].as_str(), Some("stopped"), "{stopped}");
    let came = number(&stopped["counts"], "imported");
    let rest = import(&admin, &source, &[], 0);
    counted(&rest, &[("imported", 400 - came), ("existing", came)]);
    is_sound(&admin, &place.path().join("data"));
}

#[test]
fn a_server_that_does_not_see_the_tree_is_sent_it() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    for path in ["Ski/a.jpg", "Ski/b.jpg", "c.jpg"] {
        tree.photo(path);
    }
    tree.write("Ski/notes.txt", b"notes");
    let server = Server::start(&place.path().join("data"));
    let (admin, ann) = (server.admin(), server.user("ann"));
    let refused = admin.run(["import", source.to_str().unwrap()]);
    assert!(refused.code == Some(1) && refused.stderr.contains("import.directories") && refused.stderr.contains("--upload"), "{refused:?}");
    let refused = ann.run(["import", source.to_str().unwrap()]);
    assert!(refused.code == Some(1) && refused.stderr.contains("scope"), "{refused:?}");
    let sent = import(&ann, &source, &["--upload"], 0);
    assert_eq!((number(&sent, "sent"), number(&sent, "unknown")), (3, 1), "{sent}");
    let albums: BTreeSet<_> = photos(&ann).into_iter().map(|[album, ..]| album).collect();
    assert_eq!(albums, ["Ski".to_owned(), "filer".to_owned()].into());
    assert_eq!(number(&import(&ann, &source, &["--upload"], 0), "skipped"), 3);
}
