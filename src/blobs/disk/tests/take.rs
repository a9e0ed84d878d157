//! Files of others that become copies.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use rustix::io::Errno;

use super::super::faults::Fault;
use super::super::files::Call;
use super::*;
use crate::blobs::contract::{bytes, get, key};
use crate::blobs::{SourceFile, TakeError, TakeFile, Taken};

fn source(path: &Path) -> SourceFile {
    SourceFile::new(File::open(path).unwrap(), BlockingPool::new("sources", 1)).unwrap()
}

#[tokio::test]
async fn a_linked_file_is_the_copy_and_nobody_writes_to_it() {
    let (place, content) = (Place::new(), bytes(1, 50_000));
    let store = place.open().await.unwrap();
    let path = place.directory.path().join("photo");
    std::fs::write(&path, &content).unwrap();
    let (staged, taken) = store.stage_file(&source(&path), TakeFile::Link).await.unwrap();
    assert_eq!(taken, Taken::Linked);
    let key = key(&content, 1);
    staged.publish(&key).await.unwrap();
    let (named, copy) = (path.metadata().unwrap(), place.at(path::copy(&key)).metadata().unwrap());
    assert_eq!((named.ino(), named.nlink()), (copy.ino(), 2));
    assert_eq!(copy.mode() & 0o222, 0);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(get(&store, &key).await.unwrap(), content);
}

#[tokio::test]
async fn what_cannot_be_shared_is_copied() {
    let (place, content) = (Place::new(), bytes(1, 50_000));
    let store = place.open().await.unwrap();
    let path = place.directory.path().join("photo");
    std::fs::write(&path, &content).unwrap();
    for (nonce, errno) in [(1, Errno::XDEV), (2, Errno::PERM), (3, Errno::MLINK)] {
        store.shared.files.faults().plan_next(|call| call == Call::Link, Fault::Fail(errno));
        let (staged, taken) = store.stage_file(&source(&path), TakeFile::Link).await.unwrap();
        assert_ne!(taken, Taken::Linked, "{errno}");
        staged.publish(&key(&content, nonce)).await.unwrap();
        assert_eq!(get(&store, &key(&content, nonce)).await.unwrap(), content);
        assert_eq!(path.metadata().unwrap().nlink(), 1);
    }
    store.shared.files.faults().plan_next(|call| call == Call::Link, Fault::Fail(Errno::IO));
    let failed = store.stage_file(&source(&path), TakeFile::Link).await.err().unwrap();
    assert!(matches!(failed, TakeError::Store(BlobError::Unavailable { .. })), "{failed}");
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn a_bad_sector_of_the_file_is_no_fault_of_the_store() {
    let (place, content) = (Place::new(), bytes(1, 50_000));
    let store = place.open().await.unwrap();
    let path = place.directory.path().join("photo");
    std::fs::write(&path, &content).unwrap();
    store.shared.files.faults().plan_next(|call| call == Call::Read, Fault::Fail(Errno::IO));
    let failed = store.stage_file(&source(&path), TakeFile::Link).await.err().unwrap();
    assert!(matches!(failed, TakeError::Source(_)), "{failed}");
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn a_linked_file_that_grows_is_read_no_further_than_it_was_long() {
    let (place, content) = (Place::new(), bytes(1, 2_000_000));
    let store = place.open().await.unwrap();
    let path = place.directory.path().join("photo");
    std::fs::write(&path, &content[..1_000]).unwrap();
    let opened = source(&path);
    std::fs::write(&path, &content).unwrap();
    store.shared.files.faults().take_trace();
    assert!(matches!(store.stage_file(&opened, TakeFile::Link).await, Err(TakeError::Changed)));
    let reads = store.shared.files.faults().take_trace().into_iter().filter(|(call, _)| *call == Call::Read).count();
    assert_eq!(reads, 1);
    assert_eq!(staged(&store).await, 0);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_taken_gets_no_wrong_name() {
    let (place, content) = (Place::new(), bytes(1, 3_000_000));
    let store = place.open().await.unwrap();
    let path = place.directory.path().join("photo");
    std::fs::write(&path, &content).unwrap();
    let opened = source(&path);
    // Shorter now, and in its place.
    std::fs::write(&path, &content[..1_000_000]).unwrap();
    for how in [TakeFile::Copy, TakeFile::Link] {
        assert!(matches!(store.stage_file(&opened, how).await, Err(TakeError::Changed)), "{how:?}");
    }
    assert_eq!(staged(&store).await, 0);
}
