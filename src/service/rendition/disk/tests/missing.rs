//! Entries that are not there when they are looked for, or cannot be read.

use super::*;

#[tokio::test]
async fn what_is_written_while_somebody_finds_nothing_is_counted() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    let [path] = &rig.files()[..] else { panic!("one file") };
    fs::remove_file(path).unwrap();
    let mut looking = Box::pin(rig.disk.get(name(1)));
    assert!(futures_util::poll!(&mut looking).is_pending());
    // It was looked for, and before that is told it is there.
    while rig.disk.0.threads.reading.load().running > 0 {
        tokio::task::yield_now().await;
    }
    rig.put(1, 100).await;
    assert!(looking.await.is_none());
    rig.disk.0.index.run_pending_tasks().await;
    assert_eq!((rig.disk.counted().entries, rig.files().len()), (1, 1));
    assert!(rig.has(1).await);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_now_can_be_later() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    let [path] = &rig.files()[..] else { panic!("one file") };
    let aside = rig.folder.path().join("aside");
    fs::rename(path, &aside).unwrap();
    // It leads to itself: the system gives nothing.
    std::os::unix::fs::symlink(path, path).unwrap();
    assert!(!rig.has(1).await);
    assert_eq!((rig.disk.counted().failed, rig.disk.counted().damaged), (1, 0));
    assert!(path.is_symlink(), "nothing was removed");
    fs::rename(&aside, path).unwrap();
    rig.clock.advance(Duration::from_secs(60));
    assert!(rig.has(1).await);
}
