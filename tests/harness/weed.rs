//! A real S3 service: SeaweedFS's `weed server -s3`, in one process and a directory of its own. `scripts/setup test` brings the program.
//!
//! The library's own tests read this file, too.

// Each test file uses its own part of this; and a test may look where its programs are.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::needs;

/// Who may use it.
pub const ACCESS_KEY: &str = "halidom-test";
pub const SECRET_KEY: &str = "a secret of tests alone";
/// The bucket that is there.
pub const BUCKET: &str = "photos";

/// A service that runs until it is dropped.
pub struct Weed {
    program: PathBuf,
    directory: tempfile::TempDir,
    ports: [u16; 8],
    child: Option<Child>,
}

impl Weed {
    /// Starts one; says what is left out where there is no program.
    pub fn start(what: &str) -> Option<Self> {
        let Some(program) = program() else {
            needs::missing("weed", what, "there is no weed: scripts/setup test brings it");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let identity = |name: &str, key: &str, actions: &[&str]| {
            let credentials = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET_KEY}\n");
            std::fs::write(directory.path().join(name), credentials).unwrap();
            serde_json::json!({"name": name, "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}], "actions": actions})
        };
        let all = identity("credentials", ACCESS_KEY, &["Admin", "Read", "Write", "List", "Tagging"]);
        let reading = identity("reading", "halidom-test-reader", &["Read", "List"]);
        std::fs::write(directory.path().join("s3.json"), serde_json::json!({"identities": [all, reading]}).to_string()).unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let mut weed = Self { program, directory, ports: free_ports(), child: None };
        weed.run();
        Some(weed)
    }

    /// Starts it again where it was, or for the first time, and waits until it takes what is put.
    pub fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = self.ports;
        let mut command = Command::new(&self.program);
        command.arg("server").arg(format!("-dir={}", self.directory.path().join("data").display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(["-master.volumeSizeLimitMB=256", "-volume.max=32", "-master.telemetry=false", "-volume.preStopSeconds=0"]);
        command.arg(format!("-s3.config={}", self.directory.path().join("s3.json").display()));
        let ports = [("master", master, master_grpc), ("volume", volume, volume_grpc), ("filer", filer, filer_grpc), ("s3", s3, s3_grpc)];
        for (name, port, grpc) in ports {
            command.arg(format!("-{name}.port={port}")).arg(format!("-{name}.port.grpc={grpc}"));
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", self.program.display())));
        // A bucket is a directory of its filer, and nothing asks there who one is.
        self.await_filer(&format!("POST /buckets/{BUCKET}/ HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        let written = "PUT /warm HTTP/1.0\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nwarm";
        self.await_filer(written);
        self.until(s3, "GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n", |answer| answer.starts_with("HTTP/"));
    }

    fn await_filer(&mut self, request: &str) {
        self.until(self.ports[4], request, |answer| answer.contains(" 201 ") || answer.contains(" 200 ") || answer.contains(" 409 "));
    }

    /// Asks until the answer fits.
    fn until(&mut self, port: u16, request: &str, fits: impl Fn(&str) -> bool) {
        let mut seen = String::new();
        // Three minutes where every ask takes its hundredth of a second.
        for _ in 0..18_000 {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("weed has ended: {status}\n{}", self.log());
            }
            seen = ask(port, request).unwrap_or_else(|error| error.to_string());
            if fits(&seen) {
                return;
            }
            // Waits for nothing that comes: the listener is our own.
            let pause = TcpListener::bind("127.0.0.1:0").unwrap();
            let waiting = TcpStream::connect(pause.local_addr().unwrap()).unwrap();
            waiting.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            let _ = (&waiting).read(&mut [0]);
        }
        panic!("weed does not come up; last answer: {seen}\n{}", self.log());
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The port of its S3 interface.
    pub fn port(&self) -> u16 {
        self.ports[6]
    }

    /// The file with what it takes to be let in.
    pub fn credentials(&self) -> PathBuf {
        self.directory.path().join("credentials")
    }

    /// The same for who may only read.
    pub fn reading_credentials(&self) -> PathBuf {
        self.directory.path().join("reading")
    }

    /// Ends it as a power cut of its machine would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it where it stands, or lets it go on: connections stay, and nothing answers.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        let child = self.child.as_ref().expect("it runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let from = log.len().saturating_sub(4000);
        log.get(from..).unwrap_or_default().to_owned()
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `HALIDOM_TEST_WEED`, or where `scripts/setup test` puts it.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HALIDOM_TEST_WEED").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/weed")).filter(|path| path.is_file()))
}

/// Ports that nobody listens on. Held all at once while they are drawn, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![];
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
