//! Renditions from memory beside the same bytes in a file of nginx's.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use super::edge::Edge;
use super::photos::Photos;
use super::processors::{self, Processors};
use super::site::{Served, Site, Size};
use crate::Options;
use crate::peers::nginx::Nginx;
use crate::report::spread;

/// What a rendition should have, in bytes.
const WANTED_BYTES: usize = 12_000;
/// Connections that wrk keeps.
const CONNECTIONS: u32 = 32;
/// How long each is asked in a round.
const SECONDS: u64 = 8;
/// Who is asked; of Halidom also what has nothing to do, which every request costs. nginx opens its file for each, unless it is told to keep
/// it open.
const PEERS: [(&str, Asked); 5] = [
    ("halidom", Asked::Rendition),
    ("halidom, through an edge", Asked::AtAnEdge),
    ("halidom, /livez: nothing but a request", Asked::Nothing),
    ("nginx", Asked::File("")),
    ("nginx, open_file_cache", Asked::File("open_file_cache max=100 inactive=10m;")),
];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Rendition,
    /// Of an edge, which has asked its site once.
    AtAnEdge,
    Nothing,
    /// Of nginx, with these settings.
    File(&'static str),
}

/// What wrk found.
#[derive(Debug, Clone, Copy)]
struct Found {
    rate: f64,
    /// In milliseconds.
    median: f64,
    p99: f64,
    /// CPU time of the server a request, in microseconds.
    cpu: f64,
}

pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let title = "\n### Renditions from memory\n\n";
    let (Some(wrk), Some(nginx)) = (&options.renditions.wrk, &options.nginx) else {
        return Ok(format!("{title}Not measured: there is no wrk, or no nginx."));
    };
    let (processors, seconds) = (Processors::choose()?, (SECONDS / options.quick.max(1)).max(1));
    let mut found: [Vec<Found>; PEERS.len()] = Default::default();
    let mut bytes = 0;
    for round in 0..options.rounds {
        let site = runtime.block_on(Site::start(dir, Some(processors.measured), false))?;
        let (path, rendition) = near(&site, runtime, photos)?;
        bytes = rendition.len();
        for (place, (name, asked)) in PEERS.into_iter().enumerate() {
            let ask = |url: String, cpu: &dyn Fn() -> anyhow::Result<Duration>| {
                // What is asked first is not measured: connections, threads and memory come then.
                run(wrk, &url, processors.asking, 1)?;
                let before = cpu()?;
                let mut found = run(wrk, &url, processors.asking, seconds)?;
                found.cpu = cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / (found.rate * seconds as f64);
                anyhow::Ok(found)
            };
            let ask_site = |path: &str| ask(format!("http://127.0.0.1:{}{path}", site.port), &|| site.cpu());
            let before = runtime.block_on(site.served())?;
            let one = match asked {
                Asked::Rendition => ask_site(&path)?,
                Asked::AtAnEdge => {
                    let edge = runtime.block_on(Edge::start(dir, Some(processors.measured), &site))?;
                    ask(format!("http://127.0.0.1:{}{path}", edge.port), &|| edge.cpu())?
                }
                Asked::Nothing => ask_site("/livez")?,
                Asked::File(more) => {
                    let command = processors::command(nginx, Some(processors.measured));
                    let nginx = runtime.block_on(Nginx::launch(dir, command, more))?;
                    std::fs::write(nginx.root().join("hot.jpg"), &rendition)?;
                    ask(format!("{}/hot.jpg", nginx.base()), &|| crate::peer::Peer::cpu(&nginx))?
                }
            };
            let since = runtime.block_on(site.served())?.since(before);
            anyhow::ensure!(Served { cached: 0, ..since } == Served::default(), "not all came from memory: {since:?}");
            eprintln!("round {round}, from memory: {name}: {one:?}");
            found[place].push(one);
        }
    }
    let mut out = format!(
        "{title}The same {bytes} bytes, {CONNECTIONS} kept connections, one thread each. {} The generator is wrk.\n\n",
        processors.describe()
    );
    out += "| peer | requests/s | Halidom ÷ peer | server's CPU a request, µs | median, ms | p99, ms |\n| --- | --- | --- | --- | --- | --- |\n";
    for ((name, _), all) in PEERS.iter().zip(&found) {
        let of = |figure: fn(&Found) -> f64, decimals| spread(all.iter().map(figure).collect(), decimals);
        let ratio = spread(found[0].iter().zip(all).map(|(ours, other)| ours.rate / other.rate).collect(), 2);
        let (rate, cpu, median, p99) = (of(|it| it.rate, 0), of(|it| it.cpu, 1), of(|it| it.median, 2), of(|it| it.p99, 2));
        let _ = writeln!(out, "| {name} | {rate} | {ratio} | {cpu} | {median} | {p99} |");
    }
    Ok(out)
}

/// The rendition of 320 px that comes nearest to what is wanted: its path and its bytes. It lies in memory from then on.
fn near(site: &Site, runtime: &Runtime, photos: &Photos) -> anyhow::Result<(String, Vec<u8>)> {
    let mut connection = site.connect()?;
    let mut nearest: Option<(String, Vec<u8>)> = None;
    for photo in &photos.all {
        let hash = runtime.block_on(site.upload(photo, 0, 1))?.pop().context("nothing was uploaded")?;
        for quality in (50..=95).step_by(5) {
            let path = runtime.block_on(site.sign(&hash, Size { side: 320, quality }))?;
            let rendition = connection.get(&path)?;
            let off = |rendition: &Vec<u8>| rendition.len().abs_diff(WANTED_BYTES);
            if nearest.as_ref().is_none_or(|(_, other)| off(&rendition) < off(other)) {
                nearest = Some((path, rendition));
            }
        }
    }
    nearest.context("no photo")
}

/// Has wrk ask for so many seconds.
fn run(wrk: &Path, url: &str, processor: usize, seconds: u64) -> anyhow::Result<Found> {
    let mut command: Command = processors::command(wrk, Some(processor));
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", url]);
    let output = command.output().context("could not start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Reads what wrk prints; `None` also where requests failed.
fn parse(text: &str) -> Option<Found> {
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name).map(str::trim));
    if value("Non-2xx or 3xx responses:").is_some() || value("Socket errors:").is_some() {
        return None;
    }
    Some(Found {
        rate: value("Requests/sec:")?.parse().ok()?,
        median: milliseconds(value("50%")?)?,
        p99: milliseconds(value("99%")?)?,
        cpu: 0.0,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic())?);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
