//! Who may: every route against every scope. A route that is not in the table fails the test.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer::answer;
use super::photos::small;
use super::site::{Caller, Site};

/// Callers of one user: without a token, and with a token of one scope each.
const CALLERS: [&str; 5] = ["nobody", "read", "user", "tenant", "admin"];

/// Method, path, JSON body ("" for none, "image" for a photo), and the status for each of [`CALLERS`].
type Row = (&'static str, &'static str, &'static str, [u16; 5]);

const TABLE: [Row; 55] = [
    ("GET", "/livez", "", [200; 5]),
    ("GET", "/readyz", "", [200; 5]),
    ("GET", "/openapi.json", "", [200; 5]),
    // The signature is all that a rendition asks for.
    ("GET", "/i/{rendition}", "", [200; 5]),
    ("GET", "/iiif/3/{request}", "", [200; 5]),
    ("GET", "/v1/me", "", [401, 200, 200, 200, 200]),
    ("GET", "/v1/albums", "", [401, 200, 200, 403, 200]),
    ("POST", "/v1/albums", r#"{"name": "New"}"#, [401, 403, 201, 403, 201]),
    ("GET", "/v1/albums/{album}", "", [401, 200, 200, 403, 200]),
    ("PATCH", "/v1/albums/{album}", r#"{"name": "Other"}"#, [401, 403, 200, 403, 200]),
    ("DELETE", "/v1/albums/{album}", "", [401, 403, 204, 403, 204]),
    ("GET", "/v1/albums/{album}/photos", "", [401, 200, 200, 403, 200]),
    ("POST", "/v1/albums/{album}/photos", "image", [401, 403, 201, 403, 201]),
    ("PUT", "/v1/albums/{album}/photos/{photo}", "image", [401, 403, 409, 403, 409]),
    ("POST", "/v1/albums/{album}/photos/link", r#"{"photos": []}"#, [401, 403, 200, 403, 200]),
    ("POST", "/v1/blobs/missing", r#"{"hashes": []}"#, [401, 403, 200, 403, 200]),
    ("GET", "/v1/photos/{photo}", "", [401, 200, 200, 403, 200]),
    ("PATCH", "/v1/photos/{photo}", r#"{"caption": "Ours"}"#, [401, 403, 200, 403, 200]),
    ("DELETE", "/v1/photos/{photo}", "", [401, 403, 204, 403, 204]),
    ("GET", "/v1/photos/{photo}/similar", "", [401, 200, 200, 403, 200]),
    ("GET", "/v1/photos/{photo}/original", "", [401, 200, 200, 403, 200]),
    ("POST", "/v1/urls", r#"{"hash": "{hash}"}"#, [401, 200, 200, 403, 200]),
    // Of these callers only the site's administrator may do what an edge may.
    ("GET", "/v1/edge/tenants", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/edge/blobs/{hash}", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/edge/blobs/{hash}/bytes", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/edge/blobs/{hash}/preview", "", [401, 403, 403, 403, 404]),
    ("POST", "/v1/edge/unowned", r#"{"prefixes": []}"#, [401, 403, 403, 403, 200]),
    ("GET", "/v1/edge/feed", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/admin/usage", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/admin/audit", "", [401, 403, 403, 403, 200]),
    ("POST", "/v1/admin/check", "{}", [401, 403, 403, 403, 200]),
    ("GET", "/v1/admin/inventory", "", [401, 403, 403, 403, 200]),
    ("GET", "/v1/admin/blobs/move", "", [401, 403, 403, 403, 200]),
    ("POST", "/v1/admin/blobs/move", r#"{"to": "nowhere"}"#, [401, 403, 403, 403, 400]),
    ("POST", "/v1/admin/blobs/move/back", "", [401, 403, 403, 403, 409]),
    ("POST", "/v1/admin/blobs/move/finish", "", [401, 403, 403, 403, 409]),
    ("GET", "/v1/admin/imports", "", [401, 403, 403, 403, 200]),
    // From nowhere, until an operator has named a directory.
    ("POST", "/v1/admin/imports", r#"{"path": "/"}"#, [401, 403, 403, 403, 400]),
    ("GET", "/v1/admin/imports/{import}", "", [401, 403, 403, 403, 404]),
    ("DELETE", "/v1/admin/imports/{import}", "", [401, 403, 403, 403, 404]),
    ("GET", "/v1/admin/tenants", "", [401, 403, 403, 403, 200]),
    ("POST", "/v1/admin/tenants", r#"{"name": "new"}"#, [401, 403, 403, 403, 201]),
    ("GET", "/v1/admin/tenants/{tenant}", "", [401, 403, 403, 200, 200]),
    ("PATCH", "/v1/admin/tenants/{tenant}", r#"{"renditions": {"max_age_seconds": 60}}"#, [401, 403, 403, 200, 200]),
    ("GET", "/v1/admin/tenants/{tenant}/keys", "", [401, 403, 403, 200, 200]),
    ("POST", "/v1/admin/tenants/{tenant}/keys", "", [401, 403, 403, 201, 201]),
    ("PATCH", "/v1/admin/tenants/{tenant}/keys/{key}", r#"{"signs": true}"#, [401, 403, 403, 200, 200]),
    ("DELETE", "/v1/admin/tenants/{tenant}/keys/{key}", "", [401, 403, 403, 204, 204]),
    ("GET", "/v1/admin/users", "", [401, 403, 403, 200, 200]),
    ("POST", "/v1/admin/users", r#"{"name": "new of {caller}"}"#, [401, 403, 403, 201, 201]),
    ("GET", "/v1/admin/users/{user}", "", [401, 403, 403, 200, 200]),
    ("PATCH", "/v1/admin/users/{user}", r#"{"disabled": false}"#, [401, 403, 403, 200, 200]),
    // A user rules over its own tokens.
    ("GET", "/v1/admin/tokens", "", [401, 403, 200, 200, 200]),
    ("POST", "/v1/admin/tokens", r#"{"scopes": ["read"]}"#, [401, 403, 201, 201, 201]),
    ("DELETE", "/v1/admin/tokens/{token}", "", [401, 403, 204, 204, 204]),
];

/// The user whom all callers are.
struct World {
    site: Site,
    /// With the usual scopes.
    ann: Caller,
    tenant: String,
    user: String,
}

impl World {
    async fn new() -> Self {
        let site = Site::start().await;
        let ann = site.user("ann").await;
        let me = ann.get("/v1/me").await.value(200);
        let text = |field: &str| me[field].as_str().unwrap().to_owned();
        Self { tenant: text("tenant"), user: text("user"), site, ann }
    }

    async fn caller(&self, name: &str) -> Caller {
        match name {
            "nobody" => self.site.nobody(),
            scope => self.site.token(json!({ "user": self.user, "scopes": [scope] })).await,
        }
    }

    /// The text with the ids of things made for this one call put in.
    async fn filled(&self, text: &str, caller: &str) -> String {
        let mut out = text.replace("{tenant}", &self.tenant).replace("{user}", &self.user).replace("{caller}", caller);
        if ["{album}", "{photo}", "{hash}", "{rendition}", "{request}"].iter().any(|name| out.contains(name)) {
            let album = self.ann.album("Made").await;
            let photo = self.ann.upload(&album, "made.jpg", &small(1)).await.value(201);
            let rendition = photo["urls"]["thumbnail"].as_str().unwrap().strip_prefix("/i/").unwrap().to_owned();
            let image = photo["urls"]["iiif"].as_str().unwrap().strip_prefix("/iiif/3/").unwrap();
            out = out.replace("{request}", &format!("{image}/info.json"));
            out = out.replace("{album}", &album).replace("{photo}", photo["id"].as_str().unwrap());
            out = out.replace("{hash}", photo["hash"].as_str().unwrap()).replace("{rendition}", &rendition);
        }
        if out.contains("{key}") {
            let path = format!("/v1/admin/tenants/{}/keys", self.tenant);
            let keys: Vec<_> = self.site.admin.get(&path).await.value(200)["items"].as_array().unwrap().to_vec();
            let id = |key: &Value| key["id"].as_str().unwrap().to_owned();
            let last = match &keys[..] {
                [_] => id(&self.site.admin.post(&path, Value::Null).await.value(201)),
                more => id(more.last().unwrap()),
            };
            out = out.replace("{key}", &last);
        }
        if out.contains("{token}") {
            let made = self.ann.post("/v1/admin/tokens", json!({ "scopes": ["read"] })).await.value(201);
            out = out.replace("{token}", made["id"].as_str().unwrap());
        }
        out
    }
}

/// Method and path of every route that the server describes.
fn described() -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(halidom::http::openapi_document()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    routes
}

#[test]
fn every_route_is_in_the_table() {
    let in_table: BTreeSet<_> = TABLE.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(in_table.len(), TABLE.len(), "a route stands twice");
    assert_eq!(in_table, described(), "TABLE says of every route who may call it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_takes_those_whom_it_shall() {
    let world = World::new().await;
    let mut wrong = vec![];
    for (at, name) in CALLERS.into_iter().enumerate() {
        let caller = world.caller(name).await;
        for (method, path, body, statuses) in TABLE {
            let method: Method = method.parse().unwrap();
            let request = caller.call(method.clone(), &world.filled(path, name).await);
            let request = match body {
                "" => request,
                "image" => request.body(small(2)),
                json => request.json(&serde_json::from_str::<Value>(&world.filled(json, name).await).unwrap()),
            };
            let got = answer(request).await;
            if got.status != statuses[at] {
                wrong.push(format!("{name}: {method} {path}: {} instead of {}: {:?}", got.status, statuses[at], got.body));
            }
            match got.status {
                401 => drop(got.refused(401, "unauthenticated")),
                403 => drop(got.refused(403, "forbidden")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reaches_past_its_tenant() {
    let world = World::new().await;
    let admin = &world.site.admin;
    let tenant = admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.value(201)["id"].as_str().unwrap().to_owned();
    let user =
        admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant })).await.value(201)["id"].as_str().unwrap().to_owned();
    let token = admin.post("/v1/admin/tokens", json!({ "user": user, "tenant": tenant })).await.value(201);
    let token = token["id"].as_str().unwrap();
    let unknown = "0192e4a0-0000-7000-8000-000000000000";
    for name in ["user", "tenant"] {
        let caller = world.caller(name).await;
        // The other tenant, and one that does not exist: the same answer, whatever is asked of it.
        for id in [tenant.as_str(), unknown] {
            for (method, path, body) in [
                (Method::GET, format!("/v1/admin/tenants/{id}"), Value::Null),
                (Method::PATCH, format!("/v1/admin/tenants/{id}"), json!({ "renditions": { "presets_only": true } })),
                (Method::GET, format!("/v1/admin/tenants/{id}/keys"), Value::Null),
                (Method::POST, format!("/v1/admin/tenants/{id}/keys"), Value::Null),
                (Method::DELETE, format!("/v1/admin/tenants/{id}/keys/0123456789abcdef"), Value::Null),
                (Method::PATCH, format!("/v1/admin/tenants/{id}/keys/0123456789abcdef"), json!({ "signs": true })),
                (Method::GET, format!("/v1/admin/users?tenant={id}"), Value::Null),
                (Method::GET, format!("/v1/admin/users/{user}?tenant={id}"), Value::Null),
                (Method::PATCH, format!("/v1/admin/users/{user}?tenant={id}"), json!({ "disabled": true })),
                (Method::POST, "/v1/admin/users".into(), json!({ "name": "x", "tenant": id })),
                (Method::GET, format!("/v1/admin/tokens?tenant={id}&user={user}"), Value::Null),
                (Method::POST, "/v1/admin/tokens".into(), json!({ "tenant": id, "user": user })),
                (Method::DELETE, format!("/v1/admin/tokens/{token}?tenant={id}&user={user}"), Value::Null),
            ] {
                let request = caller.call(method.clone(), &path);
                let got = answer(if body.is_null() { request } else { request.json(&body) }).await;
                assert_eq!(got.status, 403, "{name}: {method} {path}");
            }
        }
        // Nor does anyone give what it has not, or act for another.
        for scope in ["admin", "tenant"].into_iter().filter(|scope| *scope != name) {
            caller.post("/v1/admin/tokens", json!({ "scopes": [scope] })).await.refused(403, "forbidden");
        }
        for id in [world.user.as_str(), unknown] {
            let acting = [("halidom-act-for", format!("{}/{id}", world.tenant))];
            caller.get_with("/v1/me", &[(acting[0].0, &acting[0].1)]).await.refused(403, "forbidden");
        }
    }
    // The administrator may, for those who are there.
    let acting = format!("{tenant}/{user}");
    let me = admin.get_with("/v1/me", &[("halidom-act-for", &acting)]).await.value(200);
    assert_eq!((me["tenant"].as_str(), me["user"].as_str()), (Some(tenant.as_str()), Some(user.as_str())));
    admin.get_with("/v1/me", &[("halidom-act-for", &format!("{tenant}/{unknown}"))]).await.refused(404, "not_found");
    for malformed in ["", "eve", &tenant, "a/b"] {
        admin.get_with("/v1/me", &[("halidom-act-for", malformed)]).await.refused(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_is_asked_of_those_who_may_not_call() {
    let world = World::new().await;
    for (at, name) in CALLERS.into_iter().enumerate() {
        let caller = world.caller(name).await;
        for (method, path, body, statuses) in TABLE {
            if matches!(body, "" | "image") {
                continue;
            }
            let mut stream = TcpStream::connect(caller.base.strip_prefix("http://").unwrap()).await.unwrap();
            let path = world.filled(path, name).await;
            let token = caller.token.as_deref().unwrap_or_default();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                 Content-Length: 90\r\nExpect: 100-continue\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut said = [0; 12];
            stream.read_exact(&mut said).await.unwrap();
            // What is refused for what its body says, too, has to read that.
            let status = if statuses[at] < 300 || statuses[at] == 400 { 100 } else { statuses[at] };
            assert_eq!(String::from_utf8_lossy(&said), format!("HTTP/1.1 {status}"), "{name}: {method} {path}");
        }
    }
}
