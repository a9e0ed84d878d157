//! Renditions of photos of which nothing was rendered before.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::connection::Connection;
use super::photos::{Photo, Photos};
use super::processors::Processors;
use super::quality::{self, Likeness, Matched, THEIRS};
use super::site::{Served, Site, Size};
use super::thumbor::Thumbor;
use super::vips::Vips;
use crate::Options;
use crate::report::spread;

/// Sides of what a gallery asks for, in pixels.
const LADDER: [u32; 5] = [2048, 1280, 640, 320, 160];
/// The same where there are previews: 320 pixels would have been made with them.
const LADDER_OF_PREVIEWS: [u32; 5] = [2048, 1280, 640, 300, 160];
/// What is made.
struct Work {
    title: &'static str,
    /// In pixels.
    sides: &'static [u32],
    /// Whether thumbor is asked, too.
    of_thumbor: bool,
    previews: Previews,
}

/// Whether small renditions are made from previews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previews {
    /// There are none, nor are they made.
    None,
    /// Nor are there decoder processes: the server decodes by itself.
    NoneUndivided,
    /// They are, but of no photo is there one yet.
    ToBeMade,
    /// They lie there.
    Stored,
}

const WORKS: [Work; 7] = [
    Work { title: "cold, 320 px", sides: &[320], of_thumbor: true, previews: Previews::None },
    Work { title: "cold, 320 px, without decoder processes", sides: &[320], of_thumbor: false, previews: Previews::NoneUndivided },
    Work { title: "cold, 1280 px", sides: &[1280], of_thumbor: false, previews: Previews::None },
    Work { title: "cold, five sizes at once, 2048 to 160 px", sides: &LADDER, of_thumbor: false, previews: Previews::None },
    Work { title: "cold, five sizes at once, and the preview", sides: &LADDER, of_thumbor: false, previews: Previews::ToBeMade },
    Work { title: "five sizes at once, the preview stored", sides: &LADDER_OF_PREVIEWS, of_thumbor: false, previews: Previews::Stored },
    Work { title: "from the stored preview, 300 px", sides: &[300], of_thumbor: false, previews: Previews::Stored },
];
/// Those that are asked for with previews.
const OF_PREVIEWS: [u32; 6] = [2048, 1280, 640, 320, 300, 160];
/// Times that each photo is rendered in a round.
const TIMES: u64 = 8;

/// Who makes renditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Halidom,
    Vips,
    Thumbor,
}

impl Who {
    const ALL: [Self; 3] = [Self::Halidom, Self::Vips, Self::Thumbor];
}

/// What one needed in one round, photo by photo: the median of its times; `None` for photos that the work is not done with.
struct Row {
    work: usize,
    who: Who,
    medians: Vec<Option<Duration>>,
}

/// Those that are measured, running.
struct Peers<'a> {
    runtime: &'a Runtime,
    photos: &'a Photos,
    processors: Processors,
    vips: Option<Vips>,
    thumbor: Option<Thumbor>,
    matched: Vec<Matched>,
    /// The same where there are previews.
    matched_previews: Vec<Matched>,
}

/// Measures; answers tables for the report.
pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let processors = Processors::choose()?;
    let python = options.renditions.python.as_deref();
    let mut vips = python.map(|python| Vips::start(python, Some(processors.measured))).transpose()?;
    let version = vips.as_mut().map(Vips::version).transpose()?;
    let matched = quality::matched(&LADDER, dir, runtime, photos, false, vips.as_mut())?;
    let matched_previews = quality::matched(&OF_PREVIEWS, dir, runtime, photos, true, vips.as_mut())?;
    let starting = python.map(|python| runtime.block_on(Thumbor::start(dir, python, &photos.dir, processors.measured)));
    let thumbor = starting.transpose().unwrap_or_else(|error| {
        eprintln!("thumbor does not start, measured without it: {error:#}");
        None
    });
    let mut peers = Peers { runtime, photos, processors, vips, thumbor, matched, matched_previews };
    let of_thumbor = peers.of_thumbor()?;
    let times = (TIMES / options.quick.max(1)).max(2);
    let (mut rows, mut served) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let start = |previews| runtime.block_on(Site::start(dir, Some(processors.measured), previews));
        let without = start(false)?;
        for (work, Work { title, previews, .. }) in WORKS.iter().enumerate() {
            let seed = (round * WORKS.len() + work) as u64;
            // Where they are to be made the photos come while there are none.
            let own = match previews {
                Previews::ToBeMade => Some(start(false)?),
                Previews::NoneUndivided => Some(runtime.block_on(Site::start_undivided(dir, Some(processors.measured)))?),
                Previews::Stored => Some(start(true)?),
                Previews::None => None,
            };
            let asked = peers.asked(own.as_ref().unwrap_or(&without), work, seed, times)?;
            let own = match own {
                Some(site) if *previews == Previews::ToBeMade => Some(runtime.block_on(site.with_previews())?),
                own => own,
            };
            let site = own.as_ref().unwrap_or(&without);
            let before = runtime.block_on(site.served())?;
            rows.extend(peers.round(site, work, &asked, times)?);
            let since = runtime.block_on(site.served())?.since(before);
            eprintln!("round {round}, {title}: {since:?}");
            served.push((work, since));
        }
    }
    for (work, served) in &served {
        let of_one_size = WORKS[*work].sides.len() == 1;
        let asked_for = photos.all.iter().filter(|photo| WORKS[*work].previews != Previews::Stored || photo.has_preview());
        let asked = times * asked_for.count() as u64;
        anyhow::ensure!(!of_one_size || *served == Served { rendered: asked, ..Served::default() }, "not all were cold: {served:?}");
    }
    Ok(report(&peers, &rows, version.as_deref(), of_thumbor, &served))
}

impl Peers<'_> {
    /// The sizes of a work, as they are asked for of one.
    fn sizes(&self, work: usize, who: Who) -> Vec<Size> {
        let found = self.matched_of(work).into_iter();
        found.map(|matched| if who == Who::Halidom { matched.ours } else { matched.theirs }).collect()
    }

    /// What is asked for of each for the sizes of a work.
    fn matched_of(&self, work: usize) -> Vec<&Matched> {
        let all =
            if matches!(WORKS[work].previews, Previews::ToBeMade | Previews::Stored) { &self.matched_previews } else { &self.matched };
        let of = |side: &u32| all.iter().find(|matched| matched.theirs.side == *side);
        WORKS[work].sides.iter().filter_map(of).collect()
    }

    /// Uploads what is asked for in a round of a work; answers the paths of each photo's copies.
    fn asked(&self, site: &Site, work: usize, seed: u64, times: u64) -> anyhow::Result<Vec<Vec<Vec<String>>>> {
        let ours = self.sizes(work, Who::Halidom);
        let mut asked = Vec::new();
        for photo in &self.photos.all {
            let is_asked = WORKS[work].previews != Previews::Stored || photo.has_preview();
            asked.push(if is_asked { self.runtime.block_on(paths(site, photo, seed, times, &ours))? } else { vec![] });
        }
        Ok(asked)
    }

    /// One round of a work: photo by photo, one peer after the other.
    fn round(&mut self, site: &Site, work: usize, asked: &[Vec<Vec<String>>], times: u64) -> anyhow::Result<Vec<Row>> {
        let theirs = self.sizes(work, Who::Vips);
        if WORKS[work].previews == Previews::Stored {
            self.runtime.block_on(site.await_previews(asked.iter().map(|paths| paths.len() as u64).sum()))?;
        }
        site.settle()?;
        let mut rows: Vec<_> = Who::ALL.into_iter().map(|who| Row { work, who, medians: Vec::new() }).collect();
        for (photo, paths) in self.photos.all.iter().zip(asked) {
            if paths.is_empty() {
                rows.iter_mut().for_each(|row| row.medians.push(None));
                continue;
            }
            rows[0].medians.push(Some(self.processors.on_asking(|| at_once(site, paths))?));
            if let Some(vips) = &mut self.vips {
                rows[1].medians.push(Some(median(vips.thumbnails(&photo.path, &theirs, times)?)));
            }
            if let (Some(thumbor), true) = (&self.thumbor, WORKS[work].of_thumbor) {
                let paths: Vec<Vec<_>> =
                    (0..times).map(|_| theirs.iter().map(|size| Thumbor::path(&photo.path, *size)).collect()).collect();
                rows[2].medians.push(Some(self.processors.on_asking(|| one_by_one(thumbor.connect()?, &paths))?));
            }
        }
        rows.retain(|row| row.medians.iter().any(Option::is_some));
        Ok(rows)
    }

    /// How near thumbor's renditions of 320 px come. Its first ones, too: not measured.
    fn of_thumbor(&mut self) -> anyhow::Result<Option<Likeness>> {
        let (Some(thumbor), Some(vips)) = (&self.thumbor, &mut self.vips) else { return Ok(None) };
        let mut connection = thumbor.connect()?;
        let mut all = Vec::new();
        for photo in &self.photos.all {
            let rendition = connection.get(&Thumbor::path(&photo.path, Size { side: 320, quality: THEIRS }))?;
            all.push(vips.compare(&photo.path, &rendition)?);
        }
        Ok(Some(Likeness::mean(&all)))
    }
}

/// Uploads copies of a photo; answers the paths to ask of each.
async fn paths(site: &Site, photo: &Photo, seed: u64, times: u64, sizes: &[Size]) -> anyhow::Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for hash in site.upload(photo, seed + 1, times).await? {
        let mut paths = Vec::new();
        for size in sizes {
            paths.push(site.sign(&hash, *size).await?);
        }
        all.push(paths);
    }
    Ok(all)
}

/// The median time of asking for all of a photo's paths, one after the other.
fn one_by_one(mut connection: Connection, all: &[Vec<String>]) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for paths in all {
        let begun = Instant::now();
        for path in paths {
            connection.get(path)?;
        }
        took.push(begun.elapsed());
    }
    Ok(median(took))
}

/// The median time of asking for all of a photo's paths at once, each on a connection of its own.
fn at_once(site: &Site, all: &[Vec<String>]) -> anyhow::Result<Duration> {
    let count = all.first().map_or(0, Vec::len);
    let mut connections = (0..count).map(|_| site.connect()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut took = Vec::new();
    for paths in all {
        let begun = Instant::now();
        for (connection, path) in connections.iter_mut().zip(paths) {
            connection.ask(path)?;
        }
        for (connection, path) in connections.iter_mut().zip(paths) {
            connection.answer(path)?;
        }
        took.push(begun.elapsed());
    }
    Ok(median(took))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn report(peers: &Peers<'_>, rows: &[Row], version: Option<&str>, of_thumbor: Option<Likeness>, served: &[(usize, Served)]) -> String {
    let mut out = format!(
        "\n### Renditions of photos of which nothing was rendered before\n\nOne thread each. {} Of a photo the median of a round's times; the time of a round is the sum over all photos.\n\n",
        peers.processors.describe()
    );
    out += "| work | peer | images/s | Halidom ÷ peer | quality asked for | SSIM | PSNR, dB | kB |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    let of = |work: usize, who: Who| rows.iter().filter(move |row| row.work == work && row.who == who);
    let seconds = |row: &Row| row.medians.iter().flatten().sum::<Duration>().as_secs_f64();
    for (work, Work { title, sides, .. }) in WORKS.iter().enumerate() {
        for who in Who::ALL {
            let own: Vec<_> = of(work, who).collect();
            if own.is_empty() {
                continue;
            }
            let images = |row: &Row| (row.medians.iter().flatten().count() * sides.len()) as f64;
            let rates = spread(own.iter().map(|row| images(row) / seconds(row)).collect(), 1);
            let ratios = spread(of(work, Who::Halidom).zip(&own).map(|(ours, row)| seconds(row) / seconds(ours)).collect(), 2);
            let name = match who {
                Who::Halidom => "halidom, over HTTP".to_owned(),
                Who::Vips => format!("libvips {}, in process", version.unwrap_or_default()),
                Who::Thumbor => "thumbor, over HTTP".to_owned(),
            };
            let matched = peers.matched_of(work);
            let likeness: Vec<_> = matched.iter().filter_map(|matched| matched.likeness).collect();
            let mean = |all: Vec<Likeness>| (!all.is_empty()).then(|| Likeness::mean(&all));
            let (asked, likeness) = match who {
                Who::Halidom => (
                    matched.iter().map(|matched| matched.ours.quality.to_string()).collect::<Vec<_>>().join(", "),
                    mean(likeness.iter().map(|both| both.0).collect()),
                ),
                Who::Vips => (THEIRS.to_string(), mean(likeness.iter().map(|both| both.1).collect())),
                Who::Thumbor => (THEIRS.to_string(), of_thumbor),
            };
            let _ = writeln!(out, "| {title} | {name} | {rates} | {ratios} | {asked} | {} |", Likeness::cells(likeness));
        }
    }
    out += &by_photo(peers, rows);
    for (work, Work { title, .. }) in WORKS.iter().enumerate() {
        if let Some((_, Served { rendered, joined, cached })) = served.iter().find(|(of, _)| *of == work) {
            let _ = writeln!(out, "\n{title}: {rendered} rendered, {joined} joined, {cached} from the cache in a round.");
        }
    }
    out
}

/// libvips's time over Halidom's, photo by photo.
fn by_photo(peers: &Peers<'_>, rows: &[Row]) -> String {
    let mut out = String::from("\nHalidom ÷ libvips, photo by photo:\n\n| photo |");
    out.extend(WORKS.iter().map(|work| format!(" {} |", work.title)));
    out += &format!("\n|{}\n", " --- |".repeat(WORKS.len() + 1));
    for (place, photo) in peers.photos.all.iter().enumerate() {
        let _ = write!(out, "| {} |", photo.name);
        for work in 0..WORKS.len() {
            let of = |who: Who| rows.iter().filter(move |row| row.work == work && row.who == who);
            let ratio = |(ours, theirs): (&Row, &Row)| {
                Some((*theirs.medians.get(place)?)?.as_secs_f64() / (*ours.medians.get(place)?)?.as_secs_f64())
            };
            let _ = write!(out, " {} |", spread(of(Who::Halidom).zip(of(Who::Vips)).filter_map(ratio).collect(), 2));
        }
        out.push('\n');
    }
    out
}
