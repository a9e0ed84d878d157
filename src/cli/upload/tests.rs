use std::path::Path;

use super::*;
use crate::cli::output::Output;
use crate::client::tests::fake::{Fake, Fault};
use crate::model::{BlobHash, TenantId, UserId};
use crate::runtime::Runtime;

fn session(fake: &Fake) -> Session {
    Session { client: fake.client(), output: Output::new(true), runtime: Runtime::simulated(3, 1_800_000_000_000) }
}

fn options(paths: &[&Path]) -> UploadOptions {
    UploadOptions {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        album: "Ski".into(),
        concurrency: NonZeroU16::new(3).unwrap(),
        repair: false,
        hidden: false,
        follow_links: false,
    }
}

async fn upload_from(fake: &Fake, folder: &Path) -> Summary {
    let (summary, stopped) = upload(&options(&[folder]), &session(fake)).await.unwrap();
    assert!(stopped.is_none(), "{stopped:?}");
    summary
}

/// Photos 0 to `count`, of 8 bytes each.
fn photos(folder: &Path, count: usize) {
    (0..count).for_each(|index| std::fs::write(folder.join(format!("{index:04}.jpg")), format!("IMG {index:04}")).unwrap());
}

fn counts(summary: &Summary) -> (u64, u64, u64) {
    (summary.sent, summary.skipped, summary.refused)
}

#[tokio::test]
async fn the_second_run_sends_nothing() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.site().items_a_page = 400;
    photos(folder.path(), 1_003);
    let first = upload_from(&fake, folder.path()).await;
    assert_eq!((counts(&first), first.bytes_sent, first.bytes_skipped), ((1_003, 0, 0), 8_024, 0));
    assert_eq!(fake.asked("POST /v1/blobs/missing"), 3, "in batches of 500");
    assert_eq!(fake.totals(), (1_003, 1, 8_024));

    let second = upload_from(&fake, folder.path()).await;
    assert_eq!((counts(&second), second.bytes_sent, second.bytes_skipped), ((0, 1_003, 0), 0, 8_024));
    assert_eq!(second.album, first.album);
    assert_eq!(fake.totals(), (1_003, 1, 8_024));

    // Into another album: linked, nothing travels.
    let other = UploadOptions { album: "Other".into(), ..options(&[folder.path()]) };
    let (third, _) = upload(&other, &session(&fake)).await.unwrap();
    assert_eq!((counts(&third), fake.totals()), ((0, 1_003, 0), (2_006, 2, 8_024)));
    assert_ne!(third.album, first.album);
}

#[tokio::test]
async fn the_same_bytes_travel_once() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        std::fs::write(folder.path().join(name), "IMG same").unwrap();
    }
    let summary = upload_from(&fake, folder.path()).await;
    assert_eq!((counts(&summary), summary.bytes_sent, summary.bytes_skipped), ((1, 2, 0), 8, 16));
    assert_eq!(fake.asked("PUT"), 1);
}

#[tokio::test]
async fn refused_files_do_not_hold_up_the_rest() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    photos(folder.path(), 3);
    std::fs::write(folder.path().join("a.txt"), "text").unwrap();
    std::fs::write(folder.path().join("b.txt"), "text").unwrap();
    let device = Path::new("/dev/null");
    let (summary, stopped) = upload(&options(&[folder.path(), device]), &session(&fake)).await.unwrap();
    assert!(stopped.is_none());
    assert_eq!(counts(&summary), (3, 0, 3));
    let mut codes: Vec<_> = summary.failures.iter().map(|failure| failure.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["not_a_file", "not_an_image", "not_an_image"]);
}

#[tokio::test]
async fn a_server_without_space_ends_it_and_every_file_is_accounted_for() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    photos(folder.path(), 20);
    fake.fault("PUT", Fault::Status(507, "0"));
    let (summary, stopped) = upload(&options(&[folder.path()]), &session(&fake)).await.unwrap();
    assert_eq!(stopped.and_then(|error| error.status()), Some(507));
    assert_eq!(summary.sent + summary.skipped + summary.refused, 20);
    assert!(summary.refused > 10, "nothing more was begun: {summary:?}");
    assert_eq!(summary.sent, fake.site().photos.len() as u64);
    // Once there is space, the same command goes on.
    let again = upload_from(&fake, folder.path()).await;
    assert_eq!((again.sent, again.skipped), (summary.refused, summary.sent));
}

#[tokio::test]
async fn lost_answers_and_busy_moments_leave_each_photo_once() {
    // Two at a time: whichever photo they fall on, a third try is left.
    let faults = [
        [Fault::Cut, Fault::Status(503, "0")],
        [Fault::Cut, Fault::Cut],
        [Fault::Problem(429, "too_many_uploads"), Fault::Problem(408, "request_timeout")],
    ];
    for two in faults {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        photos(folder.path(), 6);
        two.into_iter().for_each(|fault| fake.fault("PUT", fault));
        fake.fault("missing", Fault::Cut);
        fake.fault("POST /v1/albums", Fault::Cut);
        let summary = upload_from(&fake, folder.path()).await;
        assert_eq!(counts(&summary), (6, 0, 0));
        let (photos, albums, _) = fake.totals();
        assert_eq!((photos, albums), (6, 1));
    }
}

#[tokio::test]
async fn two_runs_at_once_make_one_album_and_each_photo_once() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    photos(folder.path(), 20);
    let (a, b) = tokio::join!(upload_from(&fake, folder.path()), upload_from(&fake, folder.path()));
    assert_eq!(a.album, b.album);
    assert_eq!((a.refused, b.refused), (0, 0));
    let (photos, albums, _) = fake.totals();
    assert_eq!((photos, albums), (20, 1));
}

#[tokio::test]
async fn what_the_owner_had_deleted_or_moved_comes_back() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    photos(folder.path(), 4);
    let album = upload_from(&fake, folder.path()).await.album;
    let elsewhere = AlbumId::from_bytes([5; 16]);
    {
        let mut site = fake.site();
        site.albums.insert(elsewhere, "Elsewhere".into());
        let mut places = site.photos.values_mut();
        places.next().unwrap().0 = None;
        places.next().unwrap().0 = Some(elsewhere);
    }
    let again = upload_from(&fake, folder.path()).await;
    assert_eq!((counts(&again), again.bytes_sent), ((0, 4, 0), 0));
    let shown = fake.site().photos.values().filter(|(place, ..)| *place == Some(album)).count();
    assert_eq!(shown, 4, "every file of the folder is in the album");
}

#[tokio::test]
async fn a_file_that_changes_is_sent_as_it_is_now() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let (first, second) = (folder.path().join("a.jpg"), folder.path().join("b.jpg"));
    std::fs::write(&first, "IMG old").unwrap();
    std::fs::write(&second, "IMG old").unwrap();
    let session = session(&fake);
    let me = session.client.me().await.unwrap();
    let pool = BlockingPool::new("hash", 1);
    let album = find_or_create(&session.client, &me, "Ski").await.unwrap();
    let old = hash::Hashed {
        path: first.clone(),
        hash: BlobHash::of(b"IMG old"),
        sha256: crate::model::Sha256::from_bytes(sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix("IMG old")).into()),
        size_bytes: 7,
    };
    // Both were hashed; then the first changed.
    let groups = plan::group(vec![old.clone(), hash::Hashed { path: second, ..old }]);
    std::fs::write(&first, "IMG new").unwrap();
    let mut tally = Tally::default();
    let stopped = Sender::new(&session, &me, album.id, pool, 2).run(&album, groups, false, &mut tally).await;
    assert!(stopped.is_none());
    assert_eq!(counts(&tally.summary(album.id)), (2, 0, 0));
    let mut names: Vec<_> = fake.site().photos.values().map(|(_, name, hash)| (name.clone(), *hash)).collect();
    names.sort();
    assert_eq!(names, [("a.jpg".into(), BlobHash::of(b"IMG new")), ("b.jpg".into(), BlobHash::of(b"IMG old"))]);
}

#[tokio::test]
async fn a_name_whose_id_is_taken_gets_another_album() {
    let fake = Fake::start().await;
    let taken = AlbumId::from_name(TenantId::DEFAULT, UserId::DEFAULT, "Ski");
    fake.site().albums.insert(taken, "Renamed".into());
    let client = fake.client();
    let album = find_or_create(&client, &client.me().await.unwrap(), "Ski").await.unwrap();
    assert_eq!(album.name, "Ski");
    assert_ne!(album.id, taken);
}

#[tokio::test]
async fn a_mistyped_path_leaves_nothing_behind() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let error_of = async |paths: &[&Path]| upload(&options(paths), &session(&fake)).await.unwrap_err();
    assert!(error_of(&[folder.path()]).await.is::<Hinted>(), "an empty folder");
    assert!(error_of(&[Path::new("/dev/null")]).await.is::<Hinted>(), "nothing that can be sent");
    let missing = folder.path().join("missing");
    assert!(error_of(&[&missing]).await.is::<UsageError>());
    photos(folder.path(), 1);
    let error = error_of(&[folder.path(), &missing]).await;
    assert!(error.is::<UsageError>() && error.to_string() == format!("not there: `{}`", missing.display()), "{error}");
    assert!(fake.site().asked.is_empty());
}
