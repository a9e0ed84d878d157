pub(crate) mod fake;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;

use self::fake::{Fake, Fault};
use super::retry::Verdict;
use super::send::Progress;
use super::{Client, ClientError, ClientSettings, Source, Upload, UploadId, Wanted};
use crate::api::{CreateAlbum, InventoryPart, MissingRequest};
use crate::model::{AlbumId, BlobHash, PhotoId, Sha256};
use crate::runtime::Runtime;

fn quiet() -> Progress {
    Arc::new(|_| ())
}

const ALBUM: AlbumId = AlbumId::from_bytes([7; 16]);

async fn fake() -> Fake {
    let fake = Fake::start().await;
    fake.site().albums.insert(ALBUM, "Ski".into());
    fake
}

/// An upload of a file of these bytes, said to hash to `hash`.
fn file_upload(folder: &tempfile::TempDir, bytes: &[u8], hash: BlobHash) -> (Upload, PathBuf) {
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, bytes).unwrap();
    let upload = Upload {
        album: ALBUM,
        id: UploadId::Own(PhotoId::from_bytes([9; 16])),
        name: "Größe & Co.jpg".into(),
        size_bytes: bytes.len() as u64,
        hash: Some(hash),
        sha256: None,
        source: Source::File(path.clone()),
    };
    (upload, path)
}

/// Larger than any buffer on the way.
fn large() -> Vec<u8> {
    let mut bytes = b"IMG".to_vec();
    bytes.resize(3_000_000, 0xa5);
    bytes
}

#[tokio::test]
async fn busy_servers_and_broken_connections_are_tried_again() {
    let fake = fake().await;
    fake.fault("GET /v1/me", Fault::Status(503, "0"));
    fake.fault("GET /v1/me", Fault::Cut);
    fake.client().me().await.unwrap();
    assert_eq!(fake.asked("/v1/me"), 3);

    for fault in [Fault::Status(429, "1"), Fault::Proxy(502), Fault::Proxy(503)] {
        fake.fault("GET /v1/me", fault);
        fake.client().me().await.unwrap();
    }
}

#[tokio::test]
async fn retries_come_to_an_end_and_say_what_it_was() {
    let fake = fake().await;
    (0..3).for_each(|_| fake.fault("GET /v1/me", Fault::Status(503, "0")));
    let error = fake.client().me().await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(problem) if problem.status == 503 && problem.code == "injected"), "{error:?}");
    assert_eq!(fake.asked("/v1/me"), 3);
    assert!(error.to_string().contains("request r1"), "{error}");
}

#[tokio::test]
async fn what_may_not_be_done_twice_is_not_repeated() {
    let fake = fake().await;
    let request = CreateAlbum { name: "A".into(), id: None, description: None };
    fake.fault("POST /v1/albums", Fault::Cut);
    let error = fake.client().create_album(&request).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(fake.asked("POST /v1/albums"), 1);
    // A server that says that it did not begin may be asked again; and so may one that knows the id.
    fake.fault("POST /v1/albums", Fault::Problem(503, "busy"));
    fake.client().create_album(&request).await.unwrap();
    fake.fault("POST /v1/albums", Fault::Cut);
    fake.client().create_album(&CreateAlbum { id: Some(AlbumId::from_bytes([1; 16])), ..request.clone() }).await.unwrap();
    assert_eq!(fake.asked("POST /v1/albums"), 5);
    // What may have been done is not begun again, whoever says that it failed.
    for (asked, fault) in (6..).zip([
        Fault::Problem(503, "unavailable"),
        Fault::Problem(503, "timeout"),
        Fault::Problem(504, "timeout"),
        Fault::Proxy(503),
        Fault::Proxy(502),
    ]) {
        fake.fault("POST /v1/albums", fault);
        assert!(matches!(fake.client().create_album(&request).await, Err(ClientError::Refused(_))));
        assert_eq!(fake.asked("POST /v1/albums"), asked);
    }
}

#[tokio::test]
async fn an_upload_without_an_id_is_repeated_only_where_it_was_not_begun() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let (mut upload, _) = file_upload(&folder, b"IMG 1", BlobHash::of(b"IMG 1"));
    upload.id = UploadId::Drawn;
    for (fault, attempts) in [
        (Fault::Problem(503, "unavailable"), 1),
        (Fault::Problem(504, "timeout"), 1),
        (Fault::Cut, 1),
        (Fault::Problem(503, "busy"), 2),
        (Fault::Problem(429, "too_many_uploads"), 2),
    ] {
        let asked = fake.asked("POST");
        fake.fault("POST", fault.clone());
        // The fake knows no such upload: what is begun fails.
        fake.client().upload(&upload, quiet()).await.unwrap_err();
        assert_eq!(fake.asked("POST") - asked, attempts, "{fault:?}");
    }
    let mut settings = fake.client().settings;
    settings.idle_timeout = Duration::from_millis(300);
    let hasty = Client::new(&fake.url, Some("secret"), settings, Runtime::simulated(1, 0)).unwrap();
    let asked = fake.asked("POST");
    (0..3).for_each(|_| fake.fault("POST", Fault::Silent));
    assert!(matches!(hasty.upload(&upload, quiet()).await, Err(ClientError::Unreachable { .. })));
    assert!(fake.asked("POST") - asked <= 1, "silence may mean that it was done");
}

#[tokio::test]
async fn an_upload_that_stalls_past_the_time_for_attempts_is_sent_again() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let (upload, _) = file_upload(&folder, b"IMG 1", BlobHash::of(b"IMG 1"));
    let mut settings = fake.client().settings;
    settings.idle_timeout = Duration::from_millis(300);
    settings.retry.total = Duration::from_millis(100);
    settings.retry.first_delay = Duration::from_millis(1);
    let client = Client::new(&fake.url, Some("secret"), settings, Runtime::system()).unwrap();
    fake.fault("PUT", Fault::Silent);
    client.upload(&upload, quiet()).await.unwrap();
    assert_eq!(fake.asked("PUT"), 2);
}

#[tokio::test]
async fn what_fails_after_a_wait_for_its_turn_has_all_its_time() {
    let fake = fake().await;
    let mut settings = fake.client().settings;
    (settings.retry.total, settings.retry.longest_delay) = (Duration::from_millis(900), Duration::from_secs(2));
    let client = Client::new(&fake.url, Some("secret"), settings, Runtime::system()).unwrap();
    fake.fault("GET /v1/me", Fault::Status(429, "1"));
    fake.fault("GET /v1/me", Fault::Status(503, "0"));
    client.me().await.unwrap();
    assert_eq!(fake.asked("/v1/me"), 3);
}

#[tokio::test]
async fn a_turn_that_never_comes_is_not_waited_for_for_ever() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let (upload, _) = file_upload(&folder, b"IMG 1", BlobHash::of(b"IMG 1"));
    let mut settings = fake.client().settings;
    (settings.retry.turn, settings.retry.longest_delay) = (Duration::from_millis(20), Duration::from_millis(1));
    let client = Client::new(&fake.url, Some("secret"), settings, Runtime::system()).unwrap();
    (0..100).for_each(|_| fake.fault("PUT", Fault::Status(429, "1")));
    // Its bytes move each time before it is turned away.
    assert_eq!(client.upload(&upload, quiet()).await.unwrap_err().status(), Some(429));
    assert_eq!(fake.asked("PUT"), 21);
}

#[tokio::test]
async fn an_error_whose_body_never_comes_is_told_by_its_status() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let (mut upload, _) = file_upload(&folder, b"IMG 1", BlobHash::of(b"IMG 1"));
    upload.id = UploadId::Drawn;
    let mut settings = fake.client().settings;
    settings.answer_timeout = Duration::from_millis(300);
    fake.fault("POST", Fault::HeadOnly(502));
    let error = fake.client().with_settings(settings).upload(&upload, quiet()).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(502), "http_502"));
}

#[tokio::test]
async fn refusals_are_final_and_typed() {
    let fake = fake().await;
    let error = fake.client().album(AlbumId::from_bytes([3; 16])).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(404), "not_found"));
    assert_eq!(fake.asked("GET /v1/albums/"), 1);
    let stranger = Client::new(&fake.url, None, ClientSettings::default(), Runtime::simulated(1, 0)).unwrap();
    assert_eq!(stranger.me().await.unwrap_err().status(), Some(401));
    fake.fault("GET /v1/me", Fault::Proxy(404));
    assert!(matches!(fake.client().me().await.unwrap_err(), ClientError::Protocol { .. }));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fake = fake().await;
    let settings = fake.client().settings;
    let client = Client::new(&url, None, settings, Runtime::simulated(1, 0)).unwrap();
    let error = client.me().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (server, token) in [("nonsense", None), ("ftp://a", None), ("http://a", Some("line\nbreak"))] {
        let made = Client::new(server, token, ClientSettings::default(), Runtime::simulated(1, 0));
        assert!(matches!(made, Err(ClientError::Settings(_))), "{server}");
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let fake = fake().await;
    // The fake client's clock stands at 2027-01-15 08:00:00.
    for (text, seconds) in
        [("7", Some(7)), ("Fri, 15 Jan 2027 08:00:09 GMT", Some(9)), ("Fri, 15 Jan 2027 07:00:00 GMT", Some(0)), ("soon", None)]
    {
        fake.fault("GET /v1/me", Fault::Status(503, text));
        let client = fake.client();
        let response = client.request(http::Method::GET, "/v1/me").send().await.unwrap();
        let failure = client.judged(response, true).await.unwrap_err();
        assert_eq!(failure.verdict, Verdict::Again { retry_after: seconds.map(Duration::from_secs) }, "{text}");
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let fake = fake().await;
    for number in 0_u8..5 {
        fake.photo(ALBUM, &format!("{number}.jpg"), &[b'I', number]);
    }
    let photos: Vec<_> = fake.client().photos(ALBUM).try_collect().await.unwrap();
    assert_eq!(photos.len(), 5);
    assert_eq!(fake.asked(&format!("GET /v1/albums/{ALBUM}/photos?")), 3, "two a page");
    let missing = fake.client().missing(&MissingRequest { hashes: vec![photos[0].hash, BlobHash::of(b"x")] }).await.unwrap();
    assert_eq!(missing.missing, [BlobHash::of(b"x")]);
}

#[tokio::test]
async fn a_file_is_sent_whole_and_its_progress_told() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let (mut upload, _) = file_upload(&folder, &bytes, BlobHash::of(&bytes));
    upload.sha256 = Some(Sha256::from_bytes(sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &bytes)).into()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let uploaded = fake.client().upload(&upload, Arc::new(move |sent| telling.lock().unwrap().push(sent))).await.unwrap();
    assert!(uploaded.created);
    assert_eq!((uploaded.photo.name.as_str(), uploaded.photo.hash), ("Größe & Co.jpg", BlobHash::of(&bytes)));
    let told = told.lock().unwrap();
    assert_eq!((told.first(), told.last()), (Some(&0), Some(&(bytes.len() as u64))));
    assert!(told.is_sorted() && told.len() > 5, "in pieces: {told:?}");
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_merges() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let (upload, _) = file_upload(&folder, &bytes, BlobHash::of(&bytes));
    fake.fault("PUT", Fault::Cut);
    let uploaded = fake.client().upload(&upload, quiet()).await.unwrap();
    assert!(!uploaded.created, "the first attempt had made it");
    assert_eq!((fake.asked("PUT"), fake.site().photos.len()), (2, 1));
}

#[tokio::test]
async fn a_file_that_changed_is_told_apart_from_a_broken_server() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    // Other bytes of the same length: the server sees it.
    let (upload, path) = file_upload(&folder, &bytes, BlobHash::of(b"before"));
    assert!(matches!(fake.client().upload(&upload, quiet()).await, Err(ClientError::Changed)));
    assert_eq!(fake.asked("PUT"), 1, "the same bytes again would be refused again");
    // Another length: nothing is asked.
    std::fs::write(&path, b"IMG shorter").unwrap();
    assert!(matches!(fake.client().upload(&upload, quiet()).await, Err(ClientError::Changed)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(fake.client().upload(&upload, quiet()).await, Err(ClientError::Source(_))));
    assert_eq!(fake.asked("PUT"), 1);
    assert!(fake.site().photos.is_empty());
}

#[tokio::test]
async fn pieces_of_memory_are_one_photo() {
    let (fake, folder) = (fake().await, tempfile::tempdir().unwrap());
    let (mut upload, _) = file_upload(&folder, b"IMG 1", BlobHash::of(b"IMG 1"));
    upload.source = Source::Memory(vec![Bytes::from_static(b"IMG"), Bytes::from_static(b" 1")]);
    assert!(fake.client().upload(&upload, quiet()).await.unwrap().created);
}

#[tokio::test]
async fn an_original_is_verified_and_resumed_where_it_broke_off() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let wanted = Wanted::from(&fake.photo(ALBUM, "a.jpg", &bytes));
    let path = folder.path().join("part");
    fake.fault("/original", Fault::CutAfter(1_000_000));
    let fetched = fake.client().fetch_original(wanted, &path, quiet()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(fetched.received_bytes, bytes.len() as u64, "no byte twice");
    assert_eq!(fake.site().ranges.len(), 1);

    // From an earlier run.
    std::fs::write(&path, &bytes[..2_000_000]).unwrap();
    let fetched = fake.client().fetch_original(wanted, &path, quiet()).await.unwrap();
    assert_eq!((fetched.received_bytes, fetched.resumed_bytes), (1_000_000, 2_000_000));
    assert_eq!(fake.site().ranges.last().map(String::as_str), Some("bytes=2000000-"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    // All of it: nothing is asked.
    let asked = fake.asked("/original");
    assert_eq!(fake.client().fetch_original(wanted, &path, quiet()).await.unwrap().received_bytes, 0);
    assert_eq!(fake.asked("/original"), asked);
}

#[tokio::test]
async fn beginnings_that_are_wrong_are_thrown_away() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let wanted = Wanted::from(&fake.photo(ALBUM, "a.jpg", &bytes));
    let path = folder.path().join("part");
    for wrong in [vec![1; 1_000], vec![1; 4_000_000], vec![1; 3_000_000]] {
        std::fs::write(&path, wrong).unwrap();
        let fetched = fake.client().fetch_original(wanted, &path, quiet()).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(fetched.resumed_bytes, 0);
    }
    // A server that answers the whole where a part was asked for.
    std::fs::write(&path, &bytes[..1_000]).unwrap();
    fake.fault("/original", Fault::IgnoreRange);
    fake.client().fetch_original(wanted, &path, quiet()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn damage_on_the_way_is_fetched_again_and_lasting_damage_reported() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let wanted = Wanted::from(&fake.photo(ALBUM, "a.jpg", &bytes));
    let path = folder.path().join("part");
    fake.fault("/original", Fault::Corrupt);
    fake.client().fetch_original(wanted, &path, quiet()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    std::fs::remove_file(&path).unwrap();
    (0..2).for_each(|_| fake.fault("/original", Fault::Corrupt));
    let error = fake.client().fetch_original(wanted, &path, quiet()).await.unwrap_err();
    assert!(matches!(error, ClientError::Damaged { expected, .. } if expected == wanted.hash), "{error:?}");
    assert!(!path.exists(), "wrong bytes are not left behind");
}

#[tokio::test]
async fn a_download_that_cannot_go_on_keeps_what_came() {
    let (fake, folder, bytes) = (fake().await, tempfile::tempdir().unwrap(), large());
    let wanted = Wanted::from(&fake.photo(ALBUM, "a.jpg", &bytes));
    let path = folder.path().join("part");
    fake.fault("/original", Fault::CutAfter(1_000_000));
    (0..3).for_each(|_| fake.fault("/original", Fault::Status(503, "0")));
    let error = fake.client().fetch_original(wanted, &path, quiet()).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    let kept = std::fs::metadata(&path).unwrap().len();
    assert!(kept > 0 && kept <= 1_000_000, "{kept}");

    let held = std::fs::File::open(&path).unwrap();
    held.lock().unwrap();
    assert!(matches!(fake.client().fetch_original(wanted, &path, quiet()).await, Err(ClientError::Busy)));
}

#[tokio::test]
async fn an_inventory_is_whole_only_with_its_last_line() {
    const FOREIGN: &str = "{\"state\":\"foreign\",\"path\":\"x\"}\n";
    const END: &str =
        r#"{"summary":{"named":0,"stored":0,"doomed":0,"extra":0,"missing":0,"damaged":0,"foreign":2,"stored_bytes":0,"bytes_read":0}}"#;
    let fake = fake().await;
    let client = fake.client();
    let taken = async |pieces: &[Option<&'static str>]| {
        fake.site().inventory = pieces.to_vec();
        client.inventory(false).try_collect::<Vec<_>>().await
    };
    // Lines come in any pieces.
    let whole = taken(&[Some(FOREIGN), Some(&FOREIGN[..7]), Some(&FOREIGN[7..]), Some(END), Some("\n")]).await.unwrap();
    assert!(
        matches!(&whole[..], [InventoryPart::Thing(_), InventoryPart::Thing(_), InventoryPart::End { summary }] if summary.foreign == 2),
        "{whole:?}"
    );
    for (pieces, is_protocol) in [
        (vec![Some(FOREIGN)], true),
        (vec![], true),
        (vec![Some(FOREIGN), Some(END)], true),
        (vec![Some(FOREIGN), None], false),
        (vec![Some("{}\n"), Some(END), Some("\n")], true),
    ] {
        let error = taken(&pieces).await.unwrap_err();
        let expected =
            if is_protocol { matches!(error, ClientError::Protocol { .. }) } else { matches!(error, ClientError::Unreachable { .. }) };
        assert!(expected, "{pieces:?}: {error:?}");
    }
    let endless: Vec<_> =
        (0..3).map(|_| Some("nothing that ends, and nothing that is a line of any inventory".repeat(1_000).leak() as &str)).collect();
    assert!(matches!(taken(&endless).await, Err(ClientError::Protocol { .. })));
    assert_eq!(fake.asked("/v1/admin/inventory"), 7, "none is asked for twice");
    fake.fault("GET /v1/admin/inventory", Fault::Problem(503, "busy"));
    assert_eq!(taken(&[Some(END), Some("\n")]).await.unwrap().len(), 1, "but where it was not begun");
}
