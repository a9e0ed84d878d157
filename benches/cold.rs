//! What recompressing saves of camera JPEGs, and how fast they are read again: through the store, as a download reads them, beside the codec alone.
//!
//! `cargo bench --bench cold -- --photos DIR [--only PREFIX] [--rounds N]`; without `--photos` the corpus of `HALIDOM_CORPUS`, of it the files that begin with
//! `cam_`. Both run on one core each, in turn, over the same files from memory; every file is proven back byte for byte.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A benchmark stops at what it did not expect, and looks at the clock.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use halidom::blobs::{BlobStore, ColdStore, Encoded, MemoryStore, StaysRaw, VerifySettings, VerifyStore, encode_cold};
use halidom::model::{BlobHash, BlobKey, BlobNonce};
use halidom::runtime::{BlockingPool, Clock};
use lepton_jpeg::{EnabledFeatures, SingleThreadPool, decode_lepton};

/// What a download reads at once.
const PIECE_BYTES: usize = 128 << 10;
/// Length of a container's head.
const HEAD_BYTES: usize = 112;

struct Options {
    photos: PathBuf,
    only: String,
    rounds: usize,
}

fn options() -> Options {
    let corpus = std::env::var_os("HALIDOM_CORPUS").map(PathBuf::from).unwrap_or_default();
    let mut options = Options { photos: corpus, only: "cam_".to_owned(), rounds: 5 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next().expect("a value");
        match argument.as_str() {
            "--photos" => (options.photos, options.only) = (value.into(), String::new()),
            "--only" => options.only = value,
            "--rounds" => options.rounds = value.parse().unwrap(),
            other => panic!("{other}: --photos DIR, --only PREFIX or --rounds N"),
        }
    }
    options
}

fn jpegs(options: &Options) -> Vec<(String, Bytes)> {
    let mut found = vec![];
    for entry in std::fs::read_dir(&options.photos).expect("the photos: --photos DIR, or HALIDOM_CORPUS") {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&options.only) && entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
                found.push((name, bytes.into()));
            }
        }
    }
    found.sort();
    found
}

/// The codec alone, in memory.
fn decode_plainly(container: &[u8], length: usize) -> Duration {
    let begun = Instant::now();
    let mut out = Vec::with_capacity(length);
    let features = EnabledFeatures::compat_lepton_vector_read();
    decode_lepton(&mut Cursor::new(&container[HEAD_BYTES..]), &mut out, &features, &SingleThreadPool::default()).unwrap();
    assert_eq!(out.len(), length);
    begun.elapsed()
}

async fn read(store: &impl BlobStore, key: &BlobKey, original: &[u8]) -> Duration {
    let begun = Instant::now();
    let copy = store.open(key).await.unwrap();
    let mut offset = 0;
    let mut is_same = true;
    while offset < original.len() {
        let length = PIECE_BYTES.min(original.len() - offset);
        let piece = copy.read_at(offset as u64, length).await.unwrap();
        is_same &= piece == original[offset..offset + length];
        offset += length;
    }
    let elapsed = begun.elapsed();
    assert!(is_same, "other bytes than the original's");
    elapsed
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

fn main() {
    let options = options();
    let photos = jpegs(&options);
    println!("| photo | bytes | recompressed | saved | encode and prove, MB/s |\n| --- | --- | --- | --- | --- |");
    let (mut encoded, mut before, mut after) = (vec![], 0, 0);
    for (name, original) in &photos {
        let begun = Instant::now();
        let recompressed: Result<Encoded, StaysRaw> = encode_cold(original);
        let speed = rate(original.len() as u64, begun.elapsed());
        before += original.len() as u64;
        match recompressed {
            Ok(container) => {
                let (was, is) = (original.len() as u64, container.bytes().len() as u64);
                after += is;
                println!("| {name} | {was} | {is} | {:.1} % | {speed:.1} |", 100.0 * (was - is) as f64 / was as f64);
                encoded.push((original.clone(), container));
            }
            Err(why) => {
                after += original.len() as u64;
                println!("| {name} | {} | stays: {why} | 0 % | |", original.len());
            }
        }
    }
    println!("| all {} | {before} | {after} | {:.1} % | |\n", photos.len(), 100.0 * (before - after) as f64 / before as f64);

    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let inner = MemoryStore::new();
    let cold: Arc<dyn BlobStore> = Arc::new(ColdStore::new(inner, BlockingPool::new("decoding", 1), 512 << 20));
    let store = VerifyStore::new(cold, Clock::system(), VerifySettings { remember: Duration::ZERO, capacity: 100 });
    let keys: Vec<BlobKey> =
        encoded.iter().map(|(original, _)| BlobKey { hash: BlobHash::of(original), nonce: BlobNonce::from_random([1; 12]) }).collect();
    threads.block_on(async {
        for ((_, container), key) in encoded.iter().zip(&keys) {
            let mut staged = store.stage(None).await.unwrap();
            staged.write(container.bytes().clone()).await.unwrap();
            staged.publish_as(key, container.content()).await.unwrap();
        }
    });
    let bytes: u64 = encoded.iter().map(|(original, _)| original.len() as u64).sum();
    println!("| round | codec alone, MB/s | through the store, MB/s | ratio |\n| --- | --- | --- | --- |");
    let mut ratios = vec![];
    for round in 1..=options.rounds {
        let (mut plain, mut through) = (Duration::ZERO, Duration::ZERO);
        for ((original, container), key) in encoded.iter().zip(&keys) {
            plain += decode_plainly(container.bytes(), original.len());
            through += threads.block_on(read(&store, key, original));
        }
        let ratio = plain.as_secs_f64() / through.as_secs_f64();
        println!("| {round} | {:.1} | {:.1} | {ratio:.3} |", rate(bytes, plain), rate(bytes, through));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("\nmedian ratio {:.3}", ratios.get(ratios.len() / 2).copied().unwrap_or_default());
}
