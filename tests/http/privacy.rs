//! Invariant 9: whether a blob, photo or album exists is never told to someone who does not own it.

use halidom::api::Photo;
use halidom::model::BlobHash;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::answer;
use super::photos::small;
use super::site::{Caller, Site};

/// Ann has a photo in an album. Bob has none of it.
struct Two {
    site: Site,
    ann: Caller,
    bob: Caller,
    album: String,
    photo: Photo,
    bobs_album: String,
}

impl Two {
    async fn new() -> Self {
        let site = Site::start().await;
        let (ann, bob) = (site.user("ann").await, site.user("bob").await);
        let album = ann.album("Ann's").await;
        let photo = ann.uploaded(&album, "ann.jpg", &small(1)).await;
        let bobs_album = bob.album("Bob's").await;
        Self { site, ann, bob, album, photo, bobs_album }
    }
}

/// An id and a hash that nobody has.
const UNKNOWN: &str = "0192e4a0-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_ids_are_as_unknown_as_those_of_nobody() {
    let two = Two::new().await;
    let (photo, unknown_hash) = (two.photo.id.to_string(), BlobHash::of(b"nothing").to_string());
    let hash = two.photo.hash.to_string();
    let asked = |album: &str, photo: &str, hash: &str| -> Vec<(Method, String, Value)> {
        let bobs = &two.bobs_album;
        vec![
            (Method::GET, format!("/v1/albums/{album}"), Value::Null),
            (Method::PATCH, format!("/v1/albums/{album}"), json!({ "name": "Bob's now" })),
            (Method::DELETE, format!("/v1/albums/{album}"), Value::Null),
            (Method::GET, format!("/v1/albums/{album}/photos"), Value::Null),
            (Method::POST, format!("/v1/albums/{album}/photos/link"), json!({ "photos": [{ "hash": hash, "name": "x" }] })),
            (Method::POST, format!("/v1/albums/{album}/photos?name=x"), json!("image")),
            (Method::PUT, format!("/v1/albums/{album}/photos/{photo}"), json!("image")),
            (Method::GET, format!("/v1/photos/{photo}"), Value::Null),
            (Method::PATCH, format!("/v1/photos/{photo}"), json!({ "caption": "Bob's now" })),
            (Method::DELETE, format!("/v1/photos/{photo}"), Value::Null),
            (Method::GET, format!("/v1/photos/{photo}/original"), Value::Null),
            (Method::HEAD, format!("/v1/photos/{photo}/original"), Value::Null),
            (Method::GET, format!("/v1/photos/{photo}/similar"), Value::Null),
            (Method::POST, "/v1/urls".into(), json!({ "hash": hash, "width": 10 })),
            (Method::POST, "/v1/blobs/missing".into(), json!({ "hashes": [hash] })),
            (Method::POST, format!("/v1/albums/{bobs}/photos/link"), json!({ "photos": [{ "hash": hash, "name": "x" }] })),
            (Method::GET, format!("/v1/photos/{photo}/original?token={hash}"), Value::Null),
        ]
    };
    let before = two.ann.get(&format!("/v1/albums/{}/photos", two.album)).await.value(200);
    for ((method, path, body), (_, unknown_path, unknown_body)) in
        asked(&two.album, &photo, &hash).into_iter().zip(asked(UNKNOWN, UNKNOWN, &unknown_hash))
    {
        let ask = |path: String, body: Value| {
            let request = two.bob.call(method.clone(), &path);
            answer(match body {
                Value::Null => request,
                Value::String(_) => request.body(small(1)),
                body => request.json(&body),
            })
        };
        let (got, unknown) = (ask(path.clone(), body).await, ask(unknown_path, unknown_body).await);
        assert_eq!(got.status, unknown.status, "{method} {path}");
        // Apart from what was asked for and the name of the request, the answers are the same to the byte.
        let plain = |answer: &super::answer::Answer, asked: &str| {
            let mut text = String::from_utf8(answer.body.to_vec()).unwrap().replace(asked, "{hash}");
            if let Some(id) = answer.fields.get("x-request-id") {
                text = text.replace(id.to_str().unwrap(), "{request}");
            }
            let mut fields: Vec<_> = answer.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            fields.retain(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
            (text, fields)
        };
        assert_eq!(plain(&got, &hash), plain(&unknown, &unknown_hash), "{method} {path}");
        if !path.ends_with("/v1/blobs/missing") && !path.contains(&two.bobs_album) {
            assert_eq!(got.status, 404, "{method} {path}");
        }
    }
    assert_eq!(two.ann.get(&format!("/v1/albums/{}/photos", two.album)).await.value(200), before, "and nothing of it was changed");
    assert_eq!(two.bob.get("/v1/albums").await.value(200)["items"][0]["photo_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_what_another_has_looks_like_sending_something_new() {
    let two = Two::new().await;
    let new = small(2);
    let known = two.bob.upload(&two.bobs_album, "x.jpg", &small(1)).await;
    let fresh = two.bob.upload(&two.bobs_album, "x.jpg", &new).await;
    let shape = |answer: &super::answer::Answer| {
        let mut photo = answer.value(201);
        for field in ["id", "hash", "urls", "size_bytes", "placeholder"] {
            photo.as_object_mut().unwrap().remove(field);
        }
        let mut fields: Vec<_> = answer.fields.keys().cloned().collect();
        fields.sort_by_key(ToString::to_string);
        (photo, fields)
    };
    assert_eq!(shape(&known), shape(&fresh));
    // With it Bob has it, and none of Ann's counts has moved.
    let album = two.bob.get(&format!("/v1/albums/{}", two.bobs_album)).await.value(200);
    assert_eq!((album["photo_count"].as_u64(), album["bytes"].as_u64()), (Some(2), Some((small(1).len() + new.len()) as u64)));
    let anns = two.ann.get(&format!("/v1/albums/{}", two.album)).await.value(200);
    assert_eq!((anns["photo_count"].as_u64(), anns["bytes"].as_u64()), (Some(1), Some(small(1).len() as u64)));
    let missing = two.bob.post("/v1/blobs/missing", json!({ "hashes": [two.photo.hash] })).await.value(200);
    assert_eq!(missing, json!({ "missing": [] }), "his own now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_hold_ones_own_only() {
    let two = Two::new().await;
    let names =
        |value: Value| value["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(two.bob.get("/v1/albums").await.value(200)), ["Bob's"]);
    assert_eq!(names(two.ann.get("/v1/albums").await.value(200)), ["Ann's"]);
    assert_eq!(names(two.bob.get("/v1/albums?name=Ann%27s").await.value(200)), Vec::<String>::new());
    // Two albums of one name are two, also those of two users.
    let album = two.bob.album("Ann's").await;
    assert_ne!(album, two.album);
    // A photo cannot be moved into another's album, nor out of it.
    let own = two.bob.uploaded(&album, "bob.jpg", &small(3)).await;
    let path = format!("/v1/photos/{}", own.id);
    let (anns, unknown) =
        (two.bob.patch(&path, json!({ "album": two.album })).await, two.bob.patch(&path, json!({ "album": UNKNOWN })).await);
    anns.refused(404, "not_found");
    assert_eq!(anns.problem_alone(), unknown.problem_alone());
    assert_eq!(two.bob.get(&path).await.value(200)["album"], *album);
    assert_eq!(two.site.check().await.problems, 0);
}
