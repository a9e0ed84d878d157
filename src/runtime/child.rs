//! Processes that work for this one.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::spawn::spawn_thread;

/// What programs are told of time that processors worked (USER_HZ, on all that this runs on).
const TICK_MS: u64 = 10;
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

    /// For how long processors have worked for it so far, in steps of a hundredth of a second. `None` where the system does not say.
    pub fn processor_time(&self) -> Option<Duration> {
        processor_time(&std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?)
    }

    /// Its id, while it lives.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

/// `utime` and `stime` of proc_pid_stat(5), behind a name that may hold anything.
fn processor_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    Some(Duration::from_millis(ticks.saturating_mul(TICK_MS)))
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

/// Has the system kill (SIGKILL) this process when the one that started it ends, however it ends. For what [`spawn_process`] has started: to be called
/// as its first thing. Where the other had ended before, nothing comes of it: look whether anybody is there still.
///
/// # Errors
/// Where the system refuses it.
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

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
    let (to, born) = sync_channel(1);
    parent()?.send(Birth { command, to }).map_err(|_| no_parent())?;
    born.recv().map_err(|_| no_parent())?
}

/// A process to be started, and who waits for it.
struct Birth {
    command: Command,
    to: SyncSender<io::Result<ChildProcess>>,
}

/// The thread that starts all processes, and ends with this one. Whoever is to [end with its parent](end_with_parent) ends with the thread that started it
/// (PR_SET_PDEATHSIG(2const)), and a pool's threads end when they are idle.
fn parent() -> io::Result<SyncSender<Birth>> {
    static PARENT: Mutex<Option<SyncSender<Birth>>> = Mutex::new(None);
    let mut parent = PARENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(births) = &*parent {
        return Ok(births.clone());
    }
    let (births, coming) = sync_channel::<Birth>(0);
    spawn_thread("parent", move || {
        for Birth { mut command, to } in coming {
            // Where nobody takes it, it is dropped, and so killed.
            let _ = to.send(command.spawn().map(ChildProcess));
        }
    })?;
    Ok(parent.insert(births).clone())
}

fn no_parent() -> io::Error {
    io::Error::other("the thread that starts processes has gone")
}
