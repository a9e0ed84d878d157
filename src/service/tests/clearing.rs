//! Renditions of what nobody has any more leave the disk at a start, or as soon as the disk lets them.

use std::fs;

use super::*;
use crate::runtime::Clock;

#[tokio::test]
async fn what_the_disk_would_not_give_is_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, aside) = (directory.path().join("v1/abc"), directory.path().join("aside"));
    let entry = folder.join(format!("abc{}", "0".repeat(61)));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&entry, b"of an erased photo").unwrap();
    // A folder that leads to itself.
    fs::rename(&folder, &aside).unwrap();
    std::os::unix::fs::symlink(&folder, &folder).unwrap();
    let pool = |name| BlockingPool::new(name, 1);
    let threads = DiskThreads { reading: pool("reading renditions"), writing: pool("renditions") };
    let site = Site::with_cache(30, Some(RenditionDisk::closed(directory.path(), threads, Clock::manual(START_MS))));
    let mut left = None;
    for _ in 0..2 {
        left = site.services.forget_unowned_renditions(left).await.unwrap();
        assert!(left.is_some());
    }
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    assert!(site.services.forget_unowned_renditions(left).await.unwrap().is_none());
    assert!(folder.exists() && !entry.exists());
}
