//! Bytes that are not written again: hard links, and shared blocks where a file system knows them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::needs;
use super::tree::{Tree, files, number};
use super::{counted, import, is_sound, photos, server};

/// The least that XFS is made on.
const DISK_BYTES: u64 = 320 << 20;

#[test]
fn linked_files_are_the_stores_own() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("filer");
    let mut tree = Tree::new(&source);
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        tree.photo(name);
    }
    tree.again("a.jpg", "Ski/a.jpg");
    let inodes: Vec<_> = files(&source).keys().map(|path| source.join(path).metadata().unwrap().ino()).collect();
    let server = server(place.path(), "data");
    let admin = server.admin();
    let came = import(&admin, &source, &["--link"], 0);
    counted(&came, &[("imported", 4), ("linked", 3), ("deduplicated", 1)]);
    let copies = walkdir::WalkDir::new(place.path().join("data/blobs/blobs")).into_iter().map(|entry| entry.unwrap());
    let copies: Vec<_> = copies.filter(|entry| entry.file_type().is_file()).map(|entry| entry.metadata().unwrap()).collect();
    // Two of the same bytes may be taken at the same moment; then one copy waits to be deleted.
    assert!(copies.len() >= 3 && copies.iter().all(|copy| inodes.contains(&copy.ino()) && copy.mode() & 0o222 == 0));
    let there = photos(&admin);
    fs::remove_dir_all(&source).unwrap();
    assert_eq!(photos(&admin), there);
    is_sound(&admin, &place.path().join("data"));
    let out = place.path().join("out");
    assert_eq!(number(&admin.json(["export", "--mine", out.to_str().unwrap()]), "downloaded"), 4);
}

#[test]
fn blocks_are_shared_where_the_file_system_can() {
    let place = tempfile::tempdir().unwrap();
    let disk = match Disk::mount(place.path()) {
        Ok(disk) => disk,
        Err(why) => return needs::missing("loop", "reflinks", &why),
    };
    let source = disk.mounted.join("filer");
    let mut tree = Tree::new(&source);
    for number in 0..10 {
        tree.photo(&format!("{number}.jpg"));
    }
    let before = files(&source);
    let server = server(&disk.mounted, "data");
    let admin = server.admin();
    counted(&import(&admin, &source, &[], 0), &[("imported", 10), ("cloned", 10), ("linked", 0)]);
    // What shares blocks is a file of its own: what happens to the tree later is no concern of the copy's.
    for path in before.keys() {
        fs::write(source.join(path), "something else").unwrap();
    }
    is_sound(&admin, &disk.mounted.join("data"));
    server.kill();
}

/// A small XFS on a loop device, unmounted when dropped.
struct Disk {
    mounted: PathBuf,
}

impl Disk {
    /// # Errors
    /// Why there is none: no root, no loop devices, or no XFS.
    fn mount(dir: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root, to mount a small file system".into());
        }
        let (image, mounted) = (dir.join("disk.img"), dir.join("mounted"));
        fs::create_dir(&mounted).expect("a directory");
        File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("a disk image");
        command("mkfs.xfs", &["-q", "-m", "reflink=1", &image.display().to_string()])?;
        command("mount", &["-o", "loop", &image.display().to_string(), &mounted.display().to_string()])?;
        Ok(Self { mounted })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the server that the test left behind may still be ending.
        if let Err(why) = command("umount", &["-l", &self.mounted.display().to_string()]) {
            needs::skipped("reflinks", &why);
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
    let output = Command::new(program).env("PATH", path).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}
