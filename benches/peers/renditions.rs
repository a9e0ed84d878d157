//! Renditions beside others': cold ones beside libvips in process and thumbor, hot ones beside nginx with the same bytes in a file, one that
//! a thousand clients ask for at once, what hot ones wait while cold ones take all processors, and what others wait while hostile files come in.
//!
//! One thread means one processor: the server, nginx, thumbor and libvips are each pinned to the same one, where Halidom finds one core and so
//! takes one thread for HTTP and renders one at a time; what asks is pinned to another one. Cold means that nothing of the photo was rendered
//! before: each request has a copy of its own, another blob by a comment in it, and `/metrics` has to say that all were rendered; five sizes
//! are asked of one copy at once, each on a connection of its own, as pages do, while libvips makes one after the other. The
//! originals lie in memory for all: Halidom's and thumbor's in the page cache, libvips's in its own.

mod bombs;
mod cold;
mod connection;
mod crowd;
mod edge;
mod hot;
mod pace;
mod photos;
mod processors;
mod quality;
mod site;
mod tail;
mod thumbor;
mod vips;

use std::path::{Path, PathBuf};

use crate::{Options, What};

/// Programs and photos, as the command line names them.
#[derive(Debug, clap::Args)]
pub(crate) struct RenditionOptions {
    /// A Python that has pyvips and thumbor
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// wrk, which asks for hot renditions
    #[arg(long, value_name = "FILE")]
    wrk: Option<PathBuf>,
    /// A directory of photos with a MANIFEST.tsv; of the project's own, far smaller ones where there is none
    #[arg(long, value_name = "DIR", env = "HALIDOM_CORPUS")]
    corpus: Option<PathBuf>,
    /// JPEGs to render, instead of those of a corpus
    #[arg(long, value_name = "FILE")]
    photo: Vec<PathBuf>,
}

/// Does what is wanted; answers what goes into the report, piece by piece.
pub(crate) fn measure(options: &Options, dir: &Path, wanted: impl Fn(What) -> bool) -> anyhow::Result<Vec<String>> {
    let works = [What::RenditionsCold, What::RenditionsHot, What::RenditionsCrowd, What::RenditionsTail, What::RenditionsBombs];
    if !works.iter().any(|work| wanted(*work)) {
        return Ok(Vec::new());
    }
    halidom::runtime::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let photos = photos::Photos::choose(&options.renditions, dir)?;
    let mut sections = vec![photos.describe()];
    if wanted(What::RenditionsCold) {
        sections.push(cold::measure(options, dir, &runtime, &photos)?);
    }
    if wanted(What::RenditionsHot) {
        sections.push(hot::measure(options, dir, &runtime, &photos)?);
    }
    if wanted(What::RenditionsCrowd) {
        sections.push(crowd::measure(options, dir, &runtime, &photos)?);
    }
    if wanted(What::RenditionsTail) {
        sections.push(tail::measure(options, dir, &runtime, &photos)?);
    }
    if wanted(What::RenditionsBombs) {
        sections.push(bombs::measure(options, dir, &runtime, &photos)?);
    }
    Ok(sections)
}

/// What a thread answered.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("one that asks panicked")))
}
