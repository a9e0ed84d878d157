//! Animations by signed URL.

use halidom::model::TenantId;

use super::signatures::url;
use super::site::Site;

/// Two frames of one pixel, black and white, for a tenth of a second each.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF\
    \x21\xF9\x04\0\x0A\0\0\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\
    \x21\xF9\x04\0\x0A\0\0\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x4C\x01\0\x3B";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_animation_moves_for_whom_asks_for_it() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let hash = site.admin.uploaded(&album, "a.gif", GIF).await.hash;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    let moves = async |options: &str, accept: &str| {
        let call = site.nobody().call(reqwest::Method::GET, &url(&key, &format!("{options}/plain/{hash}"))).header("accept", accept);
        let got = super::answer::answer(call).await;
        let kind = got.field("content-type").to_owned();
        (kind, got.bytes(200).windows(4).any(|window| window == b"ANMF"))
    };
    for (options, accept, kind, expected) in [
        ("/w:1/f:webp", "*/*", "image/webp", false),
        ("/w:1/da:1/f:webp", "*/*", "image/webp", false),
        ("/w:1/da:0/f:webp", "*/*", "image/webp", true),
        ("/w:1/disable_animation:false", "image/webp", "image/webp", true),
        ("/w:1/da:0", "image/avif,image/webp", "image/webp", true),
        ("/w:1/da:0", "image/jpeg", "image/jpeg", false),
        ("/w:1/da:0/f:png", "*/*", "image/png", false),
    ] {
        assert_eq!(moves(options, accept).await, (kind.to_owned(), expected), "{options}, {accept}");
    }
    // Nor will it stand still in a better format later.
    let url_of = |options: &str| url(&key, &format!("{options}/plain/{hash}"));
    let got = site.nobody().get_with(&url_of("/w:1/da:0"), &[("accept", "image/avif,image/webp")]).await;
    assert_eq!(got.field("cache-control"), "public, max-age=31536000, immutable");
    site.nobody().get(&url(&key, &format!("/da:2/plain/{hash}"))).await.refused(400, "invalid");
}
