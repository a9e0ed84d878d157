//! The real server as a process of its own, to be killed.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use halidom::runtime::spawn_thread;

use super::Site;

/// A server that says nothing for this long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program under test.
pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_halidom").into()
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts one on `data` and waits until it listens. Its log goes to `log`.
    ///
    /// # Errors
    /// Where it ends or hangs instead, with its log.
    pub fn start(data: &Path, log: &Path) -> Result<(Self, Site), String> {
        let mut server = Self::spawn(data, log);
        let stdout = server.child.stdout.take().expect("its output is piped");
        let (sender, lines) = mpsc::channel();
        let reading = spawn_thread("stdout", move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Once the test has its line, nobody listens to the rest.
                let _ = sender.send(line);
            }
        });
        reading.expect("a thread");
        let address = loop {
            let line = lines.recv_timeout(PATIENCE).map_err(|error| server.failed(&format!("it does not come up ({error})")))?;
            let http = line.split(' ').find_map(|word| word.strip_prefix("http="));
            if let (true, Some(address)) = (line.starts_with("listening "), http) {
                break address.to_owned();
            }
        };
        let token = fs::read_to_string(data.join("admin.token")).map_err(|error| server.failed(&format!("admin.token: {error}")))?;
        Ok((server, Site::new(&format!("http://{address}"), token.trim())))
    }

    /// Starts one and does not wait for it.
    pub fn spawn(data: &Path, log: &Path) -> Self {
        let child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data"])
            .arg(data)
            .env("HALIDOM_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log).expect("a log"))
            .spawn()
            .expect("halidom starts");
        Self { child, log: log.to_owned() }
    }

    /// SIGKILL: it does nothing any more. Returns when it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it and tells why, with its log.
    pub fn failed(&mut self, why: &str) -> String {
        self.kill();
        format!("{why}; its log:\n{}", fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
