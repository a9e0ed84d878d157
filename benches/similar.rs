//! Near duplicates: how long a question takes in one user's library of a million photos, beside a comparison with every hash of the user's, in
//! the same store and in memory.
//!
//! ```sh
//! cargo bench --bench similar -- --photos 1000000 --data /var/tmp/similar
//! ```
//!
//! `--data` must not exist; it is left there. Of ten photos one is a frame of a burst, within 4 bits of another one; the hashes of four are even
//! noise; those of five lean, each bit being with a probability of 0.7 what most have, so that the index is uneven.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A measurement says what it found.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use halidom::metadata::column::{Column, Similar};
use halidom::metadata::engine::{Bounds, Source};
use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{MAX_DISTANCE, Metadata, MetadataError, MetadataSettings, NewBlob, PlaceError, Read};
use halidom::model::album::NewAlbum;
use halidom::model::photo::NewPhoto;
use halidom::model::{AlbumId, BlobHash, Owner, PerceptualHash, PhotoId, Sha256};
use halidom::runtime::{Clock, Runtime};

/// Photos written in one commit.
const BATCH: u64 = 500;
/// Questions of each kind.
const QUESTIONS: u64 = 200;
/// Photos of the answer.
const LIMIT: usize = 100;

struct Options {
    photos: u64,
    data: PathBuf,
}

fn options() -> Result<Options, String> {
    let mut options = Options { photos: 100_000, data: PathBuf::new() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--photos" => options.photos = value()?.parse().map_err(|_| "--photos needs a number".to_owned())?,
            "--data" => options.data = value()?.into(),
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
    let engine = RocksEngine::open(&options.data.join("metadata"), &RocksSettings::default()).expect("an empty store opens");
    let runtime = Runtime::simulated(1, 1_700_000_000_000);
    let metadata = Metadata::open(Arc::new(engine.clone()), runtime.clone(), MetadataSettings::default()).expect("a new store opens");
    let clock = Clock::system();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("threads");
    let (ids, hashes) = threads.block_on(load(&metadata, &runtime, options.photos));
    println!("{} photos of one user, written in {:.0?}", ids.len(), clock.monotonic());
    engine.compact().expect("the store compacts");
    println!("the index on disk: {:.1} bytes a photo", engine.table_bytes(Similar::ID) as f64 / ids.len() as f64);

    let mut seed = Drawn(7);
    let asked: Vec<usize> = (0..QUESTIONS).map(|_| seed.below(ids.len())).collect();
    println!(
        "\n| question | index, ms: median (90 %, longest) | photos found | every row of a band, ms | every hash in memory, ms | rows ÷ index |\n| --- | --- | ---: | ---: | ---: | ---: |"
    );
    for distance in [0, 4, 6, 8, 10, MAX_DISTANCE] {
        ask(&metadata, &clock, &ids, &hashes, &asked, distance);
    }
    metadata.close();
}

/// SplitMix64.
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn hash(&mut self, before: &[PerceptualHash]) -> PerceptualHash {
        match self.next() % 10 {
            0 if !before.is_empty() => {
                let near = before[self.below(before.len())];
                (0..4).fold(near, |hash, _| PerceptualHash(hash.0 ^ 1 << self.below(64)))
            }
            1..=5 => PerceptualHash((0..64).fold(0x5a3c_96e1_0ff0_3c5a, |hash, bit| hash ^ u64::from(self.next() % 10 < 3) << bit)),
            _ => PerceptualHash(self.next()),
        }
    }
}

/// One user's photos, some hundreds a commit.
async fn load(metadata: &Metadata, runtime: &Runtime, photos: u64) -> (Vec<PhotoId>, Vec<PerceptualHash>) {
    let album = AlbumId::from_bytes([7; 16]);
    let new = NewAlbum { name: "all".to_owned(), description: String::new() };
    metadata.write("album", move |tx| tx.apply(new.create(Owner::DEFAULT, album, tx.stamp()))).await.expect("an album is made");
    let (mut ids, mut hashes, mut drawn) = (vec![], vec![], Drawn(3));
    while (ids.len() as u64) < photos {
        let batch: Vec<_> = (0..BATCH.min(photos - ids.len() as u64))
            .map(|_| {
                runtime.clock.advance(Duration::from_millis(10));
                let id = PhotoId::new(runtime.clock.unix_ms(), runtime.random.bytes());
                let hash = drawn.hash(&hashes);
                ids.push(id);
                hashes.push(hash);
                let blob = BlobHash::from_bytes(runtime.random.bytes());
                (id, photo(blob, hash), metadata.begin_copy(blob))
            })
            .collect();
        let written = metadata.write("upload", move |tx| -> Result<(), MetadataError> {
            for (id, new, in_flight) in batch {
                let blob = NewBlob::raw(in_flight.key(), new.size_bytes, new.sha256, new.crc32);
                match tx.place_blob(&in_flight, blob, None) {
                    Ok(_) => {}
                    Err(PlaceError::Failed(error)) => return Err(error),
                    Err(PlaceError::Recheck { .. }) => unreachable!("every hash is new"),
                }
                tx.apply(new.create(Owner::DEFAULT, id, tx.stamp(), album, "IMG_0001.JPG", None))?;
            }
            Ok(())
        });
        join_all([written]).await.into_iter().for_each(|written| written.expect("photos are made"));
        if ids.len() % 100_000 < BATCH as usize {
            eprintln!("{} photos", ids.len());
        }
    }
    (ids, hashes)
}

fn photo(hash: BlobHash, perceptual_hash: PerceptualHash) -> NewPhoto {
    NewPhoto {
        hash,
        size_bytes: 3_000_000,
        format: "jpeg".to_owned(),
        width: 4032,
        height: 3024,
        orientation: 1,
        sha256: Sha256::from_bytes(*hash.as_bytes()),
        crc32: 7,
        taken_at: Some("2026-07-01T12:00:00+02:00".to_owned()),
        camera_make: Some("Apple".to_owned()),
        camera_model: Some("iPhone 15 Pro".to_owned()),
        lens: None,
        gps: None,
        placeholder: Some(hash.as_bytes()[..23].to_vec()),
        perceptual_hash: Some(perceptual_hash),
    }
}

/// Asks every question of the index, a tenth of them of the peers, and prints a row.
fn ask(metadata: &Metadata, clock: &Clock, ids: &[PhotoId], hashes: &[PerceptualHash], asked: &[usize], distance: u32) {
    let (mut times, mut rows_times, mut memory_times, mut found, mut cut) = (vec![], vec![], vec![], 0, 0);
    for (nth, at) in asked.iter().enumerate() {
        let snapshot = metadata.read();
        let photo = snapshot.photo(Owner::DEFAULT, ids[*at]).expect("it is read").expect("it is there");
        let begun = clock.monotonic();
        let similar = snapshot.list_similar(&photo, distance, None, LIMIT).expect("they are found").expect("it has a hash");
        times.push(clock.monotonic() - begun);
        found += similar.page.items.len();
        cut += usize::from(similar.complete_within < distance);
        if nth % 10 == 0 {
            let begun = clock.monotonic();
            let by_rows = compare_rows(snapshot.source(), hashes[*at], distance);
            rows_times.push(clock.monotonic() - begun);
            let begun = clock.monotonic();
            let in_memory = hashes.iter().filter(|hash| hash.distance(hashes[*at]) <= distance).count();
            memory_times.push(clock.monotonic() - begun);
            assert_eq!(by_rows, in_memory);
            let complete = similar.complete_within >= distance && similar.page.next.is_none();
            assert!(!complete || similar.page.items.len() + 1 == in_memory, "the index answers what a comparison answers");
        }
    }
    let at = |times: &mut Vec<Duration>, share: f64| {
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    };
    let (median, rows) = (at(&mut times, 0.5), at(&mut rows_times, 0.5));
    println!(
        "| {distance} bits | {median:.2} ({:.2}, {:.2}){} | {:.1} | {rows:.0} | {:.2} | {:.0} |",
        at(&mut times, 0.9),
        at(&mut times, 1.0),
        if cut > 0 { format!(", {cut} cut") } else { String::new() },
        found as f64 / asked.len() as f64,
        at(&mut memory_times, 0.5),
        rows / median,
    );
}

/// What there would be without bands: one row a photo, all of them read.
fn compare_rows(source: &dyn Source, hash: PerceptualHash, distance: u32) -> usize {
    let prefix = [&Owner::DEFAULT.to_bytes()[..], &[0]].concat();
    let mut near = 0;
    let mut each = |key: &[u8], _: &[u8]| {
        let (_, _, other, _) = Similar::key(key).expect("a key of ours");
        near += usize::from(other.distance(hash) <= distance);
        ControlFlow::Continue(())
    };
    source.scan(Similar::ID, &Bounds::prefix(&prefix), &mut each).expect("the rows are read");
    near
}
