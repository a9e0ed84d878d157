//! Who runs on which processor.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One processor for what is measured, and another one, where there is one, for what asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Processors {
    pub(super) measured: usize,
    pub(super) asking: usize,
}

impl Processors {
    /// The last two that this process may use: the first one takes most of the machine's interrupts.
    pub(super) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).rev().filter(|number| allowed.is_set(*number));
        let measured = usable.next().context("no processor")?;
        Ok(Self { measured, asking: usable.next().unwrap_or(measured) })
    }

    /// In a sentence.
    pub(super) fn describe(&self) -> String {
        if self.measured == self.asking {
            "Everything on one processor: there is no other.".to_owned()
        } else {
            format!("What is measured on processor {}, what asks on {}.", self.measured, self.asking)
        }
    }

    /// Does this on the processor of those that ask, in a thread of its own: what is started by others later runs where it would.
    pub(super) fn on_asking<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let pinned = scope.spawn(|| {
                let mut only = CpuSet::new();
                only.set(self.asking);
                sched_setaffinity(None, &only)?;
                work()
            });
            pinned.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the one that asks panicked")))
        })
    }
}

/// A command that runs on one processor; on any where none is named.
pub(super) fn command(program: impl AsRef<OsStr>, processor: Option<usize>) -> Command {
    let Some(processor) = processor else { return Command::new(program) };
    // taskset puts the program in its own place: the process is the program's.
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program);
    command
}
