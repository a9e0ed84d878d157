//! Whose a blobs directory is: a site touches nothing in another's, and does not take one for its own that does not say so.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::path::Path;

use harness::{Server, command, wait};
use serde_json::json;

const MARKER: &str = "blobs-marker.json";

/// What a server says that does not start on these directories.
fn refusal(data: &Path, blobs: &Path) -> String {
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data"]).arg(data);
    let output = wait::output(serve.arg("--blobs").arg(format!("file://{}", blobs.display())));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    said
}

/// A site with a photo in it.
fn with_a_photo(data: &Path) -> Server {
    let server = Server::start(data);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut jpegs: Vec<_> = std::fs::read_dir(photos).unwrap().map(|entry| entry.unwrap().path()).collect();
    jpegs.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    jpegs.sort_by_key(|path| (path.metadata().unwrap().len(), path.clone()));
    let said = server.admin().json(["upload", jpegs[0].to_str().unwrap(), "--album", "one"]);
    assert_eq!(said["sent"], json!(1), "{said}");
    server
}

#[test]
fn a_store_of_another_site_is_refused_with_its_uploads_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));
    Server::start(&theirs).kill();
    let blobs = theirs.join("blobs");
    // As an upload is called that is under way.
    let staged = blobs.join("staging").join("07".repeat(16));
    std::fs::write(&staged, "half a photo").unwrap();
    let marker = std::fs::read(blobs.join(MARKER)).unwrap();
    let said = refusal(&ours, &blobs);
    assert!(said.contains("belongs to the site"), "{said}");
    assert_eq!(std::fs::read_to_string(&staged).unwrap(), "half a photo");
    assert_eq!(std::fs::read(blobs.join(MARKER)).unwrap(), marker);
    Server::start(&theirs).kill();
    assert!(!staged.exists(), "its own site sweeps it");
}

#[test]
fn a_site_with_photos_does_not_claim_a_store_without_a_marker() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = with_a_photo(&data);
    let stats = server.admin().json(["stats"]);
    server.kill();
    let marker = data.join("blobs").join(MARKER);
    let was = std::fs::read_to_string(&marker).unwrap();
    std::fs::remove_file(&marker).unwrap();
    let said = refusal(&data, &data.join("blobs"));
    let site = was.split('"').nth(5).unwrap();
    assert!(said.contains(MARKER) && said.contains(site) && said.contains("docs/operating.md"), "{said}");
    assert!(!marker.exists(), "nothing is claimed");
    let said = refusal(&folder.path().join("fresh"), &data.join("blobs"));
    assert!(said.contains(MARKER) && !marker.exists(), "nor by a site that has none of its own: {said}");

    // As docs/operating.md says.
    let by_hand = format!(r#"{{"version":1,"site":"{site}","epoch":1}}"#);
    assert_eq!(by_hand, was);
    std::fs::write(&marker, by_hand).unwrap();
    assert_eq!(Server::start(&data).admin().json(["stats"]), stats);
}
