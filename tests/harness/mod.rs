//! A real server in a directory of its own, and the CLI to speak to it with.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod needs;
pub mod wait;
pub mod weed;
pub mod wire;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use wait::Watch;

/// The binary under test.
pub const HALIDOM: &str = env!("CARGO_BIN_EXE_halidom");

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    data: PathBuf,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// The same of the listener of `/metrics`.
    pub admin_url: String,
}

impl Server {
    /// Starts a server on `data` and waits until it says where it listens.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with settings from the environment, such as `("HALIDOM_LIMITS__MAX_PAGE", "5")`.
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_logging(data, settings, Stdio::inherit())
    }

    /// The same, with a place for its log.
    pub fn start_logging(data: &Path, settings: &[(&str, &str)], log: Stdio) -> Self {
        let mut child = Command::new(HALIDOM)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
            .arg(data)
            // A line for every request would bury what a test says.
            .env("HALIDOM_LOG__LEVEL", "warn")
            // A second and 256 MiB for each server of a test.
            .env("HALIDOM_BLOBS__DIRECTORIES_AHEAD", "false")
            // Nor are photos read that nobody asks for.
            .env("HALIDOM_RENDITIONS__PREVIEWS", "false")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let watch = Watch::over(&child);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (url, admin_url) = loop {
            let Some(Ok(line)) = lines.next() else {
                let status = child.wait();
                panic!("the server ended before it listened: {status:?}");
            };
            if let Some(addresses) = listening(&line) {
                break addresses;
            }
        };
        assert!(!watch.had_to_kill(), "the server took too long to listen");
        // Whatever else it prints must not fill the pipe and hold it up.
        halidom::runtime::spawn_thread("server's output", move || lines.for_each(drop)).unwrap();
        Self { child, data: data.to_owned(), url, admin_url }
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.data.join("admin.token")).expect("serve writes the administrator's token").trim().to_owned()
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as systemd would.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process has an id");
        rustix::process::kill_process(id, signal).expect("our own child can be signalled");
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> std::process::ExitStatus {
        let watch = Watch::over(&self.child);
        let status = self.child.wait().expect("our own child can be waited for");
        assert!(!watch.had_to_kill(), "the server does not end");
        status
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let answer = wire::get(&self.admin_url, "/metrics", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// Kills it as a power cut would: no shutdown, no flush.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // By the handle of our own child: it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The CLI with this token.
    pub fn cli(&self, token: &str) -> Cli {
        Cli { url: self.url.clone(), token: token.to_owned() }
    }

    /// The CLI as the administrator.
    pub fn admin(&self) -> Cli {
        self.cli(&self.admin_token())
    }

    /// Makes a user; gives the CLI as that user.
    pub fn user(&self, name: &str) -> Cli {
        let admin = self.admin();
        let user = admin.json(["user", "create", name]);
        let token = admin.json(["token", "create", "--user", user["id"].as_str().unwrap()]);
        self.cli(token["token"].as_str().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads `listening http=127.0.0.1:PORT admin=127.0.0.1:PORT`.
fn listening(line: &str) -> Option<(String, String)> {
    let (http, admin) = line.strip_prefix("listening ")?.split_once(' ')?;
    Some((format!("http://{}", http.strip_prefix("http=")?), format!("http://{}", admin.split(' ').next()?.strip_prefix("admin=")?)))
}

/// The CLI, with a server and a token, and nothing of the machine's own settings.
pub struct Cli {
    url: String,
    token: String,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    /// Whose commands these are.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Runs a command.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Said {
        let output = wait::output(command().env("HALIDOM_SERVER", &self.url).env("HALIDOM_TOKEN", &self.token).args(arguments));
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command with `--json`, which has to end with `code`; gives the one value that it prints.
    pub fn json_ending<S: AsRef<std::ffi::OsStr>>(&self, code: i32, arguments: impl IntoIterator<Item = S>) -> Value {
        let mut all: Vec<std::ffi::OsString> = vec!["--json".into()];
        all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let said = self.run(&all);
        assert_eq!(said.code, Some(code), "{all:?}: {said:?}");
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{all:?} printed no JSON ({error}): {said:?}"))
    }

    /// Runs a command with `--json`, however it ends; gives the one value that it prints.
    pub fn json_of<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let mut all: Vec<std::ffi::OsString> = vec!["--json".into()];
        all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let said = self.run(&all);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{all:?} printed no JSON ({error}): {said:?}"))
    }

    /// Runs a command with `--json`, which has to succeed.
    pub fn json<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        self.json_ending(0, arguments)
    }
}

/// The binary without the machine's own settings.
pub fn command() -> Command {
    let mut command = Command::new(HALIDOM);
    command.env_clear().stdin(Stdio::null());
    command
}
