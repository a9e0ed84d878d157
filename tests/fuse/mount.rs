//! A disk of [`super::disk`] as a file system that the kernel mounts: requests are read from `/dev/fuse`, one at a time, and answered.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use halidom::runtime::spawn_thread;

use super::disk::{Disk, Log};
use super::wire::{Request, answer};

/// The largest request: a write, and its header.
const REQUEST_BYTES: usize = 1 << 20;

/// A mounted disk. Dropping it unmounts.
pub struct Mount {
    disk: Arc<Mutex<Disk>>,
    at: PathBuf,
    serving: Option<JoinHandle<()>>,
}

/// Whether this user can mount here, and why not.
pub fn is_possible() -> Result<(), String> {
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    Mount::new(Disk::new(0, None, Log::default()), place.path()).map(drop)
}

impl Mount {
    /// Mounts a disk.
    pub fn new(disk: Disk, at: &Path) -> Result<Self, String> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| format!("/dev/fuse: {error}"))?;
        let given = device.try_clone().map_err(|error| error.to_string())?;
        // The kernel takes the device by its descriptor, and mount(8) has ours as its standard input.
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "halidom-test"])
            .arg(at)
            .stdin(Stdio::from(given))
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        let disk = Arc::new(Mutex::new(disk));
        let served = disk.clone();
        let serving = spawn_thread("fuse", move || serve(device, &served)).map_err(|error| error.to_string())?;
        Ok(Self { disk, at: at.to_owned(), serving: Some(serving) })
    }

    /// The disk itself.
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the disk out.
    pub fn unmount(mut self) -> Disk {
        self.end();
        std::mem::take(&mut *self.disk())
    }

    fn end(&mut self) {
        if let Some(serving) = self.serving.take() {
            // Lazily: whoever still has a file open does not hold it up.
            let _ = Command::new("umount").arg("-l").arg(&self.at).output();
            let _ = serving.join();
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.end();
    }
}

/// Until it is unmounted.
fn serve(mut device: File, disk: &Mutex<Disk>) {
    let mut bytes = vec![0; REQUEST_BYTES];
    loop {
        let length = match device.read(&mut bytes) {
            Ok(length) => length,
            // Taken back before it was read.
            Err(error) if matches!(error.raw_os_error(), Some(2 | 4 | 11)) => continue,
            Err(_) => return,
        };
        let request = Request::read(&bytes[..length]);
        let served = disk.lock().unwrap_or_else(PoisonError::into_inner).serve(&request);
        if let Some(done) = served {
            // Nobody waits for it any more: that is no reason to end.
            let _ = device.write_all(&answer(request.unique, done));
        }
    }
}
