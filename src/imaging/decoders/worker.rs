//! A decoder process, as the process that it works for sees it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use super::job::{Done, Job, Ready, Task, receive, send};
use super::{DecoderLimits, Priority};
use crate::imaging::Rendered;
use crate::runtime::{ChildProcess, Clock, spawn_process};

/// How long a new process may take until it is confined.
const START_TIME: Duration = Duration::from_secs(20);
/// The allocator would else take a gigabyte of address space at once and have it count as used, which the limit on memory does not know from
/// what is.
const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
/// Shared memory that is kept between jobs.
const SHARED_KEPT_BYTES: u64 = 32 << 20;

/// What became of a job.
#[derive(Debug)]
pub(super) enum Answer {
    Rendered(Rendered),
    Other(Done),
}

/// A confined process that waits for jobs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Worker {
    process: ChildProcess,
    control: UnixStream,
    shared: File,
    limits: DecoderLimits,
    jobs: u32,
}

impl Worker {
    /// Starts one. Answers also whether Landlock holds it.
    ///
    /// # Errors
    /// Where the system has no process to give, or it could not be confined.
    pub(super) fn start(program: &Path, limits: DecoderLimits) -> io::Result<(Self, bool)> {
        let (control, theirs) = UnixStream::pair()?;
        let shared = File::from(memfd_create("halidom-photo", MemfdFlags::CLOEXEC)?);
        let mut arguments = vec!["decode".to_owned(), limits.memory_bytes.to_string(), limits.output_bytes.to_string()];
        if limits.priority == Priority::Low {
            arguments.push("--low-priority".to_owned());
        }
        let process = spawn_process(program, &arguments, &ENVIRONMENT, OwnedFd::from(theirs), OwnedFd::from(shared.try_clone()?))?;
        control.set_read_timeout(Some(START_TIME))?;
        match receive(&control)? {
            Some(Ready::Confined { by_landlock }) => Ok((Self { process, control, shared, limits, jobs: 0 }, by_landlock)),
            Some(Ready::Unconfined) => Err(io::Error::other("this kernel cannot confine a decoder process (seccomp)")),
            None => Err(io::Error::other("the decoder process ended before it began")),
        }
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// How many jobs it was given.
    pub(super) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Has a job done with the photo that these parts are, in this time. After an error the process is of no more use.
    ///
    /// # Errors
    /// `WouldBlock` or `TimedOut` where it took longer; any other where the process has died or talks nonsense.
    pub(super) fn work(&mut self, parts: &[&[u8]], limits: &crate::imaging::Limits, task: &Task, time: Duration) -> io::Result<Answer> {
        self.jobs += 1;
        let mut photo_bytes = 0;
        for part in parts {
            self.shared.write_all_at(part, photo_bytes)?;
            photo_bytes += part.len() as u64;
        }
        // Nothing of an earlier photo is there to be taken for a picture of this one.
        self.shared.set_len(photo_bytes)?;
        let clock = Clock::system();
        let until = clock.monotonic() + time;
        self.control.set_write_timeout(Some(time))?;
        send(&self.control, &Job { photo_bytes, limits: limits.clone(), task: task.clone() })?;
        let done = receive(Timed { socket: &self.control, clock, until })?;
        let answer = answer_of(done.ok_or(io::ErrorKind::UnexpectedEof)?, &self.shared, self.limits.output_bytes)?;
        if self.shared.metadata()?.len() > SHARED_KEPT_BYTES {
            self.shared.set_len(0)?;
        }
        Ok(answer)
    }
}

/// What a process answers, with the picture that it left in the shared memory.
pub(super) fn answer_of(done: Done, shared: &File, output_bytes: u64) -> io::Result<Answer> {
    Ok(match done {
        Done::Rendered { picture_bytes, format, width, height } => {
            if picture_bytes > output_bytes || picture_bytes > shared.metadata()?.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a picture that is not there"));
            }
            let mut bytes = vec![0; usize::try_from(picture_bytes).map_err(io::Error::other)?];
            shared.read_exact_at(&mut bytes, 0)?;
            Answer::Rendered(Rendered { bytes, format, width, height })
        }
        other => Answer::Other(other),
    })
}

/// Reads until a time is over, however the other side spreads what it says.
struct Timed<'a> {
    socket: &'a UnixStream,
    clock: Clock,
    /// Monotonic.
    until: Duration,
}

impl io::Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_sub(self.clock.monotonic());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(into)
    }
}
