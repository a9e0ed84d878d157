//! Tokens that are good, and that are no longer; and what is written of administrators.

use std::time::Duration;

use halidom::api::{AuditRecord, CreatedToken, Page, Token, User};
use serde_json::{Value, json};

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_good_tokens_are_taken() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let good = ann.token.clone().unwrap();
    for wrong in [
        "",
        "x",
        "hal_",
        &good[..good.len() - 1],
        &format!("{good}x"),
        &good.to_uppercase(),
        "hal_0000000000000000000000000000000000000000000",
    ] {
        site.with_token(Some(wrong)).get("/v1/me").await.refused(401, "unauthenticated");
    }
    for header in [format!("Basic {good}"), good.clone(), format!("Bearer{good}"), "Bearer".to_owned()] {
        site.nobody().get_with("/v1/me", &[("authorization", &header)]).await.refused(401, "unauthenticated");
    }
    // Nor where tokens do not belong.
    site.nobody().get(&format!("/v1/me?access_token={good}")).await.refused(401, "unauthenticated");
    let refused = site.nobody().get("/v1/me").await;
    assert_eq!(refused.field("www-authenticate"), "Bearer realm=\"halidom\"");
    for header in [format!("bearer {good}"), format!("BEARER   {good}")] {
        assert_eq!(site.nobody().get_with("/v1/me", &[("authorization", &header)]).await.status, 200, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_expire() {
    let site = Site::start().await;
    let short = site.token(json!({ "expires_in_seconds": 60 })).await;
    assert_eq!(short.get("/v1/me").await.status, 200);
    site.clock.advance(Duration::from_secs(59));
    assert_eq!(short.get("/v1/me").await.status, 200);
    site.clock.advance(Duration::from_secs(1));
    short.get("/v1/me").await.refused(401, "unauthenticated");
    let listed: Page<Token> = site.admin.get("/v1/admin/tokens").await.json(200);
    let expired = listed.items.iter().find(|token| token.expires_at.is_some()).expect("it is still listed");
    assert_eq!(expired.expires_at.as_deref(), Some("2026-11-24T12:01:00Z"));
    assert_eq!(site.admin.get("/v1/me").await.status, 200, "the administrator's holds for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_say_how_long_tokens_hold_that_name_no_time() {
    let site = Site::start_with(|config| config.auth.token_expiry = halidom::config::Expiry::After(Duration::from_secs(3_600))).await;
    let (usual, named) = (site.token(json!({})).await, site.token(json!({ "expires_in_seconds": 7_200 })).await);
    assert_eq!(usual.get("/v1/me").await.status, 200);
    site.clock.advance(Duration::from_secs(3_600));
    usual.get("/v1/me").await.refused(401, "unauthenticated");
    assert_eq!(named.get("/v1/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_revoked_and_users_disabled() {
    let site = Site::start().await;
    let made = site.admin.post("/v1/admin/users", json!({ "name": "ann" })).await.json::<User>(201);
    let (one, two) = (site.token(json!({ "user": made.id, "label": "one" })).await, site.token(json!({ "user": made.id })).await);
    let listed: Page<Token> = two.get("/v1/admin/tokens").await.json(200);
    let id = listed.items.iter().find(|token| token.label.as_deref() == Some("one")).unwrap().id;
    assert!(!format!("{:?}", two.get("/v1/admin/tokens").await.body).contains("hal_"), "a secret is shown once");

    let path = format!("/v1/admin/tokens/{id}");
    assert_eq!(two.delete(&path).await.status, 204);
    one.get("/v1/me").await.refused(401, "unauthenticated");
    assert_eq!(two.get("/v1/me").await.status, 200);
    two.delete(&path).await.refused(404, "not_found");

    let user = format!("/v1/admin/users/{}", made.id);
    site.admin.patch(&user, json!({ "disabled": true })).await.value(200);
    two.get("/v1/me").await.refused(401, "unauthenticated");
    site.admin.patch(&user, json!({ "disabled": false })).await.value(200);
    assert_eq!(two.get("/v1/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_away_more_than_they_could_give() {
    let site = Site::start().await;
    // All of the default user, as the administrator is.
    let scoped = async |scope: &str| site.token(json!({ "scopes": [scope], "label": scope })).await;
    let (user, tenant, other) = (scoped("user").await, scoped("tenant").await, scoped("tenant").await);
    let me = site.admin.get("/v1/me").await.value(200)["user"].as_str().unwrap().to_owned();
    let tokens: Page<Token> = site.admin.get("/v1/admin/tokens").await.json(200);
    let path = |label: &str| {
        let found = tokens.items.iter().find(|token| token.label.as_deref() == Some(label)).unwrap();
        format!("/v1/admin/tokens/{}", found.id)
    };
    for caller in [&user, &tenant] {
        caller.delete(&path("admin.token")).await.refused(403, "forbidden");
    }
    user.delete(&path("tenant")).await.refused(403, "forbidden");
    assert_eq!(site.admin.get("/v1/me").await.status, 200);

    // Nor all of them at once.
    let user_path = format!("/v1/admin/users/{me}");
    tenant.patch(&user_path, json!({ "disabled": true })).await.refused(403, "forbidden");
    tenant.patch(&user_path, json!({ "name": "boss" })).await.value(200);
    let ann = site.admin.post("/v1/admin/users", json!({ "name": "ann" })).await.json::<User>(201);
    let anns = site.token(json!({ "user": ann.id })).await;
    let ann_path = format!("/v1/admin/users/{}", ann.id);
    tenant.patch(&ann_path, json!({ "disabled": true })).await.value(200);
    anns.get("/v1/me").await.refused(401, "unauthenticated");
    let risen = site.token(json!({ "user": ann.id, "scopes": ["admin"] })).await;
    tenant.patch(&ann_path, json!({ "disabled": false })).await.refused(403, "forbidden");
    risen.get("/v1/me").await.refused(401, "unauthenticated");

    // What they could give they may take.
    assert_eq!(tenant.delete(&path("user")).await.status, 204);
    user.get("/v1/me").await.refused(401, "unauthenticated");
    assert_eq!(other.delete(&path("tenant")).await.status, 204, "one of the two");
    assert_eq!(site.admin.get("/v1/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_not_outlive_the_one_that_made_it() {
    let site = Site::start().await;
    for scope in ["user", "tenant"] {
        let short = site.token(json!({ "scopes": [scope], "expires_in_seconds": 60 })).await;
        for (asked, expected) in [(json!({}), 60), (json!({ "expires_in_seconds": 600 }), 60), (json!({ "expires_in_seconds": 20 }), 20)] {
            let mut request = asked;
            request["scopes"] = json!(["read"]);
            let made: CreatedToken = short.post("/v1/admin/tokens", request).await.json(201);
            assert_eq!(made.expires_at, Some(format!("2026-11-24T12:0{}:{:02}Z", expected / 60, expected % 60)), "{scope}");
        }
    }
    // One without an end gives what is asked for, and so does an administrator's.
    let lasting = site.token(json!({ "scopes": ["user"] })).await;
    let made: CreatedToken = lasting.post("/v1/admin/tokens", json!({})).await.json(201);
    assert_eq!(made.expires_at, None);
    let admin = site.token(json!({ "scopes": ["admin"], "expires_in_seconds": 60 })).await;
    let made: CreatedToken = admin.post("/v1/admin/tokens", json!({})).await.json(201);
    assert_eq!(made.expires_at, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_live_on_where_the_site_is_opened_again() {
    let site = Site::start().await;
    let ann = site.user("ann").await.token.unwrap();
    let site = site.restart().await;
    assert_eq!(site.with_token(Some(&ann)).get("/v1/me").await.status, 200);
    let admin = std::fs::metadata(site.data().join("admin.token")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&admin.permissions()) & 0o777, 0o600);
    // When each was used was written before the stop.
    let listed: Page<Token> = site.admin.get("/v1/admin/tokens").await.json(200);
    assert_eq!(listed.items[0].last_used_at.as_deref(), Some("2026-11-24T12:00:00Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_administrators_do_is_written_down() {
    let site = Site::start().await;
    let admin = &site.admin;
    let listed: Page<Token> = admin.get("/v1/admin/tokens").await.json(200);
    let actor = listed.items[0].id.to_string();
    let id = |value: Value| value["id"].as_str().unwrap().to_owned();
    let made = admin.post("/v1/admin/tenants", json!({ "name": "other" })).await;
    let (first_request, tenant) = (made.field("x-request-id").to_owned(), id(made.value(201)));
    let user = id(admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant })).await.value(201));
    let token = id(admin.post("/v1/admin/tokens", json!({ "user": user, "tenant": tenant })).await.value(201));
    admin.patch(&format!("/v1/admin/users/{user}?tenant={tenant}"), json!({ "disabled": true })).await.value(200);
    assert_eq!(admin.delete(&format!("/v1/admin/tokens/{token}?tenant={tenant}&user={user}")).await.status, 204);
    // What was refused changed nothing, and is not in it.
    admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.refused(409, "name_taken");
    admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant })).await.refused(409, "name_taken");

    let mut records: Vec<AuditRecord> = vec![];
    let mut path = "/v1/admin/audit?limit=2".to_owned();
    loop {
        let answer = admin.get(&path).await;
        let page: Page<AuditRecord> = answer.json(200);
        records.extend(page.items);
        let Some(cursor) = page.next else { break };
        path = format!("/v1/admin/audit?limit=2&cursor={cursor}");
        assert_eq!(answer.field("link"), format!("<{path}>; rel=\"next\""));
    }
    let deeds: Vec<_> = records.iter().map(|record| (record.action.as_str(), record.subject.as_str())).collect();
    let expected = [
        ("token.revoke", token.as_str()),
        ("user.edit", &user),
        ("token.create", &token),
        ("user.create", &user),
        ("tenant.create", &tenant),
    ];
    assert_eq!(deeds, expected, "newest first");
    assert!(records.iter().all(|record| record.token == actor && record.at == "2026-11-24T12:00:00Z"), "{records:?}");
    assert_eq!(records.last().unwrap().request_id.as_deref(), Some(first_request.as_str()));
}
