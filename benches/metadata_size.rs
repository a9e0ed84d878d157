//! How many bytes of metadata a photo costs: writes photos as uploads do, through the one writer, into RocksDB, compacts, and counts.
//!
//! ```sh
//! cargo bench --profile dev --bench metadata_size -- --photos 1000000 --data /var/tmp/size [--what-if]
//! ```
//!
//! `--data` must not exist; it is left there. `--what-if` also measures other encodings and compressions of the largest columns.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A measurement says what it found.

#[path = "metadata_size/count.rs"]
mod count;
#[path = "metadata_size/load.rs"]
mod load;
#[path = "metadata_size/what_if.rs"]
mod what_if;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{Metadata, MetadataSettings};
use halidom::runtime::Runtime;

/// What was asked for.
struct Options {
    photos: u64,
    data: PathBuf,
    what_if: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { photos: 50_000, data: PathBuf::new(), what_if: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--photos" => options.photos = value()?.parse().map_err(|_| "--photos needs a number".to_owned())?,
            "--data" => options.data = value()?.into(),
            "--what-if" => options.what_if = true,
            // What cargo says to every benchmark.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if options.data.as_os_str().is_empty() || options.data.exists() {
        return Err("--data must name a directory that does not exist".to_owned());
    }
    Ok(options)
}

fn main() {
    let options = options().unwrap_or_else(|message| {
        eprintln!("{message}");
        std::process::exit(2)
    });
    std::fs::create_dir_all(&options.data).expect("the directory can be made");
    let metadata_dir = options.data.join("metadata");
    let engine = RocksEngine::open(&metadata_dir, &RocksSettings::default()).expect("an empty store opens");
    // The clock moves as at the peak of a large site; ids, nonces and hashes follow from the seed.
    let runtime = Runtime::simulated(1, 1_700_000_000_000);
    let metadata = Metadata::open(Arc::new(engine.clone()), runtime.clone(), MetadataSettings::default()).expect("a new store opens");
    let started = runtime_clock();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads");
    let loaded = threads.block_on(load::load(&metadata, &runtime, options.photos));
    metadata.close();
    println!("{} photos of {} users in {} albums; written in {:.0?}", loaded.photos, loaded.users, loaded.albums, started.monotonic());
    println!("log (WAL) before compaction: {}", human(log_bytes(&metadata_dir)));
    println!("tables before compaction: {}", human(count::table_bytes(&engine)));
    engine.compact().expect("the store compacts");
    count::print(&engine, loaded.photos);
    if options.what_if {
        what_if::print(&engine, &options.data, loaded.photos);
    }
    println!("done after {:.0?}", started.monotonic());
}

fn runtime_clock() -> halidom::runtime::Clock {
    halidom::runtime::Clock::system()
}

/// Bytes of RocksDB's write-ahead log.
fn log_bytes(metadata: &Path) -> u64 {
    let files = std::fs::read_dir(metadata).expect("the store is there").flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn human(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
