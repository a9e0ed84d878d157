//! Taking all three digests of an upload in one pass, of two uploads at once, and each digest alone.

#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a benchmark stops at what it did not expect.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use halidom::blobs::Digests;
use sha2::Digest as _;

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hashing");
    for size in [50_000_usize, 3_000_000] {
        let bytes: Vec<u8> = (0..size).map(|place| (place * 31 % 251) as u8).collect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("upload's digests", size), &bytes, |bench, bytes| {
            bench.iter(|| Digests::of(black_box(bytes)))
        });
        let other: Vec<u8> = bytes.iter().rev().copied().collect();
        group.throughput(Throughput::Bytes(2 * size as u64));
        group.bench_with_input(BenchmarkId::new("two uploads' digests at once", size), &[&bytes[..], &other], |bench, copies| {
            bench.iter(|| Digests::of_both(black_box(*copies)))
        });
        group.throughput(Throughput::Bytes(size as u64));
        group
            .bench_with_input(BenchmarkId::new("BLAKE3 alone", size), &bytes, |bench, bytes| bench.iter(|| blake3::hash(black_box(bytes))));
        group.bench_with_input(BenchmarkId::new("SHA-256 alone", size), &bytes, |bench, bytes| {
            bench.iter(|| sha2::Sha256::digest(black_box(bytes)));
        });
        group.bench_with_input(BenchmarkId::new("CRC-32 alone", size), &bytes, |bench, bytes| {
            bench.iter(|| crc32fast::hash(black_box(bytes)))
        });
    }
    group.finish();
}

criterion_group!(benches, hashing);
criterion_main!(benches);
