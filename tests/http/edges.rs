//! What an edge asks of its site.

use std::time::Duration;

use serde_json::json;

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_feed_is_waited_for_longer_than_calls_may_take() {
    let site = Site::start_with(|config| config.server.request_timeout = Duration::from_millis(200)).await;
    let begun = site.admin.get("/v1/edge/feed").await.value(200);
    let quiet = site.admin.get(&format!("/v1/edge/feed?after={}&wait_seconds=1", begun["next"].as_str().unwrap())).await.value(200);
    assert_eq!(quiet, json!({ "next": begun["next"], "events": [], "missed": false }));
}
