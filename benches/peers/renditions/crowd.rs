//! One rendition that was never rendered, and everybody wants it at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::connection;
use super::photos::Photos;
use super::site::{Served, Site, Size};
use crate::Options;

/// Clients, each with a connection of its own, which is open before any of them asks.
const CLIENTS: usize = 1_000;
/// How many connect at once: fewer than wait to be accepted.
const CONNECTING: usize = 200;

/// What came of one crowd.
#[derive(Debug)]
struct Met {
    statuses: BTreeMap<String, u64>,
    elapsed: Duration,
    served: Served,
}

pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let site = runtime.block_on(Site::start(dir, None, false))?;
    let mut met = Vec::new();
    for round in 0..options.rounds {
        let photo = &photos.all[round % photos.all.len()];
        let one = runtime.block_on(async {
            let hash = site.upload(photo, round as u64, 1).await?.pop().context("nothing was uploaded")?;
            let path = site.sign(&hash, Size { side: 320, quality: 80 }).await?;
            site.settle()?;
            meet(&site, &path).await
        })?;
        let Served { rendered, joined, cached } = one.served;
        anyhow::ensure!(rendered == 1, "{CLIENTS} clients had {rendered} renders ({joined} waited for one, {cached} came later): {one:?}");
        eprintln!("round {round}, {CLIENTS} clients: {one:?}");
        met.push((photo.name.as_str(), one));
    }
    let mut out = format!("\n### {CLIENTS} clients that ask for the same cold rendition\n\n");
    out += "| photo | decoded | waited for it | from the cache | answered | first question to last answer, ms |\n| --- | --- | --- | --- | --- | --- |\n";
    for (photo, Met { statuses, elapsed, served: Served { rendered, joined, cached } }) in met {
        let answered: Vec<_> = statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        let _ = writeln!(out, "| {photo} | {rendered} | {joined} | {cached} | {} | {} |", answered.join(", "), elapsed.as_millis());
    }
    Ok(out)
}

async fn meet(site: &Site, path: &str) -> anyhow::Result<Met> {
    let mut streams = Vec::new();
    while streams.len() < CLIENTS {
        let connecting = (0..CONNECTING).map(|_| TcpStream::connect(("127.0.0.1", site.port)));
        streams.extend(try_join_all(connecting).await?);
    }
    let before = site.served().await?;
    let question = connection::request(path).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let begun = Instant::now();
    let asking = streams.into_iter().take(CLIENTS).map(|mut stream| async {
        stream.write_all(question.as_bytes()).await?;
        let mut stream = stream;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let head = String::from_utf8_lossy(answer.get(..12).unwrap_or(&answer)).into_owned();
        anyhow::Ok(head.trim_start_matches("HTTP/1.1 ").to_owned())
    });
    let answers = try_join_all(asking).await?;
    let elapsed = begun.elapsed();
    let mut statuses = BTreeMap::new();
    for answer in answers {
        *statuses.entry(answer).or_default() += 1;
    }
    Ok(Met { statuses, elapsed, served: site.served().await?.since(before) })
}
