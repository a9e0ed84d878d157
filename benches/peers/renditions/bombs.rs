//! What other requests wait while hostile files come in, sixteen at a time: uploads of a corpus with its bombs, and renditions of what was
//! taken of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::runtime::Runtime;

use super::pace::{self, Asked, Paced};
use super::photos::Photos;
use super::site::{Site, Size};
use crate::Options;
use crate::peers::nginx::Nginx;
use crate::report::spread;

/// Files on their way at once.
const AT_ONCE: usize = 16;
/// How long each is asked for in a round.
const SECONDS: u64 = 20;
/// What renditions of the files are asked for in, another in each pass over the corpus, so that all are made.
const QUALITIES: std::ops::Range<u8> = 30..90;

/// What became of what was sent and asked for, by status.
#[derive(Debug, Default)]
struct Answered {
    well: AtomicU64,
    /// Not an image, broken, too large: for the files' sake.
    refused: AtomicU64,
    /// To come again.
    busy: AtomicU64,
}

/// One request in one round: alone, and beside the files.
#[derive(Debug, Clone, Copy)]
struct Watched {
    alone: Paced,
    beside: Paced,
}

pub(super) fn measure(options: &Options, dir: &Path, runtime: &Runtime, photos: &Photos) -> anyhow::Result<String> {
    let title = "\n### While hostile files come in\n\n";
    let Some(corpus) = &options.renditions.corpus else {
        return Ok(format!("{title}Not measured: no corpus was named."));
    };
    let files = files(corpus)?;
    let length = Duration::from_secs((SECONDS / options.quick.max(1)).max(1));
    let answered = Answered::default();
    let mut found: Vec<(&str, Vec<Watched>)> = Vec::new();
    let mut passes = Vec::new();
    for round in 0..options.rounds {
        let site = runtime.block_on(Site::start(dir, None, true))?;
        let photo = photos.all.first().context("no photo")?;
        let hash = runtime.block_on(site.upload(photo, round as u64, 1))?.pop().context("nothing was uploaded")?;
        let hot = runtime.block_on(site.sign(&hash, Size { side: 320, quality: 80 }))?;
        let rendition = site.connect()?.get(&hot)?;
        let nginx = options.nginx.as_ref().map(|nginx| runtime.block_on(Nginx::launch(dir, Command::new(nginx), ""))).transpose()?;
        let mut asked = vec![
            ("a rendition from memory", Asked { port: site.port, path: &hot, token: None }),
            ("`GET /v1/albums`", Asked { port: site.port, path: "/v1/albums", token: Some(site.token()) }),
        ];
        if let Some(nginx) = &nginx {
            std::fs::write(nginx.root().join("hot.jpg"), &rendition)?;
            asked.push(("the rendition's bytes, from nginx", Asked { port: nginx.port(), path: "/hot.jpg", token: None }));
        }
        site.settle()?;
        let alone: Vec<_> = asked.iter().map(|(_, asked)| pace::ask(*asked, length)).collect::<anyhow::Result<_>>()?;
        let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let beside = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let senders = (0..AT_ONCE).map(|_| keep_sending(&site, &files, &next, &is_over, &answered));
                runtime.block_on(try_join_all(senders)).map(|_| ())
            });
            let beside: anyhow::Result<Vec<_>> = asked.iter().map(|(_, asked)| pace::ask(*asked, length)).collect();
            is_over.store(true, Ordering::Relaxed);
            super::joined(sending)?;
            beside
        })?;
        passes.push(next.into_inner() as f64 / files.len() as f64);
        for ((name, _), (alone, beside)) in asked.iter().zip(alone.into_iter().zip(beside)) {
            let watched = Watched { alone, beside };
            eprintln!("round {round}, {name}, while hostile files come in: {watched:?}");
            match found.iter_mut().find(|(of, _)| of == name) {
                Some((_, all)) => all.push(watched),
                None => found.push((name, vec![watched])),
            }
        }
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut out = format!(
        "{title}{} files, bombs among them, {AT_ONCE} at a time, over and over ({} times in a round), and of each that is taken a rendition of 320 px in a quality that was not asked for \
         before: {} answers with 200 or 201, {} refusals, {} times 503, nothing else. {}\n\n",
        files.len(),
        spread(passes, 1),
        of(&answered.well),
        of(&answered.refused),
        of(&answered.busy),
        pace::describe()
    );
    out += "| asked for | median alone, ms | p99 alone, ms | median beside the files, ms | p99 beside the files, ms | p99 beside ÷ p99 alone |\n| --- | --- | --- | --- | --- | --- |\n";
    for (name, all) in &found {
        let of = |figure: fn(&Watched) -> f64, decimals| spread(all.iter().map(figure).collect(), decimals);
        let (median, p99) = (of(|it| it.alone.median, 2), of(|it| it.alone.p99, 2));
        let (median_beside, p99_beside) = (of(|it| it.beside.median, 2), of(|it| it.beside.p99, 2));
        let ratio = of(|it| it.beside.p99 / it.alone.p99, 1);
        let _ = writeln!(out, "| {name} | {median} | {p99} | {median_beside} | {p99_beside} | {ratio} |");
    }
    Ok(out)
}

/// Every file of the corpus but its lists.
fn files(corpus: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let listed = std::fs::read_dir(corpus)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    let is_photo = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|extension| extension != "tsv" && extension != "md");
    let mut paths: Vec<_> = listed.into_iter().filter(is_photo).collect();
    paths.sort();
    let named = |path: PathBuf| Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), std::fs::read(&path)?));
    paths.into_iter().map(named).collect()
}

/// Sends files and asks for their renditions, one after the other. Anything but an answer, a refusal for the file's sake or 503 is an error.
async fn keep_sending(
    site: &Site,
    files: &[(String, Vec<u8>)],
    next: &AtomicU64,
    is_over: &AtomicBool,
    answered: &Answered,
) -> anyhow::Result<()> {
    let note = |name: &str, status: u16| {
        let of = match status {
            200 | 201 => &answered.well,
            413 | 415 | 422 => &answered.refused,
            503 => &answered.busy,
            other => anyhow::bail!("{name}: {other}"),
        };
        of.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    while !is_over.load(Ordering::Relaxed) {
        let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed))?;
        let (name, bytes) = files.get(index % files.len()).context("no file")?;
        let (status, hash) = site.offer(name, bytes).await?;
        note(name, status)?;
        if let Some(hash) = hash {
            let pass = u8::try_from(index / files.len() % QUALITIES.len())?;
            let path = site.sign(&hash, Size { side: 320, quality: QUALITIES.start + pass }).await?;
            note(name, site.ask(&path).await?)?;
        }
    }
    Ok(())
}
