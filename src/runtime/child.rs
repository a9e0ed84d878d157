//! Processes that work for this one.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// See signal(7).
const SIGKILL: i32 = 9;

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct ChildProcess(Child);

impl ChildProcess {
    /// Whether it still runs. One that does not is waited for, so that nothing of it stays.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Ends it, and says whether it had been killed (SIGKILL) before: by the system that had no memory left, or by somebody. What ends of itself is
    /// not, however it ends.
    pub fn was_killed(mut self) -> bool {
        // Of one that has ended this changes nothing: its status stands.
        let _ = self.0.kill();
        self.0.wait().is_ok_and(|status| status.signal() == Some(SIGKILL))
    }

    /// Its id, while it lives.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for, so that nothing of it stays.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program, also where its file has been replaced since.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts a program with nothing but these arguments, variables and descriptors; there is no standard error.
///
/// # Errors
/// Where the system has no process to give.
pub fn spawn_process(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    stdin: OwnedFd,
    stdout: OwnedFd,
) -> io::Result<ChildProcess> {
    let mut command = Command::new(program);
    // What a terminal or a service manager tells this program's group to do is not for those that work for it: they end with it.
    command.process_group(0);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::null());
    command.spawn().map(ChildProcess)
}
