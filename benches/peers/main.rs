//! The same work on the same disk in the same run: Halidom, a minimal program, SeaweedFS, Garage, rclone, nginx, libvips, thumbor. `make bench-peers`
//! runs it.
//!
//! One generator drives every peer over HTTP on loopback, with the same bodies and so many connections; peers take turns, round after
//! round, so that what the machine does meanwhile hits all alike. Only ratios are printed as results. CPU time is the server's own
//! (proc(5)), the generator's is not in it. Who syncs what is said beside each peer.

// A benchmark measures time, starts servers, reads its surroundings and prints; it stops at what it did not expect.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod disk;
mod floor;
mod load;
mod peer;
mod peers;
mod process;
mod renditions;
mod report;
mod s3;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use self::load::Load;
use self::peers::Kind;
use self::report::Report;

/// Measure Halidom against others.
#[derive(Debug, Parser)]
struct Options {
    /// Serve as the minimal program: what the benchmark starts itself with
    #[arg(long, hide = true, value_name = "ADDR")]
    floor: Option<std::net::SocketAddr>,
    /// As the minimal program: also take the digests that Halidom takes
    #[arg(long, hide = true)]
    digests: bool,
    /// A directory on the disk to measure, with 25 GB of room; everything lies below it and is removed in the end
    #[arg(long, value_name = "DIR", default_value = "target/bench-peers")]
    dir: PathBuf,
    /// SeaweedFS's program
    #[arg(long, value_name = "FILE")]
    weed: Option<PathBuf>,
    /// Garage's program
    #[arg(long, value_name = "FILE")]
    garage: Option<PathBuf>,
    /// nginx's program
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// rclone's program
    #[arg(long, value_name = "FILE")]
    rclone: Option<PathBuf>,
    #[command(flatten)]
    renditions: renditions::RenditionOptions,
    /// Which work to do; all where none is named
    #[arg(long, value_enum)]
    only: Vec<What>,
    /// How many times each peer has its turn
    #[arg(long, default_value = "3")]
    rounds: usize,
    /// Divides the number of requests, for a quick look
    #[arg(long, default_value = "1")]
    quick: u64,
    /// What `cargo bench` passes along
    #[arg(long, hide = true)]
    bench: bool,
}

/// The works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Durable upload of 3 MB at 32 connections
    UploadLarge,
    /// Durable upload of 50 kB at 32 connections
    UploadSmall,
    /// Upload of 3 MB and 50 kB at 32 connections to a Halidom whose blobs are in SeaweedFS's S3, beside rclone
    UploadS3,
    /// Download of 3 MB originals, first and again
    Download,
    /// Renditions of photos of which nothing was rendered before, beside libvips and thumbor
    RenditionsCold,
    /// Renditions of 12 kB from memory, beside nginx
    RenditionsHot,
    /// One rendition that a thousand clients ask for
    RenditionsCrowd,
    /// What renditions from memory wait while others are rendered
    RenditionsTail,
    /// What other requests wait while hostile files come in
    RenditionsBombs,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(address) = options.floor {
        return floor::serve(address, &options.dir, options.digests);
    }
    let dir = std::path::absolute(&options.dir)?;
    // Only ever what an earlier run left.
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("could not clear {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    let done = measure(&options, &dir);
    std::fs::remove_dir_all(&dir)?;
    println!("{}", done?.table());
    Ok(())
}

fn measure(options: &Options, dir: &std::path::Path) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = |what| options.only.is_empty() || options.only.contains(&what);
    let mut report = Report::new(dir)?;
    let scale = |count: u64| (count / options.quick.max(1)).max(32);

    let uploads = [(What::UploadLarge, 3_000_000, scale(384)), (What::UploadSmall, 50_000, scale(8_192))];
    for (_, size_bytes, count) in uploads.into_iter().filter(|(what, ..)| wanted(*what)) {
        let load = Load { size_bytes, count, connections: 32 };
        for round in 0..options.rounds {
            let direct = disk::write(&fresh(dir, "direct")?, load, round as u64)?;
            report.note(&load.title("upload"), "the disk alone, without HTTP", "file and directory", direct);
            for kind in Kind::uploading(options) {
                let (name, syncs, work) = runtime.block_on(async {
                    let peer = kind.start(dir).await?;
                    let work = load::upload(&*peer, load, round as u64).await?;
                    anyhow::Ok((peer.name(), peer.syncs(), work))
                })?;
                eprintln!("round {round}, {}: {name}: {work}", load.title("upload"));
                report.note(&load.title("upload"), name, syncs, work);
            }
        }
    }
    if let (true, Some(weed), Some(rclone)) = (wanted(What::UploadS3), &options.weed, &options.rclone) {
        for (size_bytes, count) in [(3_000_000, scale(384)), (50_000, scale(8_192))] {
            let load = Load { size_bytes, count, connections: 32 };
            for round in 0..options.rounds {
                for (name, work) in runtime.block_on(s3::measure(dir, weed, rclone, load, round as u64))? {
                    eprintln!("round {round}, {}: {name}: {work}", load.title("upload to S3"));
                    report.note(&load.title("upload to S3"), name, "nothing: SeaweedFS as shipped; Halidom its metadata", work);
                }
            }
        }
    }
    if wanted(What::Download) {
        let load = Load { size_bytes: 3_000_000, count: scale(2_048), connections: 8 };
        for round in 0..options.rounds {
            for kind in Kind::downloading(options) {
                let dir = fresh(dir, "download")?;
                let (name, works) = runtime.block_on(async {
                    let peer = kind.start(&dir).await?;
                    anyhow::Ok((peer.name(), load::download(&*peer, &dir, load, round as u64).await?))
                })?;
                // No file is made while downloads are measured.
                std::fs::remove_dir_all(&dir)?;
                for (pass, work) in works {
                    eprintln!("round {round}, {}: {name}, {pass}: {work}", load.title("download"));
                    report.note(&load.title("download"), &format!("{name}, {pass}"), "", work);
                }
            }
        }
    }
    for section in renditions::measure(options, dir, wanted)? {
        report.add(section);
    }
    Ok(report)
}

/// How long a server may take to answer for the first time.
const READY_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

/// A directory for one peer's turn, new. Nothing is removed before the end: for minutes ext4 passes over every inode that was freed of
/// late, one by one, whenever a file is made, and whoever came next would be measured doing that.
fn fresh(dir: &std::path::Path, name: &str) -> anyhow::Result<PathBuf> {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    let own = dir.join(format!("{name}-{}", TURNS.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir_all(&own)?;
    Ok(own)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Everything written so far by whoever was measured before goes to the disk now, not on the next one's time.
fn settle() {
    rustix::fs::sync();
}
