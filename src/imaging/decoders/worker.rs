//! A decoder process, as the process that it works for sees it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use super::DecoderLimits;
use super::job::{Done, Job, Laid, Ready, Step, Task, Told, receive, send};
use crate::imaging::{ImagingError, Limits, Rendered};
use crate::runtime::{ChildProcess, Clock, spawn_process};

/// How long a new process may take until it is confined.
const START_TIME: Duration = Duration::from_secs(20);
/// The allocator would else take a gigabyte of address space at once and have it count as used, which the limit on memory does not know from
/// what is.
const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_EAGER_COMMIT", "0")];
/// How well it is told for how long a process has worked.
const TOLD_TO: Duration = Duration::from_millis(50);
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
    /// What processors had worked for it when its last job began.
    worked_before: Option<Duration>,
}

impl Worker {
    /// Starts one. Answers also whether Landlock holds it.
    ///
    /// # Errors
    /// Where the system has no process to give, or it could not be confined.
    pub(super) fn start(program: &Path, limits: DecoderLimits) -> io::Result<(Self, bool)> {
        let (control, theirs) = UnixStream::pair()?;
        let shared = File::from(memfd_create("halidom-photo", MemfdFlags::CLOEXEC)?);
        let arguments = ["decode".to_owned(), limits.memory_bytes.to_string(), limits.output_bytes.to_string(), limits.nice.to_string()];
        let process = spawn_process(program, &arguments, &ENVIRONMENT, OwnedFd::from(theirs), OwnedFd::from(shared.try_clone()?))?;
        control.set_read_timeout(Some(START_TIME))?;
        match receive(&control)? {
            Some(Ready::Confined { by_landlock }) => {
                Ok((Self { process, control, shared, limits, jobs: 0, worked_before: None }, by_landlock))
            }
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

    /// Ends it, and says whether somebody else had killed it: then what it was at is not to blame.
    pub(super) fn was_killed(self) -> bool {
        self.process.was_killed()
    }

    /// Whether it could work for clearly less than half of this time since its job began: then the machine is to blame for what is not done, not the photo.
    pub(super) fn was_held_up(&self, time: Duration) -> bool {
        let worked = self.process.processor_time().zip(self.worked_before).map(|(now, before)| now.saturating_sub(before));
        worked.is_some_and(|worked| worked + TOLD_TO < time / 2)
    }

    /// How many jobs it was given.
    pub(super) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Has a job done with the photo that these parts are, in this time. After an error the process is of no more use.
    ///
    /// # Errors
    /// `WouldBlock` or `TimedOut` where it took longer; any other where the process has died or talks nonsense.
    pub(super) fn work(&mut self, parts: &[&[u8]], limits: &Limits, task: &Task, time: Duration) -> io::Result<Answer> {
        self.begin(parts, limits, task, time)?;
        let answer = answer_of(self.answer(time)?, &self.shared, self.limits.output_bytes)?;
        self.end()?;
        Ok(answer)
    }

    /// Has a job done that is answered by so many pictures, each of them in this time. `each` takes one with its number, and says whether it
    /// can be; the ones that there was no room for are left out.
    ///
    /// # Errors
    /// As [`Worker::work`], after any number of them.
    pub(super) fn work_on_several(
        &mut self,
        parts: &[&[u8]],
        limits: &Limits,
        (task, count): (&Task, usize),
        time: Duration,
        each: &mut dyn FnMut(Option<u32>, Result<Option<Rendered>, ImagingError>) -> bool,
    ) -> io::Result<()> {
        self.begin(parts, limits, task, time)?;
        let mut end = 0;
        for _ in 0..count {
            let Told { number, done } = self.answer(time)?;
            let made = match done {
                Step::Rendered(Laid { picture_bytes, format, width, height }) => {
                    let bytes = self.picture(end, picture_bytes)?;
                    end += picture_bytes;
                    Ok(Some(Rendered { bytes, format, width, height }))
                }
                Step::NoPreview => Ok(None),
                Step::NoRoom => continue,
                Step::Failed(error) => Err(error),
            };
            if !each(number, made) {
                return Err(nonsense("an answer that cannot be"));
            }
        }
        self.end()
    }

    fn begin(&mut self, parts: &[&[u8]], limits: &Limits, task: &Task, time: Duration) -> io::Result<()> {
        self.jobs += 1;
        self.worked_before = self.process.processor_time();
        let mut photo_bytes = 0;
        for part in parts {
            self.shared.write_all_at(part, photo_bytes)?;
            photo_bytes += part.len() as u64;
        }
        // Nothing of an earlier photo is there to be taken for a picture of this one.
        self.shared.set_len(photo_bytes)?;
        self.control.set_write_timeout(Some(time))?;
        send(&self.control, &Job { photo_bytes, limits: limits.clone(), task: task.clone() })
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, time: Duration) -> io::Result<T> {
        let clock = Clock::system();
        let until = clock.monotonic() + time;
        receive(Timed { socket: &self.control, clock, until })?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// What lies in the shared memory from `start` on.
    fn picture(&self, start: u64, picture_bytes: u64) -> io::Result<Vec<u8>> {
        picture_in(&self.shared, self.limits.output_bytes, start, picture_bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.shared.metadata()?.len() > SHARED_KEPT_BYTES {
            self.shared.set_len(0)?;
        }
        Ok(())
    }
}

fn nonsense(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What a process answers, with the picture that it left in the shared memory.
pub(super) fn answer_of(done: Done, shared: &File, output_bytes: u64) -> io::Result<Answer> {
    Ok(match done {
        Done::Rendered(Laid { picture_bytes, format, width, height }) => {
            Answer::Rendered(Rendered { bytes: picture_in(shared, output_bytes, 0, picture_bytes)?, format, width, height })
        }
        other => Answer::Other(other),
    })
}

fn picture_in(shared: &File, output_bytes: u64, start: u64, picture_bytes: u64) -> io::Result<Vec<u8>> {
    let end = start.checked_add(picture_bytes).filter(|end| *end <= output_bytes);
    let there = shared.metadata()?.len();
    if end.is_none_or(|end| end > there) {
        return Err(nonsense("a picture that is not there"));
    }
    let mut bytes = vec![0; usize::try_from(picture_bytes).map_err(io::Error::other)?];
    shared.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
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
