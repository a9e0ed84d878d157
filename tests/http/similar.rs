//! Near duplicates: what looks like a photo is found in its owner's library, and nowhere else.

use halidom::api::{Photo, SimilarPhotos};
use image::RgbImage;
use image::imageops::FilterType;
use serde_json::json;
use turbojpeg::{Image, PixelFormat, Subsamp};

use super::harness::Server;
use super::photos::{decoded, fixture};
use super::site::{Caller, Site};

fn jpeg(picture: &RgbImage, quality: i32) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let image = Image { pixels: picture.as_raw().as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(image, quality, Subsamp::Sub2x2).unwrap().to_vec()
}

/// The raccoon once more: half as large, and at a low quality.
fn smaller() -> Vec<u8> {
    let picture = decoded(&fixture("raccoon.jpg"));
    jpeg(&image::imageops::resize(&picture, picture.width() / 2, picture.height() / 2, FilterType::Triangle), 40)
}

/// The next frame: a little to the side, and another light.
fn next_frame() -> Vec<u8> {
    let picture = decoded(&fixture("raccoon.jpg"));
    let (width, height) = picture.dimensions();
    let moved = image::imageops::crop_imm(&picture, width / 100, height / 100, width * 98 / 100, height * 98 / 100).to_image();
    jpeg(&image::imageops::brighten(&moved, 12), 85)
}

async fn similar(caller: &Caller, photo: &Photo, query: &str) -> SimilarPhotos {
    let path = format!("/v1/photos/{}/similar{query}", photo.id);
    caller.get(&path).await.described("list_similar_photos").json(200)
}

fn names(found: &SimilarPhotos) -> Vec<&str> {
    found.items.iter().map(|item| item.photo.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re_encodings_and_bursts_are_found_and_nobody_elses_photos_are() {
    let site = Site::start().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let album = ann.album("Animals").await;
    let raccoon = ann.uploaded(&album, "raccoon.jpg", &fixture("raccoon.jpg")).await;
    let small = ann.uploaded(&album, "small.jpg", &smaller()).await;
    let frame = ann.uploaded(&album, "frame.jpg", &next_frame()).await;
    ann.uploaded(&album, "rocket.jpg", &fixture("rocket.jpg")).await;
    ann.uploaded(&album, "chelsea.png", &fixture("chelsea.png")).await;
    let bobs = bob.uploaded(&bob.album("Animals").await, "bobs.jpg", &fixture("raccoon.jpg")).await;

    let found = similar(&ann, &raccoon, "").await;
    assert_eq!(names(&found), ["small.jpg", "frame.jpg"]);
    assert_eq!((found.distance, found.complete_within, &found.next), (10, 10, &None));
    assert!(found.items[0].distance <= 4 && found.items[1].distance <= 10, "{found:?}");
    assert_eq!(found.items[0].photo.id, small.id);
    assert_eq!(names(&similar(&ann, &frame, "?distance=11").await).len(), 2, "the other way round");
    for distance in 0..=11 {
        let nearer: Vec<_> = found.items.iter().filter(|item| item.distance <= distance).cloned().collect();
        assert_eq!(similar(&ann, &raccoon, &format!("?distance={distance}")).await.items, nearer);
    }

    let of_bobs = similar(&bob, &bobs, "").await;
    assert_eq!((names(&of_bobs).len(), of_bobs.perceptual_hash), (0, found.perceptual_hash));
    bob.get(&format!("/v1/photos/{}/similar", raccoon.id)).await.refused(404, "not_found");

    // The same bytes in another album look the same.
    let more = ann.album("More").await;
    let photos = json!({ "photos": [{ "hash": raccoon.hash, "name": "linked.jpg" }] });
    ann.post(&format!("/v1/albums/{more}/photos/link"), photos).await.value(200);
    let found = similar(&ann, &raccoon, "").await;
    let linked = found.items.iter().find(|item| item.photo.name == "linked.jpg").expect("the same bytes are alike");
    assert_eq!((found.items.len(), linked.distance), (3, 0));

    // What lies in the trash is not answered.
    assert_eq!(ann.delete(&format!("/v1/photos/{}", small.id)).await.status, 204);
    assert_eq!(names(&similar(&ann, &raccoon, "").await), ["linked.jpg", "frame.jpg"]);
    ann.get(&format!("/v1/photos/{}/similar", small.id)).await.refused(404, "not_found");
    assert_eq!(site.check().await.findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_up_in_the_file_is_the_same_photo_and_they_come_in_pages() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Orientations").await;
    let mut photos = vec![];
    for orientation in 1..=8 {
        let name = format!("orientation-{orientation}.jpg");
        photos.push(ann.uploaded(&album, &name, &fixture(&name)).await);
    }
    // The same picture once more, upright without EXIF's help.
    photos.push(ann.uploaded(&album, "coffee.webp", &fixture("coffee.webp")).await);
    let found = similar(&ann, &photos[0], "").await;
    assert_eq!(found.items.len(), 8, "{:?}", names(&found));
    assert!(found.items.is_sorted_by_key(|item| (item.distance, item.photo.id)));

    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = similar(&ann, &photos[0], &format!("?limit=3{cursor}")).await;
        paged.extend(page.items);
        let Some(next) = page.next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, found.items);
    let answer = ann.get(&format!("/v1/photos/{}/similar?limit=3&distance=9", photos[0].id)).await;
    assert!(answer.field("link").contains("limit=3&distance=9&cursor="), "{}", answer.field("link"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_shows_nothing_is_like_nothing_and_bad_questions_are_refused() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Blank").await;
    let blank = |level: u8| jpeg(&RgbImage::from_pixel(64, 48, image::Rgb([level; 3])), 90);
    let black = ann.uploaded(&album, "black.jpg", &blank(0)).await;
    ann.uploaded(&album, "white.jpg", &blank(255)).await;
    let found = similar(&ann, &black, "").await;
    assert_eq!((found.items.len(), found.perceptual_hash), (0, None));

    let path = format!("/v1/photos/{}/similar", black.id);
    ann.get(&format!("{path}?distance=12")).await.refused(400, "invalid");
    for query in ["distance=-1", "distance=near", "limit=x", "cursor=!"] {
        ann.get(&format!("{path}?{query}")).await.refused(400, "malformed");
    }
    ann.get("/v1/photos/0192e4a0-0000-7000-8000-000000000000/similar").await.refused(404, "not_found");
    ann.get("/v1/photos/nonsense/similar").await.refused(404, "not_found");
    site.nobody().get(&path).await.refused(401, "unauthenticated");
}

#[test]
fn the_command_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("raccoon.jpg", fixture("raccoon.jpg")), ("small.jpg", smaller()), ("rocket.jpg", fixture("rocket.jpg"))] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let server = Server::start(&folder.path().join("data"));
    let ann = server.user("ann");
    let paths = ["raccoon.jpg", "small.jpg", "rocket.jpg"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    ann.json(["upload", &paths[0], &paths[1], &paths[2], "--album", "Animals"]);
    let listed = ann.json(["photo", "list", "Animals"]);
    let id = |name: &str| {
        let photo = listed["items"].as_array().unwrap().iter().find(|photo| photo["name"] == name).unwrap();
        photo["id"].as_str().unwrap().to_owned()
    };
    let found = ann.json(["photo", "similar", &id("raccoon.jpg")]);
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["photo"]["id"].as_str(), Some(id("small.jpg").as_str()));

    let said = ann.run(["photo", "similar", &id("raccoon.jpg"), "--distance", "6"]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!((said.code, lines.len(), said.stderr.as_str()), (Some(0), 2, ""), "{said:?}");
    assert!(lines[0].starts_with("DISTANCE  ID") && lines[1].contains("small.jpg"), "{said:?}");
    let said = ann.run(["photo", "similar", &id("raccoon.jpg"), "--distance", "40"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("at most 11 of 64 bits"), "{said:?}");
}
