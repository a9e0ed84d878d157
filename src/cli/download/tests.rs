use std::collections::BTreeMap;

use futures_util::FutureExt as _;

use super::*;
use crate::cli::output::Output;
use crate::client::tests::fake::{Fake, Fault};
use crate::model::AlbumId;
use crate::runtime::Runtime;

const ALBUM: AlbumId = AlbumId::from_bytes([7; 16]);

async fn download_to(fake: &Fake, directory: &Path) -> (Summary, Option<ClientError>) {
    let session = Session { client: fake.client(), output: Output::new(true), runtime: Runtime::simulated(3, 0) };
    let options = DownloadOptions { album: "Ski".into(), directory: directory.to_owned(), concurrency: NonZeroU16::new(2).unwrap() };
    let album = resolve::album(&session.client, "Ski").await.unwrap();
    download(&options, &album, &session).await.unwrap()
}

async fn fake() -> Fake {
    let fake = Fake::start().await;
    fake.site().albums.insert(ALBUM, "Ski".into());
    fake
}

/// Name and contents of every file.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())).collect()
}

#[tokio::test]
async fn every_photo_arrives_once_and_stays() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let directory = folder.path().join("made/for/it");
    for (name, bytes) in [("a.jpg", "first"), ("A.jpg", "second"), ("../../evil", "third"), ("b/c.jpg", "fourth")] {
        fake.photo(ALBUM, name, bytes.as_bytes());
    }
    let (summary, stopped) = download_to(&fake, &directory).await;
    assert!(stopped.is_none());
    assert_eq!((summary.downloaded, summary.skipped, summary.failed, summary.bytes_downloaded), (4, 0, 0, 22));
    let there = files(&directory);
    let mut contents: Vec<_> = there.values().map(String::as_str).collect();
    contents.sort_unstable();
    assert_eq!(contents, ["first", "fourth", "second", "third"]);
    assert!(there.contains_key("_.._evil") && there.contains_key("b_c.jpg"), "{there:?}");

    let asked = fake.asked("/original");
    let (summary, _) = download_to(&fake, &directory).await;
    assert_eq!((summary.downloaded, summary.skipped, summary.bytes_downloaded), (0, 4, 0));
    assert_eq!((files(&directory), fake.asked("/original")), (there, asked));
}

#[tokio::test]
async fn names_that_collide_are_found_again() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let sent = [("a.jpg", "1"), ("a (2).jpg", "2"), ("a.jpg", "3"), ("A (2).jpg", "4"), ("b.jpg", "5")];
    let mut photos = sent.map(|(name, bytes)| (fake.photo(ALBUM, name, bytes.as_bytes()), bytes.to_owned()));
    photos.sort_by_key(|(photo, _)| photo.id);
    let mut names = NameBook::default();
    let mut expected = BTreeMap::new();
    for (photo, bytes) in photos {
        let name = names.candidates(&photo.name).next_free(&names);
        names.take(&name);
        expected.insert(name, bytes);
    }
    for known in [0, 5, 4] {
        let (summary, _) = download_to(&fake, folder.path()).await;
        assert_eq!((summary.downloaded, summary.skipped), (5 - known, known));
        assert_eq!(files(folder.path()), expected);
        if known == 5 {
            std::fs::remove_file(folder.path().join(expected.keys().next().unwrap())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_that_was_changed_costs_no_other_its_name() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    for bytes in ["1", "2", "3"] {
        fake.photo(ALBUM, "a.jpg", bytes.as_bytes());
    }
    download_to(&fake, folder.path()).await;
    let mut expected = files(folder.path());
    let lost = expected.insert("a.jpg".into(), "edited".into()).unwrap();
    std::fs::write(folder.path().join("a.jpg"), "edited").unwrap();
    let (summary, _) = download_to(&fake, folder.path()).await;
    assert_eq!((summary.downloaded, summary.skipped), (1, 2));
    expected.insert("a (4).jpg".into(), lost);
    assert_eq!(files(folder.path()), expected);
}

#[tokio::test]
async fn as_many_files_are_looked_at_at_once_as_is_said() {
    let fake = fake().await;
    let photos: Vec<_> = ["a.jpg", "A.jpg", "b.jpg", "c.jpg"].map(|name| fake.photo(ALBUM, name, name.as_bytes())).into();
    // Nobody gets through alone.
    let meeting = tokio::sync::Barrier::new(3);
    let look = |_: &Photo, name: &str| {
        let (name, meeting) = (name.to_owned(), &meeting);
        async move {
            meeting.wait().await;
            name
        }
    };
    let mut looking = pin!(look_ahead(photos.clone(), 4, look).collect::<Vec<_>>());
    let looked = (0..100).find_map(|_| looking.as_mut().now_or_never()).expect("they meet");
    let firsts: Vec<_> = looked.iter().map(|(_, first)| first.as_ref().map(|(name, found)| (name.as_str(), found.as_str()))).collect();
    assert_eq!(firsts, [Some(("a.jpg", "a.jpg")), None, Some(("b.jpg", "b.jpg")), Some(("c.jpg", "c.jpg"))]);
    assert!(looked.iter().map(|(photo, _)| photo).eq(&photos), "in order");
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("a.jpg"), "mine!").unwrap();
    fake.photo(ALBUM, "a.jpg", b"photo");
    for _ in 0..2 {
        download_to(&fake, folder.path()).await;
        let expected = [("a (2).jpg", "photo"), ("a.jpg", "mine!")].map(|(name, bytes)| (name.to_owned(), bytes.to_owned()));
        assert_eq!(files(folder.path()), BTreeMap::from(expected));
    }
}

#[tokio::test]
async fn damaged_photos_are_reported_and_the_rest_arrives() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let broken = fake.photo(ALBUM, "broken.jpg", b"broken");
    fake.photo(ALBUM, "whole.jpg", b"whole");
    let at: &'static str = Box::leak(format!("{}/original", broken.id).into_boxed_str());
    (0..2).for_each(|_| fake.fault(at, Fault::Corrupt));
    let (summary, stopped) = download_to(&fake, folder.path()).await;
    assert!(stopped.is_none());
    assert_eq!((summary.downloaded, summary.failed), (1, 1));
    assert!(summary.text("Ski").contains("damaged"), "{}", summary.text("Ski"));
    assert_eq!(files(folder.path()), BTreeMap::from([("whole.jpg".to_owned(), "whole".to_owned())]));
}

#[tokio::test]
async fn an_interrupted_file_goes_on_where_it_ended() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let photo = fake.photo(ALBUM, "a.jpg", b"0123456789");
    std::fs::write(folder.path().join(format!(".halidom-{}.part", photo.id)), "0123").unwrap();
    let (summary, _) = download_to(&fake, folder.path()).await;
    assert_eq!((summary.downloaded, summary.bytes_downloaded, summary.bytes_skipped), (1, 6, 4));
    assert_eq!(fake.site().ranges, ["bytes=4-"]);
    assert_eq!(files(folder.path()), BTreeMap::from([("a.jpg".to_owned(), "0123456789".to_owned())]));
}

#[tokio::test]
async fn a_server_that_is_away_ends_it_and_every_photo_is_accounted_for() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    (0..10).for_each(|number| drop(fake.photo(ALBUM, &format!("{number}.jpg"), &[b'0' + number])));
    (0..6).for_each(|_| fake.fault("/original", Fault::Status(503, "0")));
    let (summary, stopped) = download_to(&fake, folder.path()).await;
    assert_eq!(stopped.and_then(|error| error.status()), Some(503));
    assert_eq!(summary.downloaded + summary.failed, 10);
    let (summary, stopped) = download_to(&fake, folder.path()).await;
    assert!(stopped.is_none());
    assert_eq!((summary.downloaded + summary.skipped, files(folder.path()).len()), (10, 10));
}
