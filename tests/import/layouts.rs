//! What Google and Immich wrote.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{counted, import, photos, server};

#[test]
fn google_takeout() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("google");
    let mut tree = Tree::new(&source);
    let home = "Takeout/Google Photos";
    tree.undated(&format!("{home}/Photos from 2019/peak.jpg"));
    tree.photo(&format!("{home}/Photos from 2019/alone.jpg"));
    tree.photo(&format!("{home}/Photos from 2019/thrown-away.jpg"));
    tree.again(&format!("{home}/Photos from 2019/peak.jpg"), &format!("{home}/Ski_ die Woche/peak.jpg"));
    let json = r#"{"title": "peak.jpg", "description": "The peak", "photoTakenTime": {"timestamp": "1563105600"}}"#;
    tree.write(&format!("{home}/Ski_ die Woche/peak.jpg.supplemental-metadata.json"), json.as_bytes());
    tree.write(&format!("{home}/Ski_ die Woche/metadata.json"), r#"{"title": "Ski: die Woche"}"#.as_bytes());
    tree.write(&format!("{home}/Photos from 2019/thrown-away.jpg.json"), br#"{"trashed": true}"#);
    tree.write(&format!("{home}/Photos from 2019/film.mp4"), b"\0\0\0\x18ftypmp42 and so on");
    tree.write("Takeout/archive_browser.html", b"<html></html>");
    let server = server(place.path(), "data");
    let admin = server.admin();
    let came = import(&admin, &source, &[], 0);
    assert_eq!(came["layout"].as_str(), Some("takeout"));
    counted(&came, &[("imported", 2), ("duplicates", 1), ("unknown", 3), ("sidecars", 3), ("refused", 0)]);
    let there = photos(&admin);
    let placed: BTreeSet<_> = there.iter().map(|[album, name, _, caption, _]| [album, name, caption].map(String::as_str)).collect();
    let taken = there.iter().find(|[_, name, ..]| name == "peak.jpg").map(|[.., taken_at]| taken_at.as_str());
    assert_eq!(taken, Some("2019-07-14T12:00:00+00:00"), "as Google says, where the photo does not");
    assert_eq!(
        placed,
        [["Photos from 2019", "alone.jpg", ""], ["Ski: die Woche", "peak.jpg", "The peak"]].into(),
        "what is in an album is not in its year, too"
    );
    counted(&import(&admin, &source, &[], 0), &[("imported", 0), ("existing", 2), ("duplicates", 1)]);
}

#[test]
fn immich_with_its_users() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("immich");
    let mut tree = Tree::new(&source);
    tree.photo("library/ann/2022/2022-02-03/a.jpg");
    tree.photo("library/bob/2021/Ski/b.jpg");
    tree.photo("thumbs/ann/a.jpg");
    tree.write("library/ann/2022/2022-02-03/a.jpg.xmp", b"<x exif:DateTimeOriginal='2022-02-03T04:05:06' dc:description='Snow'/>");
    let server = server(place.path(), "data");
    let (admin, ann) = (server.admin(), server.user("ann"));
    let came = import(&admin, &source, &["--create-users"], 0);
    assert_eq!(came["layout"].as_str(), Some("immich"));
    counted(&came, &[("imported", 2), ("sidecars", 1)]);
    let there: Vec<_> = photos(&ann).into_iter().collect();
    let [[album, name, _, caption, _]] = &there[..] else { panic!("{there:?}") };
    assert_eq!([album, name, caption], ["2022", "a.jpg", "Snow"]);
    assert!(admin.json(["user", "list"])["items"].as_array().unwrap().iter().any(|user| user["name"] == "bob"));
}
