//! A site whose blobs lie in a real S3 service: what a site does, and what it does while the service is away.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::path::Path;

use harness::wait::{output, until};
use harness::weed::{BUCKET, Weed};
use harness::{Server, wire};

fn photos() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    paths
}

/// A server over the service, its data in `data`.
fn serve(weed: &Weed, data: &Path) -> Server {
    serve_with(weed, data, &[])
}

/// The same with more settings.
fn serve_with(weed: &Weed, data: &Path, settings: &[(&str, &str)]) -> Server {
    let blobs = format!("s3://{BUCKET}/site/one?endpoint={}", weed.endpoint());
    let credentials = weed.credentials();
    let own = [
        ("HALIDOM_STORAGE__BLOBS", &*blobs),
        ("HALIDOM_S3__CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("HALIDOM_S3__DEADLINE", "5s"),
        // As good as nothing is remembered: what is read is read from the service.
        ("HALIDOM_RENDITIONS__DISK_BYTES", "0B"),
    ];
    Server::start_with(data, &[&own[..], settings].concat())
}

#[test]
fn a_site_lives_in_an_s3_service_and_outlives_its_outage() {
    let Some(mut weed) = Weed::start("a site over SeaweedFS's S3") else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let photos = photos();
    let names: Vec<&str> = photos.iter().map(|path| path.to_str().unwrap()).collect();

    let server = serve(&weed, &data);
    let user = server.user("ann");
    let sent = user.json([&["upload", "--album", "holiday"], &names[..]].concat());
    assert_eq!((sent["sent"].as_u64(), sent["refused"].as_u64()), (Some(names.len() as u64), Some(0)), "{sent}");
    let album = sent["album"].as_str().unwrap().to_owned();
    let token = user.token().to_owned();
    server.kill();

    // What was acknowledged is there, whatever the process had in hand.
    let server = serve(&weed, &data);
    let user = server.cli(&token);
    let url = |hash: &str, width: &str| {
        let url = user.run(["url", hash, "--width", width]).stdout.trim().to_owned();
        format!("/i/{}", url.split_once("/i/").expect("a rendition's URL").1)
    };
    let back = directory.path().join("back");
    user.json(["download", &album, back.to_str().unwrap()]);
    for photo in &photos {
        assert_eq!(std::fs::read(photo).unwrap(), std::fs::read(back.join(photo.file_name().unwrap())).unwrap(), "{}", photo.display());
    }
    let list = wire::get(&server.url, &format!("/v1/albums/{album}/photos"), &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(list.status, 200, "{list:?}");
    let first = list.json()["items"][0].clone();
    let (id, hash) = (first["id"].as_str().unwrap().to_owned(), first["hash"].as_str().unwrap().to_owned());
    let (hot, cold) = (url(&hash, "320"), url(&hash, "321"));
    assert_eq!(wire::get(&server.url, &hot, &[]).status, 200);

    weed.kill();
    let authorization = format!("Bearer {token}");
    let original = format!("/v1/photos/{id}/original");
    let ask = |path: &str| wire::get(&server.url, path, &[("Authorization", &authorization)]);
    for _ in 0..4 {
        let refused = ask(&original);
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{refused:?}");
    }
    assert_eq!(ask(&cold).status, 503);
    assert_eq!(ask(&hot).status, 200, "what is cached is served");
    assert_eq!(ask(&format!("/v1/albums/{album}/photos")).status, 200, "and what needs no blob");
    assert!(server.metrics().contains("halidom_backend_away 1"));
    let upload = wire::call(
        &server.url,
        "POST",
        &format!("/v1/albums/{album}/photos?name=a.jpg"),
        &[("Authorization", &authorization)],
        &std::fs::read(&photos[0]).unwrap(),
    );
    assert_eq!((upload.status, upload.header("retry-after").is_some()), (503, true), "{upload:?}");

    weed.run();
    until("the original is served again", || ask(&original).status, |status| *status == 200);
    assert_eq!(ask(&cold).status, 200);
    let again = user.json([&["upload", "--album", "holiday"], &names[..]].concat());
    assert_eq!(again["refused"].as_u64(), Some(0), "{again}");
    let check = server.admin().json(["check", "--read-data"]);
    assert_eq!(check["problems"].as_u64(), Some(0), "{check}");
    drop(server);

    // Another site does not take it for its own.
    let other = directory.path().join("other");
    let blobs = format!("s3://{BUCKET}/site/one?endpoint={}", weed.endpoint());
    let mut command = harness::command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--blobs", &blobs, "--data"]).arg(&other);
    let refused = output(command.env("HALIDOM_S3__CREDENTIALS_FILE", weed.credentials()));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("belongs to the site"), "{refused:?}");
}

#[test]
fn uploads_go_on_while_the_service_is_away() {
    let Some(mut weed) = Weed::start("uploads that wait for SeaweedFS's S3") else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let photos = photos();
    let spooling = [("HALIDOM_S3__SPOOLED", "true")];

    let server = serve_with(&weed, &data, &spooling);
    let user = server.user("ann");
    let sent = user.json(["upload", "--album", "holiday", photos[0].to_str().unwrap()]);
    assert_eq!(sent["sent"], 1, "{sent}");
    let (album, token) = (sent["album"].as_str().unwrap().to_owned(), user.token().to_owned());
    let authorization = format!("Bearer {token}");
    let upload = |server: &Server, photo: &Path| {
        let path = format!("/v1/albums/{album}/photos?name={}", photo.file_name().unwrap().to_str().unwrap());
        let answer = wire::call(&server.url, "POST", &path, &[("Authorization", &authorization)], &std::fs::read(photo).unwrap());
        assert_eq!(answer.status, 201, "{answer:?}");
        let photo = answer.json();
        (photo["id"].as_str().unwrap().to_owned(), photo["durability"].as_str().unwrap().to_owned())
    };
    let original = |server: &Server, id: &str| {
        let answer = wire::get(&server.url, &format!("/v1/photos/{id}/original"), &[("Authorization", &authorization)]);
        (answer.status, answer.body)
    };
    let (there, durability) = upload(&server, &photos[1]);
    assert_eq!(durability, "durable");

    weed.kill();
    let mut waiting = vec![];
    for photo in &photos[2..5] {
        let (id, durability) = upload(&server, photo);
        assert_eq!(durability, "spooled");
        waiting.push((id, photo));
    }
    assert!(server.metrics().contains("halidom_spooled_copies 3"), "{}", server.metrics());
    server.kill();

    // A spool that is not there, as a disk that is not mounted, is not set up anew.
    let (spool, elsewhere) = (data.join("spool"), directory.path().join("elsewhere"));
    std::fs::rename(&spool, &elsewhere).unwrap();
    let blobs = format!("s3://{BUCKET}/site/one?endpoint={}", weed.endpoint());
    let mut command = harness::command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--blobs", &blobs, "--data"]).arg(&data);
    command.env("HALIDOM_S3__CREDENTIALS_FILE", weed.credentials()).envs(spooling);
    let refused = output(&mut command);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is its disk mounted?"), "{refused:?}");
    assert!(!spool.exists());
    std::fs::rename(&elsewhere, &spool).unwrap();

    // Another process begins without the service: what waits is read, more is taken, and the rest is asked for later.
    let server = serve_with(&weed, &data, &spooling);
    for (id, photo) in &waiting {
        assert_eq!(original(&server, id), (200, std::fs::read(photo).unwrap()));
    }
    assert_eq!(original(&server, &there).0, 503);
    let (id, durability) = upload(&server, &photos[5]);
    assert_eq!(durability, "spooled");
    waiting.push((id, &photos[5]));
    assert_eq!(wire::get(&server.url, "/readyz", &[]).status, 200);
    let stats = server.admin().json(["stats"]);
    assert_eq!(stats["spooled"]["copies"], 4, "{stats}");

    weed.run();
    until("nothing waits any more", || server.admin().json(["stats"])["spooled"]["copies"].as_u64(), |copies| *copies == Some(0));
    let (_, durability) = upload(&server, &photos[6]);
    assert_eq!(durability, "durable");
    for (id, photo) in &waiting {
        assert_eq!(original(&server, id), (200, std::fs::read(photo).unwrap()));
    }
    assert_eq!(original(&server, &there).0, 200);
    let check = server.admin().json(["check", "--read-data"]);
    assert_eq!(check["problems"].as_u64(), Some(0), "{check}");
}

/// How often a site was asked for a blob's bytes by its edges.
fn bytes_given(site: &Server) -> f64 {
    let text = site.metrics();
    let of_route = |line: &&str| line.starts_with("halidom_http_requests_total{") && line.contains("route=\"/v1/edge/blobs/{hash}/bytes\"");
    text.lines().filter(of_route).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn an_edge_reads_straight_from_the_service() {
    let Some(mut weed) = Weed::start("an edge over SeaweedFS's S3") else { return };
    let directory = tempfile::tempdir().unwrap();
    let site = serve(&weed, &directory.path().join("data"));
    let user = site.user("ann");
    let (photos, token) = (photos(), directory.path().join("token"));
    let sent = user.json(["upload", "--album", "holiday", photos[0].to_str().unwrap(), photos[1].to_str().unwrap()]);
    let list = format!("/v1/albums/{}/photos", sent["album"].as_str().unwrap());
    let list = wire::get(&site.url, &list, &[("Authorization", &format!("Bearer {}", user.token()))]).json();
    let hashes: Vec<_> = list["items"].as_array().unwrap().iter().map(|photo| photo["hash"].as_str().unwrap().to_owned()).collect();
    let url = |hash: &str, width: u32| {
        let url = user.run(["url", hash, "--width", &width.to_string()]).stdout.trim().to_owned();
        format!("/i/{}", url.split_once("/i/").expect("a rendition's URL").1)
    };
    let edge_token = site.admin().json(["token", "create", "--scope", "edge"]);
    std::fs::write(&token, edge_token["token"].as_str().unwrap()).unwrap();
    // Who may write nothing.
    let (endpoint, credentials) = (weed.endpoint(), weed.reading_credentials());
    let blobs = |prefix: &str| format!("s3://{BUCKET}/{prefix}?endpoint={endpoint}");
    let settings = |blobs: &str| {
        [
            ("HALIDOM_SERVER__ROLE", "edge".to_owned()),
            ("HALIDOM_EDGE__SITES", site.url.clone()),
            ("HALIDOM_EDGE__TOKEN_FILE", token.to_str().unwrap().to_owned()),
            ("HALIDOM_STORAGE__BLOBS", blobs.to_owned()),
            ("HALIDOM_S3__CREDENTIALS_FILE", credentials.to_str().unwrap().to_owned()),
            ("HALIDOM_RENDITIONS__DISK_BYTES", "0B".to_owned()),
        ]
    };
    let edge = |name: &str, prefix: &str| {
        let settings = settings(&blobs(prefix));
        let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
        let edge = Server::start_with(&directory.path().join(name), &settings);
        until("the edge follows its site", || wire::get(&edge.url, "/readyz", &[]).status, |status| *status == 200);
        edge
    };
    let near = edge("near", "site/one");
    for hash in &hashes {
        let path = url(hash, 320);
        let (ours, theirs) = (wire::get(&near.url, &path, &[]), wire::get(&site.url, &path, &[]));
        assert_eq!((ours.status, ours.body), (200, theirs.body));
    }
    assert_eq!(bytes_given(&site), 0.0);

    // What is not there, the site has.
    let other = blobs("site/two");
    let credentials = weed.credentials();
    let settings_of_other = [("HALIDOM_STORAGE__BLOBS", other.as_str()), ("HALIDOM_S3__CREDENTIALS_FILE", credentials.to_str().unwrap())];
    drop(Server::start_with(&directory.path().join("other"), &settings_of_other));
    let far = edge("far", "site/two");
    assert_eq!(wire::get(&far.url, &url(&hashes[0], 321), &[]).status, 200);
    assert_eq!(bytes_given(&site), 1.0);

    // Where there is no store at all, that is said at once.
    let mut command = harness::command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data"]).arg(directory.path().join("none"));
    let refused = output(command.envs(settings(&blobs("nowhere"))));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no blob store"), "{refused:?}");

    // Away, what is made already is served, and an edge starts.
    weed.kill();
    let late = edge("late", "site/one");
    for edge in [&near, &late] {
        assert_eq!(wire::get(&edge.url, &url(&hashes[1], 322), &[]).status, 503);
    }
    assert_eq!(wire::get(&near.url, &url(&hashes[1], 320), &[]).status, 200);
    weed.run();
    for edge in [&near, &late] {
        let path = url(&hashes[1], 323);
        until("the edge reads again", || wire::get(&edge.url, &path, &[]).status, |status| *status == 200);
    }
}

#[test]
fn a_part_of_a_large_original_costs_no_more_than_what_covers_it() {
    let Some(weed) = Weed::start("parts of large originals in SeaweedFS's S3") else { return };
    let directory = tempfile::tempdir().unwrap();
    let photo = directory.path().join("large.jpg");
    // 40 MB that follow the end of a JPEG are bytes of the photo as any.
    let mut content = std::fs::read(&photos()[1]).unwrap();
    content.extend((0..5_000_000_u64).flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()));
    std::fs::write(&photo, &content).unwrap();
    let data = directory.path().join("data");
    let server = serve(&weed, &data);
    let user = server.user("ann");
    let sent = user.json(["upload", "--album", "large", photo.to_str().unwrap()]);
    assert_eq!((sent["sent"].as_u64(), sent["refused"].as_u64()), (Some(1), Some(0)), "{sent}");
    let (album, authorization) = (sent["album"].as_str().unwrap(), format!("Bearer {}", user.token()));
    let list = wire::get(&server.url, &format!("/v1/albums/{album}/photos"), &[("Authorization", &authorization)]);
    let path = format!("/v1/photos/{}/original", list.json()["items"][0]["id"].as_str().unwrap());

    let read_bytes = || {
        let name = "halidom_blob_operation_bytes_total{operation=\"read\"} ";
        let metrics = server.metrics();
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (group, beginning) = (1 << 20, 4096);
    let last = content.len() - 1;
    for (first, last, groups) in
        [(20_000_000, 20_000_999, 1), (group - 1, group, 2), (7 * group, 8 * group - 1, 1), (0, 0, 1), (last - 9, last, 1)]
    {
        let before = read_bytes();
        let range = format!("bytes={first}-{last}");
        let answer = wire::get(&server.url, &path, &[("Authorization", &authorization), ("Range", &range)]);
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(&*format!("bytes {first}-{last}/{}", content.len()))));
        assert!(answer.body == content[first..=last], "{range}");
        let read = read_bytes() - before;
        assert!(read <= (groups * group + beginning) as u64, "{range} cost {read} bytes");
    }
    let whole = wire::get(&server.url, &path, &[("Authorization", &authorization)]);
    assert!(whole.status == 200 && whole.body == content);
}
