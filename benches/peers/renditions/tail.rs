//! How long renditions from memory take while others keep all processors busy, beside the same bytes in a file of nginx's.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::pace::{self, Asked, Paced};
use super::photos::Photos;
use super::site::{Site, Size};
use crate::Options;
use crate::peers::nginx::Nginx;
use crate::report::spread;

/// Connections that ask for renditions that have to be made.
const COLD: u32 = 6;
/// How long each state is watched in a round.
const SECONDS: u64 = 10;
/// Sides that the cold ones begin with, in pixels: each request has another, and so is another rendition.
const SIDES: std::ops::Range<u32> = 400..1_280;

/// One state in one round.
#[derive(Debug, Clone, Copy)]
struct Watched {
    paced: Paced,
    /// Renditions made a second meanwhile.
    rendered: f64,
    /// Processors that Halidom took.
    processors: f64,
}

/// Renditions that have to be made, each asked for once.
struct Cold {
    paths: Vec<String>,
    next: AtomicU64,
}

pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let length = Duration::from_secs((SECONDS / options.quick.max(1)).max(1));
    let mut found: Vec<(String, Vec<Watched>)> = Vec::new();
    for round in 0..options.rounds {
        let site = runtime.block_on(Site::start(dir, None, false))?;
        let mut hashes = Vec::new();
        for photo in &photos.all {
            hashes.extend(runtime.block_on(site.upload(photo, round as u64, 1))?);
        }
        let hash = hashes.first().context("no photo")?;
        let hot = runtime.block_on(site.sign(hash, Size { side: 320, quality: 80 }))?;
        let paths = SIDES.flat_map(|side| hashes.iter().map(move |hash| (hash.as_str(), Size { side, quality: 80 })));
        let paths = runtime.block_on(site.sign_all(&paths.collect::<Vec<_>>()))?;
        let cold = Cold { paths, next: AtomicU64::new(0) };
        let rendition = site.connect()?.get(&hot)?;
        let nginx = options.nginx.as_ref().map(|nginx| runtime.block_on(Nginx::launch(dir, Command::new(nginx), ""))).transpose()?;
        let mut asked = vec![("halidom", Asked { port: site.port, path: &hot, token: None })];
        if let Some(nginx) = &nginx {
            std::fs::write(nginx.root().join("hot.jpg"), &rendition)?;
            asked.push(("nginx", Asked { port: nginx.port(), path: "/hot.jpg", token: None }));
        }
        site.settle()?;
        for (meanwhile, cold) in [("nothing", None), ("cold renditions of Halidom's", Some(&cold))] {
            for (peer, asked) in &asked {
                let watched = watch(&site, runtime, *asked, cold, length)?;
                eprintln!("round {round}, {peer}, meanwhile {meanwhile}: {watched:?}");
                let row = format!("{meanwhile} | {peer}");
                match found.iter_mut().find(|(name, _)| *name == row) {
                    Some((_, all)) => all.push(watched),
                    None => found.push((row, vec![watched])),
                }
            }
        }
    }
    Ok(report(&found))
}

fn report(found: &[(String, Vec<Watched>)]) -> String {
    let mut out = format!(
        "\n### Renditions from memory while others are rendered\n\n{} {COLD} connections ask Halidom for others that have to be made. Everything may run on every processor. \
         nginx serves the same bytes from a file, beside the same cold renditions.\n\n",
        pace::describe()
    );
    out += "| meanwhile | asked | median, ms | p99, ms | p99 ÷ median | renditions made/s | processors that Halidom took | p99 of the asking threads' own waiting, ms |\n";
    out += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (row, all) in found {
        let of = |figure: fn(&Watched) -> f64, decimals| spread(all.iter().map(figure).collect(), decimals);
        let (median, p99, ratio) = (of(|it| it.paced.median, 2), of(|it| it.paced.p99, 2), of(|it| it.paced.p99 / it.paced.median, 1));
        let (rendered, processors, late) = (of(|it| it.rendered, 1), of(|it| it.processors, 2), of(|it| it.paced.late, 2));
        let _ = writeln!(out, "| {row} | {median} | {p99} | {ratio} | {rendered} | {processors} | {late} |");
    }
    out
}

/// Asks for one at a steady pace, and for each of `cold` once, by and by.
fn watch(site: &Site, runtime: &Runtime, asked: Asked<'_>, cold: Option<&Cold>, length: Duration) -> anyhow::Result<Watched> {
    let is_over = AtomicBool::new(false);
    let (served, cpu, begun) = (runtime.block_on(site.served())?, site.cpu()?, Instant::now());
    let paced = std::thread::scope(|scope| {
        let busy = cold.into_iter().flat_map(|cold| (0..COLD).map(move |_| cold));
        let busy: Vec<_> = busy.map(|cold| scope.spawn(|| keep_busy(site, cold, &is_over))).collect();
        let paced = pace::ask(asked, length);
        is_over.store(true, Ordering::Relaxed);
        busy.into_iter().try_for_each(super::joined)?;
        paced
    })?;
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = site.cpu()?.saturating_sub(cpu).as_secs_f64();
    let rendered = runtime.block_on(site.served())?.since(served).rendered as f64;
    Ok(Watched { paced, rendered: rendered / elapsed, processors: cpu / elapsed })
}

fn keep_busy(site: &Site, cold: &Cold, is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut connection = site.connect()?;
    while !is_over.load(Ordering::Relaxed) {
        let index = usize::try_from(cold.next.fetch_add(1, Ordering::Relaxed))?;
        connection.get(cold.paths.get(index).context("all cold renditions were asked for")?)?;
    }
    Ok(())
}
