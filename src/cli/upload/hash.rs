use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use sha2::Digest as _;

use super::summary::Failure;
use super::walk::Found;
use crate::cli::meter::Meter;
use crate::model::{BlobHash, Sha256};
use crate::runtime::{BlockingPool, Gone};

/// Pieces in which files are read.
const PIECE: usize = 256 << 10;

/// A file and what its bytes were when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) path: PathBuf,
    pub(super) hash: BlobHash,
    pub(super) sha256: Sha256,
    pub(super) size_bytes: u64,
}

/// Hashes the files on all cores, in bounded memory; gives them in their order.
pub(super) async fn hash_all(
    files: Vec<Found>,
    pool: &BlockingPool,
    cores: usize,
    meter: &Meter,
) -> Result<(Vec<Hashed>, Vec<Failure>), Gone> {
    let (mut hashed, mut failures) = (Vec::with_capacity(files.len()), Vec::new());
    let jobs = files.into_iter().map(|Found { path, .. }| async move {
        let result = hash_one(path.clone(), pool, meter.clone()).await;
        (path, result)
    });
    let mut results = stream::iter(jobs).buffered(cores * 2);
    while let Some((path, result)) = results.next().await {
        meter.files(1);
        match result? {
            Ok(file) => hashed.push(file),
            Err(error) => failures.push(Failure::new(&path, "unreadable", error.to_string())),
        }
    }
    Ok((hashed, failures))
}

/// Hashes one file on the pool.
pub(super) async fn hash_one(path: PathBuf, pool: &BlockingPool, meter: Meter) -> Result<io::Result<Hashed>, Gone> {
    pool.run(move || hash_file(&path, |bytes| meter.advance(bytes))).await
}

fn hash_file(path: &Path, each: impl Fn(u64)) -> io::Result<Hashed> {
    let mut file = File::open(path)?;
    let (mut hasher, mut sha256, mut size_bytes) = (blake3::Hasher::new(), sha2::Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..read]);
        sha256.update(&piece[..read]);
        size_bytes += read as u64;
        each(read as u64);
    }
    Ok(Hashed { path: path.to_owned(), hash: hasher.finalize().into(), sha256: Sha256::from_bytes(sha256.finalize().into()), size_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hashes_to_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.jpg");
        let bytes = vec![7; PIECE + 1];
        std::fs::write(&path, &bytes).unwrap();
        let counted = std::cell::Cell::new(0);
        let hashed = hash_file(&path, |read| counted.set(counted.get() + read)).unwrap();
        assert_eq!(hashed.hash, BlobHash::of(&bytes));
        assert_eq!(hashed.sha256, Sha256::from_bytes(sha2::Sha256::digest(&bytes).into()));
        assert_eq!((hashed.size_bytes, counted.get()), (bytes.len() as u64, bytes.len() as u64));
        assert!(hash_file(folder.path(), |_| ()).is_err(), "a folder has no bytes");
    }
}
