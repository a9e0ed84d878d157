//! What the disk itself gives: threads that write, sync, rename and sync the directory, with nobody to talk to.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::load::{self, Load};
use crate::peer::Work;

/// Makes one file durable under its name: the least that can be done.
pub(crate) fn publish(file: &File, staged: &Path, named: &Path) -> std::io::Result<()> {
    file.sync_data()?;
    std::fs::rename(staged, named)?;
    match named.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes the load's objects with as many threads as it has connections.
pub(crate) fn write(dir: &Path, load: Load, seed: u64) -> anyhow::Result<Work> {
    let photos = load::photos(load, seed)?;
    let next = AtomicU64::new(0);
    crate::settle();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections)
            .map(|_| {
                scope.spawn(|| -> std::io::Result<()> {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= load.count {
                            return Ok(());
                        }
                        let staged = dir.join(format!("{index}.part"));
                        let mut file = File::create_new(&staged)?;
                        for piece in photos.pieces(index) {
                            file.write_all(&piece)?;
                        }
                        publish(&file, &staged, &dir.join(index.to_string()))?;
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a writer panicked"))))
    })?;
    let elapsed = begun.elapsed();
    Ok(Work { requests: load.count, bytes: load.count * photos.size_bytes(), elapsed, cpu: None })
}

/// Reads every file below `dir`, so that all of them lie in the page cache.
pub(crate) fn warm(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            warm(&entry.path())?;
        } else if kind.is_file() {
            std::io::copy(&mut File::open(entry.path())?, &mut std::io::sink())?;
        }
    }
    Ok(())
}
