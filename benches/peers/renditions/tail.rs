//! How long renditions from memory take while others keep all processors busy.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::photos::Photos;
use super::site::{Site, Size};
use crate::Options;
use crate::report::spread;

/// Connections that ask for the rendition from memory.
const ASKING: u32 = 8;
/// How often each asks: 400 a second together, as many as a site has on average.
const EVERY: Duration = Duration::from_millis(20);
/// Connections that ask for renditions that have to be made.
const COLD: u32 = 6;
/// How long each state is watched in a round.
const SECONDS: u64 = 10;
/// Sides that the cold ones begin with, in pixels: each request has another, and so is another rendition.
const SIDES: std::ops::Range<u32> = 400..1_280;

/// One state in one round.
#[derive(Debug, Clone, Copy)]
struct Watched {
    /// In milliseconds.
    median: f64,
    p99: f64,
    /// Renditions made a second meanwhile.
    rendered: f64,
    /// Processors that the server took.
    processors: f64,
}

pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let length = Duration::from_secs((SECONDS / options.quick.max(1)).max(1));
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let site = runtime.block_on(Site::start(dir, None, false))?;
        let mut hashes = Vec::new();
        for photo in &photos.all {
            hashes.extend(runtime.block_on(site.upload(photo, round as u64, 1))?);
        }
        let hash = hashes.first().context("no photo")?;
        let hot = runtime.block_on(site.sign(hash, Size { side: 320, quality: 80 }))?;
        let cold = SIDES.flat_map(|side| hashes.iter().map(move |hash| (hash.as_str(), Size { side, quality: 80 })));
        let cold = runtime.block_on(site.sign_all(&cold.collect::<Vec<_>>()))?;
        site.connect()?.get(&hot)?;
        site.settle()?;
        quiet.push(watch(&site, runtime, &hot, &[], length)?);
        busy.push(watch(&site, runtime, &hot, &cold, length)?);
        eprintln!("round {round}, while others are rendered: quiet {:?}, busy {:?}", quiet.last(), busy.last());
    }
    let mut out = format!(
        "\n### Renditions from memory while others are rendered\n\n{} requests a second for one from memory, {COLD} connections for others that have to be made. A time \
         is from when a request was due.\n\n",
        ASKING as u128 * 1_000 / EVERY.as_millis()
    );
    out += "| meanwhile | median, ms | p99, ms | p99 ÷ median | renditions made/s | processors that the server took |\n| --- | --- | --- | --- | --- | --- |\n";
    for (name, all) in [("nothing", quiet), ("cold renditions", busy)] {
        let of = |figure: fn(&Watched) -> f64, decimals| spread(all.iter().map(figure).collect(), decimals);
        let (median, p99, ratio) = (of(|it| it.median, 2), of(|it| it.p99, 2), of(|it| it.p99 / it.median, 1));
        let (rendered, processors) = (of(|it| it.rendered, 1), of(|it| it.processors, 2));
        let _ = writeln!(out, "| {name} | {median} | {p99} | {ratio} | {rendered} | {processors} |");
    }
    Ok(out)
}

/// Asks for `hot` at a steady pace, and for each of `cold` once, by and by.
fn watch(site: &Site, runtime: &Runtime, hot: &str, cold: &[String], length: Duration) -> anyhow::Result<Watched> {
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (served, cpu, begun) = (runtime.block_on(site.served())?, site.cpu()?, Instant::now());
    let mut took = std::thread::scope(|scope| {
        let cold_ones = if cold.is_empty() { 0 } else { COLD };
        let rendering: Vec<_> = (0..cold_ones).map(|_| scope.spawn(|| keep_busy(site, cold, &next, &is_over))).collect();
        let asking: Vec<_> = (0..ASKING).map(|nth| scope.spawn(move || ask(site, hot, EVERY * nth / ASKING, length))).collect();
        let took: anyhow::Result<Vec<_>> = asking.into_iter().map(joined).collect();
        is_over.store(true, Ordering::Relaxed);
        rendering.into_iter().try_for_each(joined)?;
        anyhow::Ok(took?.concat())
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = site.cpu()?.saturating_sub(cpu).as_secs_f64();
    let rendered = runtime.block_on(site.served())?.since(served).rendered as f64;
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or_default().as_secs_f64() * 1e3;
    Ok(Watched { median: at(50), p99: at(99), rendered: rendered / elapsed, processors: cpu / elapsed })
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("one that asks panicked")))
}

fn keep_busy(site: &Site, cold: &[String], next: &AtomicU64, is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut connection = site.connect()?;
    while !is_over.load(Ordering::Relaxed) {
        let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed))?;
        connection.get(cold.get(index).context("all cold renditions were asked for")?)?;
    }
    Ok(())
}

/// Asks at a steady pace, and does not wait for a turn that was missed: answers how long after it was due each request was answered.
fn ask(site: &Site, path: &str, first: Duration, length: Duration) -> anyhow::Result<Vec<Duration>> {
    // Its own waiting for a processor is not the server's: where this is allowed, it comes first.
    let _ = rustix::process::nice(-10);
    let mut connection = site.connect()?;
    let begun = Instant::now() + first;
    let (mut took, mut due) = (Vec::new(), begun);
    while due < begun + length {
        // A pace, by the clock: a timer of tokio's is only good to a millisecond.
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        connection.get(path)?;
        took.push(due.elapsed());
        due += EVERY;
    }
    Ok(took)
}
