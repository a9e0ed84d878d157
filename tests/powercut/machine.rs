//! A small computer in QEMU that runs Halidom on a data disk of its own, until its power is cut.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use halidom::runtime::{Random, spawn_thread};

use super::drive::{Drive, Lost, Powered};
use crate::durability::Site;

/// Booting and opening a site takes 5 s here, on a laptop without KVM too; a machine that is silent for this long hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Sparse on the host. XFS wants 300 MB.
const DISK_BYTES: u64 = 768 << 20;
/// Lines of the console that a failure shows.
const SHOWN: usize = 60;

/// What the data disk is formatted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 as mke2fs makes it.
    Ext4,
    /// XFS as mkfs.xfs makes it.
    Xfs,
}

/// Whether syncs do anything in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// They do.
    Kept,
    /// They answer success and do nothing.
    Lost,
}

/// A computer that is off: its disks.
#[derive(Debug)]
pub struct Computer {
    parts: PathBuf,
    dir: PathBuf,
    file_system: FileSystem,
    drive: Drive,
}

/// A computer that runs.
#[derive(Debug)]
pub struct Running {
    qemu: Child,
    lines: mpsc::Receiver<String>,
    words: mpsc::Sender<String>,
    console: PathBuf,
    powered: Powered,
    port: u16,
}

impl FileSystem {
    /// As `mount -t` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Sectors of its drive. XFS relies on a block of its metadata being written whole: its log recovery passes over one whose head is newer
    /// than the entry, so one that was torn during an earlier recovery stays so, and the disk is not mounted any more. Drives with sectors
    /// of a block's size keep that.
    fn sector_bytes(self) -> usize {
        match self {
            Self::Ext4 => 512,
            Self::Xfs => 4096,
        }
    }

    fn format(self, image: &Path) {
        let mut command = match self {
            Self::Ext4 => Command::new("mkfs.ext4"),
            Self::Xfs => Command::new("mkfs.xfs"),
        };
        if self == Self::Xfs {
            command.args(["-s", &format!("size={}", self.sector_bytes())]);
        }
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin").arg("-q").arg(image);
        assert!(command.status().expect("mkfs runs").success(), "{command:?} failed");
    }
}

impl Computer {
    /// A computer of `parts` (what `scripts/machine` made) with an empty data disk. Its disk and consoles lie in `dir`.
    pub fn new(parts: &Path, dir: &Path, file_system: FileSystem) -> Self {
        fs::create_dir_all(dir).expect("a directory for a computer");
        let image = dir.join("data.img");
        // Written over, not cut short: nothing of an earlier run may shine through.
        let _ = fs::remove_file(&image);
        fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("a disk image");
        file_system.format(&image);
        let drive = Drive::new(&image, &dir.join("drive.sock"), file_system.sector_bytes());
        Self { parts: parts.to_owned(), dir: dir.to_owned(), file_system, drive }
    }

    /// Boots, replays the file system's journal, starts Halidom, and waits until it serves.
    ///
    /// # Errors
    /// What the machine said last, where it does not get there.
    pub fn boot(&self, name: &str, syncs: Syncs) -> Result<(Running, Site), String> {
        let options = if syncs == Syncs::Lost { "halidom.sync=lost" } else { "halidom.sync=kept" };
        let mut running = self.start(name, options).expect("QEMU starts");
        let mut staging = None;
        loop {
            match running.next_word() {
                Ok(said) => match said.split_once(' ') {
                    Some(("serving", token)) => {
                        if staging.as_deref() != Some("0") {
                            return Err(running.failed(&format!("files lie in staging after the start: {staging:?}")));
                        }
                        let site = Site::new(&format!("http://127.0.0.1:{}", running.port), token);
                        return Ok((running, site));
                    }
                    Some(("staging", count)) => staging = Some(count.to_owned()),
                    Some(("failed:", why)) => return Err(running.failed(why)),
                    _ => {}
                },
                Err(why) => return Err(running.failed(why)),
            }
        }
    }

    /// Boots, and cuts the power at the drive's `writes`th write, in the middle of whatever recovery is; at the latest once it serves.
    ///
    /// # Errors
    /// What the machine said last, where neither comes.
    pub fn boot_and_cut(&self, name: &str, writes: u64, random: &Random) -> Result<Lost, String> {
        let mut running = self.start(name, "halidom.sync=kept").expect("QEMU starts");
        let words = running.words.clone();
        // Nobody listens where the machine was given up already.
        running.powered.blow_at(writes, move || _ = words.send("blown".to_owned()));
        loop {
            match running.next_word() {
                Ok(said) if said == "blown" || said.starts_with("serving ") => return Ok(self.cut(running, random)),
                Ok(said) if said.starts_with("failed:") => return Err(running.failed(&said)),
                Ok(_) => {}
                Err(why) => return Err(running.failed(why)),
            }
        }
    }

    /// A control: boots only to cut the objects of one blob in half.
    pub fn truncate(&self, name: &str, hash: &str) -> Result<(), String> {
        let mut running = self.start(name, &format!("halidom.truncate={hash}")).expect("QEMU starts");
        loop {
            match running.next_word() {
                // More than one: an upload that a cut interrupted left a copy that nothing names.
                Ok(said) if said.starts_with("truncated ") && said != "truncated 0" => break,
                Ok(said) if said == "mounted" => {}
                Ok(said) => return Err(running.failed(&said)),
                Err(why) => return Err(running.failed(why)),
            }
        }
        // It turns itself off, after a sync.
        running.qemu.wait().expect("QEMU ends");
        self.drive.power_off(&running.powered, &Random::seeded(0)).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Cuts the power.
    pub fn cut(&self, mut running: Running, random: &Random) -> Lost {
        running.kill();
        self.drive.power_off(&running.powered, random).expect("the drive ends")
    }

    fn start(&self, name: &str, options: &str) -> io::Result<Running> {
        let powered = self.drive.power_on()?;
        // Another process may take the port in between; then QEMU says so and the test fails by that name.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let part = |name: &str| self.parts.join(name).display().to_string();
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "768"])
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"])
            .args(["-kernel", &part("vmlinuz"), "-initrd", &part("initrd.gz")])
            .args(["-append", &format!("console=ttyS0 quiet panic=-1 halidom.fs={} {options}", self.file_system.name())])
            .args(["-drive", &format!("file={},if=none,id=system,format=raw,readonly=on", part("system.img"))])
            .args(["-device", "virtio-blk-pci,drive=system"])
            // The drive has a write cache, and says so: the guest flushes it.
            .args(["-blockdev", &format!("driver=nbd,node-name=data,server.type=unix,server.path={}", self.drive.socket().display())])
            .args(["-device", "virtio-blk-pci,drive=data,write-cache=on"])
            .args(["-netdev", &format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:8420")])
            .args(["-device", "virtio-net-pci,netdev=net,romfile="])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let console = self.dir.join(format!("console-{name}.log"));
        let (words, lines) = mpsc::channel();
        follow(qemu.stdout.take().expect("its output is piped"), fs::File::create(&console)?, words.clone())?;
        Ok(Running { qemu, lines, words, console, powered, port })
    }
}

/// Keeps the console in a file, and hands on what our init says on it.
fn follow(output: impl io::Read + Send + 'static, mut log: fs::File, words: mpsc::Sender<String>) -> io::Result<()> {
    spawn_thread("console", move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            // A log that cannot be written fails no test, nor does a machine that nobody listens to any more.
            let _ = writeln!(log, "{line}");
            if let Some(said) = line.strip_prefix("@@ ") {
                let _ = words.send(said.to_owned());
            }
        }
        let _ = words.send("failed: the machine stopped".to_owned());
    })?;
    Ok(())
}

impl Running {
    fn next_word(&mut self) -> Result<String, &'static str> {
        self.lines.recv_timeout(PATIENCE).map_err(|_| "the machine fell silent")
    }

    /// Calls `blown` at the drive's `writes`th write from now on, which then answers nothing any more.
    pub fn blow_at(&self, writes: u64, blown: impl FnOnce() + Send + 'static) {
        self.powered.blow_at(writes, blown);
    }

    /// Loses whatever it holds in memory: SIGKILL lets QEMU do nothing any more.
    fn kill(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// Ends the machine and tells why, with the end of its console.
    pub fn failed(&mut self, why: &str) -> String {
        self.kill();
        let console = fs::read_to_string(&self.console).unwrap_or_default();
        let lines: Vec<_> = console.lines().collect();
        format!("{why}; the end of {}:\n{}", self.console.display(), lines[lines.len().saturating_sub(SHOWN)..].join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
