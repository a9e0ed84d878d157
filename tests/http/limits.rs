//! Too much at once: a clear answer, and service for the rest.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer::answer;
use super::photos::{fixture, small, small_with};
use super::site::{Caller, Site, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_over_the_limits() {
    let site = Site::start_with(|config| {
        config.limits.max_pixels = 100_000;
        config.limits.max_side = 500;
    })
    .await;
    let album = site.admin.album("Album").await;
    // 512 x 512, 400 x 300, 24 x 16.
    site.admin.upload(&album, "large.jpg", &fixture("ascent.jpg")).await.refused(413, "too_large");
    site.admin.upload(&album, "large.jpg", &fixture("clock.jpg")).await.refused(413, "too_large");
    site.admin.upload(&album, "small.jpg", &small(1)).await.value(201);
    assert_eq!(site.stats().await.blobs, 1);
    assert!(site.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_questions_over_the_limits() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "one.jpg", &small(1)).await;
    let link = format!("/v1/albums/{album}/photos/link");
    let photos = vec![json!({ "hash": photo.hash, "name": "x" }); 101];
    site.admin.post(&link, json!({ "photos": photos })).await.refused(413, "too_large");
    // One wrong name, and none of them is made.
    let second = site.admin.album("Second").await;
    let mixed = json!({ "photos": [{ "hash": photo.hash, "name": "good.jpg" }, { "hash": photo.hash, "name": "a\nb" }] });
    site.admin.post(&format!("/v1/albums/{second}/photos/link"), mixed).await.refused(400, "invalid");
    let taken = json!({ "photos": [{ "hash": photo.hash, "name": "good.jpg" }, { "hash": photo.hash, "name": "x", "id": photo.id }] });
    site.admin.post(&format!("/v1/albums/{second}/photos/link"), taken).await.value(200);
    assert_eq!(site.admin.get(&format!("/v1/albums/{second}")).await.value(200)["photo_count"], 1);
}

/// Begins an upload and sends half of it.
async fn half_sent(caller: &Caller, album: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(caller.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/albums/{album}/photos?name=half.jpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        caller.token.as_ref().unwrap(),
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
    stream
}

/// The first line of what is answered.
async fn status_line(stream: &mut TcpStream) -> String {
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_past_the_number_are_told_to_come_again() {
    let site = Site::start_with(|config| config.limits.max_concurrent_uploads = 1).await;
    let album = site.admin.album("Album").await;
    let bytes = small_with(1, 8 << 20);
    let mut first = half_sent(&site.admin, &album, &bytes).await;
    until("it is being received", || async { site.metric("halidom_queue_running{queue=\"uploads\"}").await == 1.0 }).await;
    let refused = site.admin.upload(&album, "second.jpg", &small(2)).await;
    refused.refused(503, "busy");
    assert_eq!(refused.field("retry-after"), "2");
    // Nothing else suffers from it, and the place is free again when the first has ended.
    assert_eq!(site.admin.get("/v1/albums").await.status, 200);
    first.write_all(&bytes[bytes.len() / 2..]).await.unwrap();
    assert_eq!(status_line(&mut first).await, "HTTP/1.1 201");
    site.admin.upload(&album, "second.jpg", &small(2)).await.value(201);
    assert_eq!(site.check().await.problems, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_all_the_uploads_that_there_are() {
    let site = Site::start_with(|config| {
        config.limits.max_concurrent_uploads = 4;
        config.limits.max_concurrent_uploads_per_user = 1;
    })
    .await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let (anns, bobs) = (ann.album("Album").await, bob.album("Album").await);
    let bytes = small_with(1, 8 << 20);
    let mut slow = half_sent(&ann, &anns, &bytes).await;
    until("it is being received", || async { site.metric("halidom_queue_running{queue=\"uploads\"}").await == 1.0 }).await;
    let refused = ann.upload(&anns, "second.jpg", &small(2)).await;
    refused.refused(429, "too_many_uploads");
    assert_eq!(refused.field("retry-after"), "2");
    bob.upload(&bobs, "bobs.jpg", &small(3)).await.value(201);
    // Her share is hers again when the first has ended.
    slow.write_all(&bytes[bytes.len() / 2..]).await.unwrap();
    assert_eq!(status_line(&mut slow).await, "HTTP/1.1 201");
    ann.upload(&anns, "second.jpg", &small(2)).await.value(201);
    assert_eq!(site.check().await.problems, 0);
}

/// Asks for an original and takes no more than the first line of the answer.
async fn half_received(caller: &Caller, original: &str) -> TcpStream {
    let mut stream = TcpStream::connect(caller.base.strip_prefix("http://").unwrap()).await.unwrap();
    let token = caller.token.as_ref().unwrap();
    let head = format!("GET {original} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status_line(&mut stream).await, "HTTP/1.1 200");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_past_the_number_are_told_to_come_again() {
    let site = Site::start_with(|config| {
        config.limits.max_concurrent_downloads = 2;
        config.limits.max_concurrent_downloads_per_user = 1;
    })
    .await;
    // More than two sockets' buffers hold.
    let bytes = small_with(1, 15 << 20);
    let (ann, bob, eve) = (site.user("ann").await, site.user("bob").await, site.user("eve").await);
    let mut photos = vec![];
    for user in [&ann, &bob, &eve] {
        let album = user.album("Album").await;
        photos.push(user.uploaded(&album, "large.jpg", &bytes).await.id);
    }
    let originals: Vec<_> = photos.iter().map(|photo| format!("/v1/photos/{photo}/original")).collect();
    let running = || site.metric("halidom_queue_running{queue=\"downloads\"}");
    let anns = half_received(&ann, &originals[0]).await;
    let refused = ann.get(&originals[0]).await;
    refused.refused(429, "too_many_downloads");
    assert_eq!(refused.field("retry-after"), "2");
    let bobs = half_received(&bob, &originals[1]).await;
    let refused = eve.get(&originals[2]).await;
    refused.refused(503, "busy");
    assert_eq!(refused.field("retry-after"), "2");
    assert_eq!(running().await, 2.0);
    // What opens no file takes no place: a HEAD, and what the client has.
    assert_eq!(answer(eve.call(Method::HEAD, &originals[2])).await.status, 200);
    drop((anns, bobs));
    until("the places are free", || async { running().await == 0.0 }).await;
    for (user, original) in [&ann, &bob, &eve].into_iter().zip(&originals) {
        assert!(user.get(original).await.body == bytes);
    }
    until("the places are free again", || async { running().await == 0.0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_does_not_open_all_originals() {
    let site = Site::start_with(|config| config.limits.max_concurrent_downloads = 12).await;
    let ann = site.user("ann").await;
    let (album, bytes) = (ann.album("Album").await, small_with(1, 4 << 20));
    let original = format!("/v1/photos/{}/original", ann.uploaded(&album, "large.jpg", &bytes).await.id);
    // HTTP/2, and of each answer its stream takes no more than a part.
    let client = reqwest::Client::builder().http2_prior_knowledge().http2_initial_stream_window_size(1_024).build().unwrap();
    let narrow = ann.through(client);
    let mut taken = vec![];
    for _ in 0..3 {
        let begun = narrow.call(Method::GET, &original).send().await.unwrap();
        assert_eq!((begun.status().as_u16(), begun.version()), (200, reqwest::Version::HTTP_2));
        taken.push(begun);
    }
    narrow.get(&original).await.refused(429, "too_many_downloads");
    taken.pop();
    let running = || site.metric("halidom_queue_running{queue=\"downloads\"}");
    until("its place is free", || async { running().await == 2.0 }).await;
    assert!(ann.get(&original).await.body == bytes);
    drop(taken);
    until("all are free", || async { running().await == 0.0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_are_no_more_than_one_users_share() {
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    for user in [&ann, &bob] {
        // A page of 50 is larger than what is free, and two of them than a share.
        for album in 0..50 {
            user.post("/v1/albums", json!({ "name": format!("Album {album}"), "description": "x".repeat(1_000) })).await.value(201);
        }
    }
    const LIST: &str = "/v1/albums?limit=50";
    let narrow = reqwest::Client::builder().http2_prior_knowledge().http2_initial_stream_window_size(1_024).build().unwrap();
    let begun = ann.through(narrow).call(Method::GET, LIST).send().await.unwrap();
    assert_eq!(begun.status().as_u16(), 200);
    assert!(begun.content_length().unwrap() > 50_000);
    ann.get(LIST).await.refused(503, "busy");
    assert_eq!((ann.get("/v1/albums?limit=5").await.status, bob.get(LIST).await.status), (200, 200), "small ones, and others'");
    drop(begun);
    until("her share is free", || async { ann.get(LIST).await.status == 200 }).await;
}

/// There an answer has left its body as soon as it is in the connection's queue; one that is larger than all memory for answers is given, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_are_they_over_http_1() {
    let site = Site::start_with(|config| config.limits.max_page = 600).await;
    let ann = site.user("ann").await;
    let (first, second) = (ann.album("First").await, ann.album("Second").await);
    let hash = ann.uploaded(&first, "one.jpg", &small(1)).await.hash;
    for album in 0..600 {
        ann.post("/v1/albums", json!({ "name": format!("Album {album}"), "description": "x".repeat(4_000) })).await.value(201);
    }
    let mut taken = TcpStream::connect(ann.base.strip_prefix("http://").unwrap()).await.unwrap();
    let token = ann.token.as_ref().unwrap();
    let head = format!("GET /v1/albums?limit=600 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    taken.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status_line(&mut taken).await, "HTTP/1.1 200");
    // The sockets do not hold 2.4 MB.
    ann.get("/v1/albums?limit=50").await.refused(503, "busy");
    // What changes something is done before it is known how long its answer is.
    let photos = json!({ "photos": vec![json!({ "hash": hash, "name": "one.jpg" }); 100] });
    ann.post(&format!("/v1/albums/{second}/photos/link"), photos).await.refused(504, "unanswered");
    assert_eq!(ann.get(&format!("/v1/albums/{second}")).await.value(200)["photo_count"], 1);
    drop(taken);
    until("her share is free", || async { ann.get("/v1/albums?limit=50").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stands_still_is_given_up() {
    let site = Site::start_with(|config| config.server.stall_timeout = Duration::from_millis(200)).await;
    let album = site.admin.album("Album").await;
    let mut stalled = half_sent(&site.admin, &album, &small_with(1, 8 << 20)).await;
    assert_eq!(status_line(&mut stalled).await, "HTTP/1.1 408");
    assert!(site.staged().is_empty());
    assert_eq!((site.stats().await.photos, site.copies().len()), (0, 0));
    assert_eq!(site.metric("halidom_uploads_refused_total{reason=\"request_timeout\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_trickles_is_broken_off() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let mut trickling = half_sent(&site.admin, &album, &small_with(1, 1 << 20)).await;
    until("it is broken off", || async {
        site.clock.advance(Duration::from_secs(3_600));
        // One byte an hour keeps it from standing still.
        trickling.try_write(&[0]).unwrap();
        site.metric("halidom_uploads_refused_total{reason=\"request_timeout\"}").await == 1.0
    })
    .await;
    // Nothing more to read on for.
    trickling.shutdown().await.unwrap();
    assert_eq!(status_line(&mut trickling).await, "HTTP/1.1 408");
    assert_eq!((site.stats().await.photos, site.copies().len(), site.staged().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_body_does_not_come_was_not_begun() {
    let site = Site::start_with(|config| config.server.request_timeout = Duration::from_millis(200)).await;
    for path in ["/v1/albums", "/v1/admin/check"] {
        let mut slow = half_posted(&site.admin, path, 90).await;
        assert_eq!(status_line(&mut slow).await, "HTTP/1.1 408", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_body_breaks_off_is_told_so() {
    let site = Site::start().await;
    for path in ["/v1/albums", "/v1/admin/check"] {
        let mut broken = half_posted(&site.admin, path, 90).await;
        broken.shutdown().await.unwrap();
        assert_eq!(status_line(&mut broken).await, "HTTP/1.1 400", "{path}");
    }
}

/// Whether a call with so large a body is taken: else it is told to come again.
async fn takes_json(caller: &Caller, length: usize) -> bool {
    let body = format!("{{\"hashes\":[]{}}}", " ".repeat(length - 13));
    let request = caller.call(reqwest::Method::POST, "/v1/blobs/missing").header("content-type", "application/json").body(body);
    let answered = answer(request).await;
    if answered.status == 503 {
        answered.refused(503, "busy");
        assert_eq!(answered.field("retry-after"), "2");
        return false;
    }
    answered.value(200);
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_bodies_that_stand_still_take_no_more_memory_than_is_theirs() {
    let site = Site::start_with(|config| config.limits.json_memory_bytes = config.limits.max_json_bytes).await;
    assert!(takes_json(&site.admin, 60_000).await);
    let slow = loop {
        let mut slow = half_posted(&site.admin, "/v1/blobs/missing", 60_000).await;
        slow.write_all(&[b' '; 50_000]).await.unwrap();
        // One that was asked for at the same moment may have had the room: then this one was refused.
        let is_refused = || slow.try_read(&mut [0]).is_ok();
        until("there is no room for a second", || async { !takes_json(&site.admin, 60_000).await || is_refused() }).await;
        if !is_refused() {
            break slow;
        }
    };
    assert!(takes_json(&site.admin, 13).await && takes_json(&site.admin, 8_000).await, "the small are free");
    drop(slow);
    until("the room is free", || takes_json(&site.admin, 60_000)).await;
}

/// Begins a call with a JSON body and sends half of that.
async fn half_posted(caller: &Caller, path: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(caller.base.strip_prefix("http://").unwrap()).await.unwrap();
    let token = caller.token.as_ref().unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{{\"name\":"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_over_http_2() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let http = reqwest::Client::builder().http2_prior_knowledge().retry(reqwest::retry::never()).tls_certs_only([]).build().unwrap();
    let h2 = site.admin.through(http);
    let sent = futures_util::future::join_all((0..8).map(|number| {
        let (h2, album) = (&h2, &album);
        async move { h2.uploaded(album, "one.jpg", &small_with(number, 200_000)).await }
    }))
    .await;
    for (number, photo) in (0..).zip(&sent) {
        assert_eq!(h2.get(&photo.urls.original).await.bytes(200), small_with(number, 200_000));
        assert_eq!(h2.get_with(&photo.urls.original, &[("range", "bytes=-9")]).await.bytes(206).len(), 9);
    }
    h2.upload(&album, "large.jpg", &small_with(9, 17 << 20)).await.refused(413, "too_large");
    h2.upload(&album, "text.jpg", &b"no photo".repeat(500_000)).await.refused(415, "not_an_image");
    h2.get("/v1/nothing").await.refused(404, "no_route");
    assert_eq!(site.stats().await.blobs, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_close_its_side_and_wait_for_the_answer() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let bytes = small_with(1, 4 << 20);
    let mut stream = half_sent(&site.admin, &album, &bytes).await;
    stream.write_all(&bytes[bytes.len() / 2..]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(status_line(&mut stream).await, "HTTP/1.1 201");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_during_an_upload_is_noticed() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let stream = half_sent(&site.admin, &album, &small_with(1, 8 << 20)).await;
    until("it is being received", || async { site.metric("halidom_queue_running{queue=\"uploads\"}").await == 1.0 }).await;
    drop(stream);
    until("its place is free", || async { site.metric("halidom_queue_running{queue=\"uploads\"}").await == 0.0 }).await;
    until("nothing is left", || async { site.staged().is_empty() }).await;
    assert_eq!((site.stats().await.photos, site.copies().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_stops_in_good_order_and_says_so_before() {
    let site = Site::start().await;
    assert_eq!(site.nobody().get("/readyz").await.bytes(200), b"ready\n");
    assert_eq!(site.metric("halidom_ready").await, 1.0);
    let album = site.admin.album("Album").await;
    site.begin_stop();
    site.nobody().get("/readyz").await.refused(503, "busy");
    assert_eq!(site.metric("halidom_ready").await, 0.0);
    // It still takes what comes, until it is closed.
    let photo = site.admin.uploaded(&album, "one.jpg", &small(1)).await;
    let site = site.restart().await;
    assert_eq!(site.admin.get(&photo.urls.original).await.bytes(200), small(1));
    assert_eq!(site.check().await.problems, 0);
}
