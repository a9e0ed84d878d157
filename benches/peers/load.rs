//! The one generator of requests.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream;
use halidom::cli::bench::Generator;

use crate::peer::{Peer, Work};

/// Objects that are downloaded in turn.
const OBJECTS: u64 = 64;

/// How much to send or fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Bytes of an object.
    pub(crate) size_bytes: u64,
    /// Objects altogether.
    pub(crate) count: u64,
    /// Requests in flight at once.
    pub(crate) connections: u64,
}

impl Load {
    /// What the table calls it.
    pub(crate) fn title(&self, what: &str) -> String {
        let size = if self.size_bytes >= 1_000_000 {
            format!("{} MB", self.size_bytes / 1_000_000)
        } else {
            format!("{} kB", self.size_bytes / 1000)
        };
        format!("{what}, {size}, {} connections", self.connections)
    }
}

/// The objects of a round: valid photos, since one of the peers looks.
pub(crate) fn photos(load: Load, seed: u64) -> anyhow::Result<Generator> {
    Generator::drawn(load.size_bytes, seed)
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().http1_only().tcp_nodelay(true).pool_max_idle_per_host(64).build()?)
}

/// Uploads the load's objects. Some others go before, two a connection, and are not measured: a server that has just started gets its
/// threads and its memory then.
pub(crate) async fn upload(peer: &dyn Peer, load: Load, seed: u64) -> anyhow::Result<Work> {
    send(peer, load, seed, load.count..load.count + 2 * load.connections).await?;
    let (work, _) = send(peer, load, seed, 0..load.count).await?;
    Ok(work)
}

/// Uploads a few objects to a peer that keeps them below `dir`, then fetches them again and again. The first pass is the first read since
/// the server started; all of them lie in the page cache, whoever put them there. Answers each pass by name.
pub(crate) async fn download(peer: &dyn Peer, dir: &Path, load: Load, seed: u64) -> anyhow::Result<Vec<(&'static str, Work)>> {
    let (_, answers) = send(peer, load, seed, 0..OBJECTS).await?;
    let client = client()?;
    let requests = answers.iter().enumerate().map(|(index, answer)| peer.download(&client, index as u64, answer));
    let requests: Vec<_> = requests.collect::<anyhow::Result<_>>()?;
    crate::settle();
    crate::disk::warm(dir)?;
    let first = fetch(peer, &client, &requests, Load { count: OBJECTS, ..load }).await?;
    let again = fetch(peer, &client, &requests, load).await?;
    Ok(vec![("first read", first), ("read again", again)])
}

/// Uploads these of the load's objects. Answers each one's answer, in order.
async fn send(peer: &dyn Peer, load: Load, seed: u64, indexes: Range<u64>) -> anyhow::Result<(Work, Vec<Bytes>)> {
    let (photos, client, next) = (Arc::new(photos(load, seed)?), client()?, AtomicU64::new(indexes.start));
    crate::settle();
    let (cpu, begun) = (peer.cpu()?, Instant::now());
    let worker = || async {
        let mut answers = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= indexes.end {
                return anyhow::Ok(answers);
            }
            let pieces = stream::iter(photos.pieces(index).into_iter().map(Ok::<_, std::io::Error>));
            let request = peer.upload(&client, index).header("content-length", photos.size_bytes());
            let answer = request.body(reqwest::Body::wrap_stream(pieces)).send().await?;
            let status = answer.status();
            let body = answer.bytes().await?;
            anyhow::ensure!(status.is_success(), "{}: {status}: {}", peer.name(), String::from_utf8_lossy(&body));
            answers.push((index, body));
        }
    };
    let mut answers: Vec<(u64, Bytes)> = try_join_all((0..load.connections).map(|_| worker())).await?.into_iter().flatten().collect();
    let (elapsed, cpu) = (begun.elapsed(), peer.cpu()?.saturating_sub(cpu));
    answers.sort_unstable_by_key(|(index, _)| *index);
    let requests = indexes.end - indexes.start;
    let work = Work { requests, bytes: requests * photos.size_bytes(), elapsed, cpu: Some(cpu) };
    Ok((work, answers.into_iter().map(|(_, answer)| answer).collect()))
}

async fn fetch(peer: &dyn Peer, client: &reqwest::Client, requests: &[reqwest::Request], load: Load) -> anyhow::Result<Work> {
    let (next, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let (cpu, begun) = (peer.cpu()?, Instant::now());
    let worker = || async {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= load.count {
                return anyhow::Ok(());
            }
            let request = &requests[usize::try_from(index)? % requests.len()];
            let mut answer = client.execute(request.try_clone().context("a request with a body")?).await?.error_for_status()?;
            while let Some(chunk) = answer.chunk().await? {
                bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }
    };
    try_join_all((0..load.connections).map(|_| worker())).await?;
    let (elapsed, cpu) = (begun.elapsed(), peer.cpu()?.saturating_sub(cpu));
    let bytes = bytes.into_inner();
    anyhow::ensure!(bytes >= load.count * (load.size_bytes - 4), "{}: {bytes} bytes are too few", peer.name());
    Ok(Work { requests: load.count, bytes, elapsed, cpu: Some(cpu) })
}
