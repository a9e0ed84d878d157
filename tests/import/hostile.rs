//! Trees that mean harm, or were left in a bad state.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use super::tree::Tree;
use super::{counted, import, is_sound, photos, server};

#[test]
fn a_hostile_tree_does_no_harm() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    let good = tree.photo("good.jpg");
    tree.photo("Ski/fine.jpg");
    std::fs::write(source.join(OsStr::from_bytes(b"no\xfftext.jpg")), tree.photo("Ski/extra.jpg")).unwrap();
    tree.write("empty.jpg", b"");
    tree.write(
        "text.jpg",
        b"this is no photo, whatever it is called, and it is longer than what is looked at first: so much that it is sure",
    );
    tree.write("cut.jpg", &good[..good.len() / 3]);
    tree.write("notes.txt", b"notes");
    let long = format!("{}.jpg", "x".repeat(250));
    tree.photo(&long);
    // A petabyte of nothing, which takes no room.
    std::fs::File::create(source.join("huge.jpg")).and_then(|file| file.set_len(1 << 40)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, source.join("pipe.jpg"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("secret.jpg"), &good).unwrap();
    symlink(&elsewhere, source.join("out")).unwrap();
    symlink(elsewhere.join("secret.jpg"), source.join("link.jpg")).unwrap();
    symlink(&source, source.join("Ski/loop")).unwrap();
    let server = server(place.path(), "data");
    let admin = server.admin();
    let came = import(&admin, &source, &[], 3);
    counted(&came, &[("imported", 5), ("refused", 4), ("unknown", 1), ("passed_over", 4)]);
    let refusals = came["refusals"].as_array().unwrap().iter();
    let refusals: BTreeMap<_, _> = refusals.map(|refusal| (refusal["path"].as_str().unwrap(), refusal["code"].as_str().unwrap())).collect();
    let expected = [("cut.jpg", "broken_image"), ("empty.jpg", "not_an_image"), ("huge.jpg", "not_an_image"), ("text.jpg", "not_an_image")];
    assert_eq!(refusals, expected.into(), "{came:#}");
    assert!(photos(&admin).iter().any(|[_, name, ..]| *name == long), "a long name fits, or is cut");
    counted(&import(&admin, &source, &[], 3), &[("imported", 0), ("existing", 5), ("refused", 4)]);
    is_sound(&admin, &place.path().join("data"));
}

#[test]
fn what_was_not_allowed_is_refused_and_nothing_else_is_told() {
    let place = tempfile::tempdir().unwrap();
    let allowed = place.path().join("allowed");
    std::fs::create_dir(&allowed).unwrap();
    symlink("/etc", allowed.join("out")).unwrap();
    std::fs::write(allowed.join("list.csv"), "path\n../../etc/passwd\n").unwrap();
    let directories = allowed.display().to_string();
    let server = super::harness::Server::start_with(&place.path().join("data"), &[("HALIDOM_IMPORT__DIRECTORIES", &directories)]);
    let admin = server.admin();
    for path in ["/etc", "/", place.path().to_str().unwrap(), &format!("{directories}/none"), &format!("{directories}/../data")] {
        let refused = admin.run(["import", path]);
        assert_eq!(refused.code, Some(1), "{path}: {refused:?}");
    }
    // The CLI would name the link's target: so the server is asked itself.
    let body = serde_json::json!({ "path": format!("{directories}/out") }).to_string();
    let auth = format!("Bearer {}", server.admin_token());
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let refused = super::harness::wire::call(&server.url, "POST", "/v1/admin/imports", &headers, body.as_bytes());
    assert_eq!(refused.status, 400, "{refused:?}");
    let refused = admin.run(["import", &directories, "--manifest", "list.csv"]);
    assert!(refused.code == Some(3) && refused.stdout.contains("no path below"), "{refused:?}");
    let refused = admin.run(["import", &directories, "--manifest", "../list.csv"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}
