//! Photos that are taken.

use std::time::Duration;

use halidom::api::{Album, Page, Photo, Tenant, User, X_BLAKE3};
use halidom::model::erasure::Erasure;
use halidom::model::{BlobHash, RowKey};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::answer;
use super::photos::{Fixture, decoded, fixture, fixtures, small, small_with};
use super::site::{Site, until};

/// What the wire says of a fixture, by its line of the table.
fn expected(fixture: &Fixture) -> Value {
    let text = |column: &str| Some(fixture.fact(column)).filter(|text| !text.is_empty());
    let number = |column: &str| text(column).map(|text| text.parse::<f64>().unwrap());
    let camera: serde_json::Map<String, Value> = [("make", "camera_make"), ("model", "camera_model"), ("lens", "lens")]
        .into_iter()
        .filter_map(|(field, column)| Some((field.to_owned(), text(column)?.into())))
        .collect();
    let gps = number("latitude")
        .map(|latitude| json!({ "latitude": latitude, "longitude": number("longitude"), "altitude_m": number("altitude_m") }));
    json!({
        "name": fixture.name, "hash": BlobHash::of(&fixture.bytes), "size_bytes": fixture.bytes.len(), "format": fixture.fact("format"),
        "width": fixture.fact("width").parse::<u32>().unwrap(), "height": fixture.fact("height").parse::<u32>().unwrap(),
        "taken_at": text("taken_at").map(shortest), "camera": (!camera.is_empty()).then_some(camera), "gps": gps, "duplicate": false, "durability": "durable",
    })
}

/// A time whose fraction of a second ends in no zero.
fn shortest(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, rest)) => {
            let end = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
            let (fraction, offset) = rest.split_at(end);
            format!("{seconds}.{}{offset}", fraction.trim_end_matches('0'))
        }
        None => time.to_owned(),
    }
}

/// The answer, reduced to the fields of `expected`; positions to the nearest ten-thousandth of a degree.
fn reduced(photo: &Value, expected: &Value) -> Value {
    let mut photo = photo.clone();
    if let Some(gps) = photo.get_mut("gps").and_then(Value::as_object_mut) {
        for value in gps.values_mut() {
            *value = json!((value.as_f64().unwrap() * 10_000.0).round() / 10_000.0);
        }
    }
    expected.as_object().unwrap().keys().map(|key| (key.clone(), photo.get(key).cloned().unwrap_or(Value::Null))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_is_described_as_it_is() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Fixtures").await;
    let fixtures = fixtures();
    for fixture in &fixtures {
        let answer = ann.upload(&album, &fixture.name, &fixture.bytes).await;
        let photo = answer.value(201);
        let expected = expected(fixture);
        assert_eq!(reduced(&photo, &expected), expected, "{}", fixture.name);
        assert_eq!(photo["album"], *album);
        assert_eq!(answer.field("location"), format!("/v1/photos/{}", photo["id"].as_str().unwrap()));
        // 2026-11-24T12:00:00Z by the site's clock.
        assert_eq!(photo["uploaded_at"], "2026-11-24T12:00:00Z");
        assert!((20..=36).contains(&photo["placeholder"].as_str().unwrap().len()), "a ThumbHash in Base64: {photo}");

        let urls = &photo["urls"];
        assert_eq!(ann.get(urls["original"].as_str().unwrap()).await.bytes(200), fixture.bytes);
        for (name, side) in [("thumbnail", 320), ("preview", 1280)] {
            let image = site.nobody().get(urls[name].as_str().unwrap()).await;
            assert_eq!(image.field("content-type"), "image/jpeg", "{}", fixture.name);
            let image = decoded(image.bytes(200));
            assert!(image.width() <= side && image.height() <= side, "{} x {} in {side}", image.width(), image.height());
        }
        // What was answered to the upload is what is shown from now on, but for what is about the upload itself.
        let mut shown = ann.get(answer.field("location")).await.value(200);
        for field in ["duplicate", "durability"] {
            assert_eq!(shown.get(field), None);
            shown[field] = photo[field].clone();
        }
        assert_eq!(shown, photo);
    }
    let total: usize = fixtures.iter().map(|fixture| fixture.bytes.len()).sum();
    let album: Album = ann.get(&format!("/v1/albums/{album}")).await.json(200);
    assert_eq!((album.photo_count, album.bytes), (fixtures.len() as u64, total as u64));
    let check = site.check().await;
    assert_eq!((check.problems, check.blobs, check.orphans, check.bytes_read), (0, fixtures.len() as u64, 0, total as u64), "{check:?}");
    assert!(site.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_are_kept_once() {
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let (first, second, bobs) = (ann.album("First").await, ann.album("Second").await, bob.album("First").await);
    let bytes = small(1);
    let photo = ann.uploaded(&first, "one.jpg", &bytes).await;
    assert_eq!(photo.duplicate, Some(false));

    // Into the same album again: the photo that is there, whatever the name.
    let again: Photo = ann.upload(&first, "two.jpg", &bytes).await.json(200);
    assert_eq!((again.id, again.duplicate, again.name.as_str()), (photo.id, Some(true), "one.jpg"));
    let stats = site.stats().await;
    assert_eq!((stats.photos, stats.blobs, stats.doomed), (1, 1, 0), "{stats:?}");

    // Into a second album: a photo of its own, no bytes.
    let other = ann.uploaded(&second, "one.jpg", &bytes).await;
    assert_eq!(other.duplicate, Some(false));
    assert_ne!(other.id, photo.id);
    assert_eq!(site.stats().await.doomed, 0);
    // And to another user, who is told nothing of it: a copy is made as if it were new, and the former one queued.
    let theirs = bob.uploaded(&bobs, "one.jpg", &bytes).await;
    assert_eq!(theirs.duplicate, Some(false));

    let stats = site.stats().await;
    assert_eq!((stats.photos, stats.blobs, stats.doomed), (3, 1, 1), "{stats:?}");
    site.clock.advance(Duration::from_secs(2 * 60));
    until("the queue is empty", || async { site.stats().await.doomed == 0 }).await;
    let size = bytes.len() as u64;
    assert_eq!((stats.logical_bytes, stats.stored_bytes), (3 * size, size));
    assert_eq!(site.copies().len(), 1);
    assert_eq!(site.metric("halidom_uploads_total{outcome=\"new\"}").await, 1.0);
    assert_eq!(site.metric("halidom_uploads_total{outcome=\"known\"}").await, 2.0);
    assert_eq!(site.metric("halidom_uploads_total{outcome=\"duplicate\"}").await, 1.0);
    assert_eq!(site.metric("halidom_deduplication_saved_bytes_total").await, 3.0 * size as f64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_sent_by_many_at_once_is_one() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Race").await;
    let bytes = small(1);
    let sent = futures_util::future::join_all((0..8).map(|_| ann.upload(&album, "one.jpg", &bytes))).await;
    let mut created = 0;
    let ids: std::collections::BTreeSet<String> = (sent.iter())
        .map(|answer| {
            created += u32::from(answer.status == 201);
            let photo = answer.value(answer.status);
            assert_eq!(photo["duplicate"], answer.status == 200);
            photo["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!((created, ids.len()), (1, 1));
    let check = site.check().await;
    assert_eq!((check.problems, check.blobs), (0, 1), "{check:?}");
    // The copies of those that lost are queued for deletion, each under a key of its own; nothing lies about unnamed.
    assert_eq!((check.orphans, check.doomed + 1), (0, site.copies().len() as u64));
    assert!(site.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_id_may_be_sent_again() {
    const ID: &str = "0192e4a0-0000-4000-8000-00000000abcd";
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let album = ann.album("Own").await;
    let photo: Photo = ann.put(&album, ID, &small(1)).await.json(201);
    assert_eq!((photo.id.to_string().as_str(), photo.name.as_str(), photo.duplicate), (ID, "own.jpg", Some(false)));
    let again: Photo = ann.put(&album, ID, &small(1)).await.json(200);
    assert_eq!((again.id, again.hash), (photo.id, photo.hash));
    ann.put(&album, ID, &small(2)).await.refused(409, "photo_id_taken");
    ann.put(&album, "not-a-uuid", &small(2)).await.refused(404, "not_found");
    let stats = site.stats().await;
    assert_eq!((stats.photos, stats.blobs), (1, 1), "nothing is left of what was refused: {stats:?}");
    assert_eq!(ann.get(&format!("/v1/photos/{ID}/original")).await.bytes(200), small(1));

    // Another user's ids are another user's: the same one is free there.
    let theirs: Photo = bob.put(&bob.album("Own").await, ID, &small(2)).await.json(201);
    assert_eq!(theirs.id, photo.id);
    assert_eq!(bob.get(&format!("/v1/photos/{ID}/original")).await.bytes(200), small(2));
    assert_eq!(ann.get(&format!("/v1/photos/{ID}/original")).await.bytes(200), small(1));

    // In the trash it still is what it was: sent again, it is answered and stays there.
    assert_eq!(ann.delete(&format!("/v1/photos/{ID}")).await.status, 204);
    let trashed = ann.put(&album, ID, &small(1)).await.value(200);
    assert_eq!((&trashed["id"], &trashed["trashed"]), (&json!(ID), &json!(true)));
    let request = json!({ "photos": [{ "id": ID, "hash": photo.hash, "name": "own.jpg" }] });
    let linked = ann.post(&format!("/v1/albums/{album}/photos/link"), request).await.value(200);
    assert_eq!(linked["items"][0]["trashed"], true);
    ann.get(&format!("/v1/photos/{ID}")).await.refused(404, "not_found");
    let check = site.check().await;
    assert_eq!(check.problems, 0, "{check:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_with_its_key_is_the_same_photo() {
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let album = ann.album("Keys").await;
    let keyed = |number| {
        let (ann, album) = (ann.clone(), album.clone());
        async move { ann.upload_with(&album, "one.jpg", &small(number), &[("idempotency-key", "k-1")]).await }
    };
    let photo: Photo = keyed(1).await.json(201);
    let again: Photo = keyed(1).await.json(200);
    assert_eq!((again.id, again.trashed), (photo.id, false));
    keyed(2).await.refused(409, "photo_id_taken");

    let bobs = bob.album("Keys").await;
    let theirs: Photo = bob.upload_with(&bobs, "one.jpg", &small(1), &[("idempotency-key", "k-1")]).await.json(201);
    assert_ne!(theirs.id, photo.id, "the id follows from user and key");
    for key in ["", &"k".repeat(256)] {
        ann.upload_with(&album, "one.jpg", &small(3), &[("idempotency-key", key)]).await.refused(400, "malformed");
    }
    ann.upload_with(&album, "one.jpg", &small(3), &[("idempotency-key", &"k".repeat(255))]).await.bytes(201);
    assert_eq!(site.stats().await.photos, 3);
    assert_eq!(ann.delete(&format!("/v1/photos/{}", photo.id)).await.status, 204);
    assert!(keyed(1).await.json::<Photo>(200).trashed, "it is there, but not in the album");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_that_agree_are_taken() {
    use base64::Engine as _;

    let site = Site::start().await;
    let album = site.admin.album("Digests").await;
    let bytes = small(1);
    let digest = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&bytes)));
    let hash = BlobHash::of(&bytes).to_string();
    let fields = [("content-digest", digest.as_str()), (X_BLAKE3, &hash)];
    let photo = site.admin.upload_with(&album, "one.jpg", &bytes, &fields).await.value(201);
    let original = site.admin.get(photo["urls"]["original"].as_str().unwrap()).await;
    assert_eq!(original.field("repr-digest"), digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_photo_is_follows_from_its_bytes() {
    let site = Site::start().await;
    let album = site.admin.album("Names").await;
    for (name, kind, file, format) in [
        ("chelsea.jpg", "image/jpeg", "chelsea.png", "png"),
        ("coffee.txt", "text/plain", "coffee.webp", "webp"),
        ("clock", "application/octet-stream", "clock.jpg", "jpeg"),
    ] {
        let photo: Photo = site.admin.upload_with(&album, name, &fixture(file), &[("content-type", kind)]).await.json(201);
        assert_eq!((photo.format.as_str(), photo.name.as_str()), (format, name));
        let original = site.admin.get(&photo.urls.original).await;
        assert_eq!(original.field("content-type"), format!("image/{format}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_is_not_done() {
    let site = Site::start().await;
    let made: Tenant = site.admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.json(201);
    let user: User = site.admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": made.id })).await.json(201);
    let eve = site.token(json!({ "user": user.id, "tenant": made.id })).await.token;
    let album = site.with_token(eve.as_deref()).album("Album").await;
    // The row with the keys that sign the URLs in the answer goes.
    let erased = Erasure::Row(RowKey::tenant(made.id));
    let (site, ()) =
        site.meanwhile(async |metadata| metadata.write("erase", move |tx| tx.erase(erased)).await.expect("it is erased")).await;
    let eve = site.with_token(eve.as_deref());
    eve.upload(&album, "one.jpg", &small(1)).await.refused(404, "not_found");
    assert_eq!(site.stats().await.photos, 0, "what was refused was not taken all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_come_in_any_framing() {
    let site = Site::start().await;
    let album = site.admin.album("Framing").await;
    let bytes = small_with(1, 300_000);
    // Without a length told beforehand: in chunks.
    let pieces: Vec<_> = bytes.chunks(7_001).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let sent = answer(site.admin.call(Method::POST, &format!("/v1/albums/{album}/photos")).body(body)).await;
    let photo: Photo = sent.json(201);
    assert_eq!((photo.hash, photo.name.as_str()), (BlobHash::of(&bytes), "photo"), "without a name it gets one");
    let listed: Page<Photo> = site.admin.get(&format!("/v1/albums/{album}/photos")).await.json(200);
    assert_eq!(listed.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_user_has_need_not_be_sent() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let (first, second) = (ann.album("First").await, ann.album("Second").await);
    let photo = ann.uploaded(&first, "one.jpg", &fixture("astronaut.jpg")).await;
    let unknown = BlobHash::of(b"never sent");
    let asked = ann.post("/v1/blobs/missing", json!({ "hashes": [unknown, photo.hash, unknown] })).await.value(200);
    assert_eq!(asked, json!({ "missing": [unknown] }), "in the order of the question, each once");

    let request = json!({ "photos": [{ "hash": photo.hash, "name": "again.jpg" }, { "hash": unknown, "name": "no.jpg" }] });
    let linked = ann.post(&format!("/v1/albums/{second}/photos/link"), request.clone()).await.value(200);
    assert_eq!(linked["missing"], json!([unknown]));
    let made = &linked["items"][0];
    assert_eq!((made["name"].as_str(), made["duplicate"].as_bool()), (Some("again.jpg"), Some(false)));
    // It is the same picture, so all that was read from it holds.
    let shown = ann.get(&format!("/v1/photos/{}", photo.id)).await.value(200);
    for field in ["hash", "size_bytes", "width", "height", "taken_at", "camera", "gps", "placeholder", "format"] {
        assert_eq!(made[field], shown[field], "{field}");
    }
    assert_eq!(ann.get(made["urls"]["original"].as_str().unwrap()).await.bytes(200), fixture("astronaut.jpg"));
    let again = ann.post(&format!("/v1/albums/{second}/photos/link"), request).await.value(200);
    assert_eq!((again["items"][0]["id"].clone(), again["items"][0]["duplicate"].as_bool()), (made["id"].clone(), Some(true)));
    let stats = site.stats().await;
    assert_eq!((stats.photos, stats.blobs), (2, 1));
}
