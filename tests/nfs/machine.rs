//! A small computer in QEMU with a filer: a kernel's NFS server, and an NFS 4.2 mount of it (`init`). The library's own tests read this file, too.

// Each reader uses its part; and the library's own tests, for whom `runtime` goes by another name, cannot use its threads.
#![allow(dead_code, clippy::disallowed_methods)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A machine that says nothing of what is waited for hangs: the suite takes five minutes in one that emulates its processor.
const PATIENCE: Duration = Duration::from_secs(900);
/// Sparse on the host.
const DISK_BYTES: u64 = 1 << 30;
/// What the guest loads; what these need in turn is found out.
const MODULES: [&str; 7] = ["virtio_pci", "virtio_blk", "virtio_net", "ext4", "nfsd", "nfsv4", "sch_netem"];
/// Lines of the console that a failure shows.
const SHOWN: usize = 60;

/// A computer that runs. Ends with this.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    commands: ChildStdin,
    said: mpsc::Receiver<String>,
    console: PathBuf,
    /// Where on the host its port 8420 is.
    pub port: u16,
}

/// Makes the parts of a machine with `program` on it; what stands from the last time is kept.
pub fn build(parts: &Path, program: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/machine");
    let status = Command::new(&script).arg(parts).arg("tests/nfs/init").arg(program).args(MODULES).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "scripts/machine failed: {status:?}");
}

/// Beside the test programs, where what is built stays.
pub fn parts(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.ancestors().nth(3).expect("it lies in target").join(name)
}

impl Machine {
    /// Boots the machine of these parts with an empty disk under the filer, to run what `init` knows as `run`.
    pub fn boot(parts: &Path, run: &str) -> Self {
        let image = parts.join("data.img");
        let _ = fs::remove_file(&image);
        fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("a disk image");
        let made = Command::new("mkfs.ext4").env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin").arg("-q").arg(&image).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfs.ext4 failed");
        // Another process may take the port in between; then QEMU says so and the test fails by that name.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let part = |name: &str| parts.join(name).display().to_string();
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"])
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"])
            .args(["-kernel", &part("vmlinuz"), "-initrd", &part("initrd.gz")])
            .args(["-append", &format!("console=ttyS0 quiet panic=-1 halidom.run={run}")])
            .args(["-drive", &format!("file={},if=none,id=system,format=raw,readonly=on", part("system.img"))])
            .args(["-device", "virtio-blk-pci,drive=system"])
            .args(["-drive", &format!("file={},if=none,id=data,format=raw,cache=unsafe", image.display())])
            .args(["-device", "virtio-blk-pci,drive=data"])
            .args(["-netdev", &format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:8420")])
            .args(["-device", "virtio-net-pci,netdev=net,romfile="])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("QEMU starts");
        let console = parts.join(format!("console-{run}.log"));
        let mut log = fs::File::create(&console).expect("a log");
        let (output, commands) = (qemu.stdout.take().expect("piped"), qemu.stdin.take().expect("piped"));
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                // A log that cannot be written fails no test, nor does a machine that nobody listens to any more.
                let _ = writeln!(log, "{line}");
                if let Some(word) = line.split_once("@@ ").map(|(_, word)| word) {
                    let _ = say.send(word.to_owned());
                }
            }
            let _ = say.send("failed: the machine stopped".to_owned());
        });
        Self { qemu, commands, said, console, port }
    }

    /// Gives a command.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").and_then(|()| self.commands.flush()).expect("the machine listens");
    }

    /// What it says next that begins with `word`: the rest of it.
    ///
    /// # Panics
    /// Where it says that it failed, or nothing; with the end of its console.
    pub fn wait_for(&mut self, word: &str) -> String {
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(said) if said.starts_with("failed") => panic!("{said}{}", self.end_of_console()),
                Ok(said) => {
                    if let Some(rest) = said.strip_prefix(word) {
                        return rest.trim().to_owned();
                    }
                }
                Err(_) => panic!("the machine never said {word:?}{}", self.end_of_console()),
            }
        }
    }

    /// For failures.
    pub fn end_of_console(&self) -> String {
        let console = fs::read_to_string(&self.console).unwrap_or_default();
        let lines: Vec<_> = console.lines().collect();
        format!("; the end of {}:\n{}", self.console.display(), lines[lines.len().saturating_sub(SHOWN)..].join("\n"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
