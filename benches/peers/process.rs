//! A server's processes: started, watched, ended.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::READY_WITHIN;

/// How often a server that starts is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A started server. Dropping it ends it and all that it started.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts a program, its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self { child: child.with_context(|| format!("could not start {}", command.get_program().display()))? })
    }

    /// Waits until a GET of `url` is answered with a status that `is_ready` takes.
    pub(crate) async fn wait(&mut self, url: &str, is_ready: impl Fn(u16) -> bool) -> anyhow::Result<()> {
        let (client, begun) = (reqwest::Client::new(), Instant::now());
        let mut again = tokio::time::interval(ASK_EVERY);
        while begun.elapsed() < READY_WITHIN {
            again.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended by itself: {status}");
            }
            match client.get(url).send().await {
                Ok(answer) if is_ready(answer.status().as_u16()) => return Ok(()),
                _ => {}
            }
        }
        bail!("{url} is not ready after {} s", READY_WITHIN.as_secs())
    }

    /// CPU time of the process and of all its descendants, in user and system mode.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may end while it is looked at.
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            all.push(Stat::parse(pid, &stat).context("a process's stat is not as proc(5) says")?);
        }
        let mut ours = vec![self.child.id()];
        let (mut ticks, mut next) = (0, 0);
        while let Some(&pid) = ours.get(next) {
            next += 1;
            ticks += all.iter().find(|stat| stat.pid == pid).map_or(0, |stat| stat.ticks);
            ours.extend(all.iter().filter(|stat| stat.parent == pid).map(|stat| stat.pid));
        }
        // USER_HZ is 100.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By SIGTERM, so that what it started ends too: all of them know it.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// The fields of `/proc/PID/stat` that count.
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn parse(pid: u32, stat: &str) -> Option<Self> {
        // The second field is the program's name, which may hold anything; the rest are numbers.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Self { pid, parent: fields.get(1)?.parse().ok()?, ticks })
    }
}
