//! A real file system that fills up. Needs root, loop devices and `mkfs.ext4`; says so where it is skipped.

use std::process::{Command, Stdio};

use super::*;
use crate::blobs::contract::{bytes, get, inventory, put};
use crate::blobs::{InventoryItem, needs};

/// A small file system, mounted for as long as this lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    const BYTES: u64 = 12 * 1024 * 1024;

    fn mount() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (image, at) = (directory.path().join("image"), directory.path().join("mount"));
        std::fs::create_dir(&at).and_then(|()| std::fs::File::create(&image)?.set_len(Self::BYTES)).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(Self(directory))
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("mount/store")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(self.0.path().join("mount")));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_to_be_full_and_recovers() {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(reason) => return needs::missing("loop", "a disk store on a full disk", &format!("no small file system: {reason}")),
    };
    let store = DiskStore::open(&disk.root(), Runtime::system(), BlockingPool::new("blobs", 8), DiskSettings::default()).await.unwrap();
    const SIZE: usize = 700_000;
    let mut stored = Vec::new();
    let mut refused = 0;
    for round in 0..8 {
        let contents: Vec<_> = (0..4).map(|upload| bytes(round * 4 + upload, SIZE)).collect();
        let uploads = futures_util::future::join_all(contents.iter().map(|content| put(&store, content, 1))).await;
        for (content, upload) in contents.into_iter().zip(uploads) {
            match upload {
                Ok(key) => stored.push((key, content)),
                Err(BlobError::NoSpace) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(staged(&store).await, 0, "what failed took no room");
    }
    assert!(refused > 0 && stored.len() as u64 > SmallDisk::BYTES / 2 / SIZE as u64, "{refused} refused, {} stored", stored.len());
    for (key, content) in &stored {
        assert_eq!(get(&store, key).await.unwrap(), *content);
    }
    let listed = inventory(&store).await.unwrap();
    assert_eq!(listed.len(), stored.len(), "nothing half-made is visible");
    assert!(listed.iter().all(|item| matches!(item, InventoryItem::Copy { size_bytes, .. } if *size_bytes == SIZE as u64)));

    // The very last blocks: a failing probe leaves nothing either.
    let mut small = 1000;
    while put(&store, &bytes(small, 40_000), 1).await.is_ok() {
        small += 1;
    }
    let _ = store.probe().await;
    assert_eq!(staged(&store).await, 0);

    store.delete(&stored[0].0).await.unwrap();
    assert!(matches!(store.probe().await, Err(BlobError::NoSpace)), "there is room for the probe, but hardly for a photo");
    for (key, _) in &stored[1..] {
        store.delete(key).await.unwrap();
    }
    store.probe().await.unwrap();
    let again = put(&store, &stored[0].1, 2).await.unwrap();
    assert_eq!(get(&store, &again).await.unwrap(), stored[0].1, "service goes on when there is room");
    assert_eq!(store.sync_failures(), 0, "a full disk is no failing disk");
}
