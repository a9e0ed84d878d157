//! Who decodes: threads of this process, or processes that can do no harm (decision 0017).
//!
//! The only part of `imaging` that does I/O: it starts processes and talks to them.

mod checked;
mod confine;
mod cost;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod idle;
mod job;
mod ladder;
mod priority;
mod process;
mod room;
mod worker;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

#[cfg(any(test, fuzzing))]
pub(super) use self::checked::{is_error, is_inspection};
pub use self::confine::confine;
#[cfg(any(test, fuzzing))]
pub use self::fuzzing::{decoder_answer, decoder_job};
use self::idle::{AtWork, Found, Idle};
use self::job::{Done, Task};
pub use self::ladder::Order;
pub use self::priority::Priority;
pub use self::process::{DecoderLimits, decode_for_others};
use self::room::{Held, Room};
use self::worker::{Answer, Worker};
use super::error::{Extent, ImagingError};
use super::inspect::Examined;
use super::preview::preview_recipe;
use super::structure::{outline, recognise};
use super::{Format, Impression, Inspection, Limits, Recipe, Rendered, Renderer, inspect, placeholder, render};
use crate::model::TenantId;
use crate::runtime::{BlockingPool, Gone, PoolLoad};

/// Jobs after which a process is replaced, so that whatever one photo has done to it does not last. Starting one takes some 10 ms.
const JOBS_OF_ONE: u32 = 100;
/// Processes for each thread: where several tenants are busy at once, more wait than work. Of one tenant there are never more than threads.
const PROCESSES_A_THREAD: usize = 2;
/// How often a job is begun where the process dies at it: it may have been killed for what another did.
const TRIES: u32 = 2;
/// How many times as long a process for which nobody waits may take: what others leave it may be little.
const BACKGROUND_TIMES: u32 = 6;
/// What goes in a message at most, thumbnail and profile; with more the whole photo is looked at.
const LOOK_BYTES: usize = 512 << 10;
/// The process itself, before a photo comes.
const OWN_BYTES: u64 = 256 << 20;

/// Decodes, a bounded number of photos at once. Cheap to clone.
///
/// Whose a photo is says [`Decoders::of_tenant`]: a process that has seen a photo of one tenant's sees none of another's. Where nobody says it, a process does
/// one job and ends.
#[derive(Clone, Debug)]
pub struct Decoders {
    pool: BlockingPool,
    whose: Option<TenantId>,
    limits: Limits,
    room: Room,
    processes: Option<Arc<Processes>>,
}

#[derive(Debug)]
struct Processes {
    program: PathBuf,
    idle: Idle<Worker>,
    allowed: DecoderLimits,
    /// How long one job may take.
    time: Duration,
    started: AtomicU64,
    died: AtomicU64,
}

impl Decoders {
    /// Decoders in this process, on this pool's threads.
    pub fn in_threads(pool: BlockingPool, limits: Limits) -> Self {
        let room = Room::of(pool.load().limit, limits.max_decoded_bytes);
        Self { pool, whose: None, limits, room, processes: None }
    }

    /// Decoders in processes of their own, one for each thread of the pool, two where they have photos of several tenants, started when they are needed; a photo that takes one longer than
    /// `time` is too large. One is started now, to see that it can be confined; answers also whether Landlock holds it.
    ///
    /// `program` is halidom's own ([`crate::runtime::THIS_PROGRAM`]), `max_photo_bytes` the largest file that will come.
    ///
    /// # Errors
    /// Where no process can be started or confined.
    pub fn in_processes(
        program: &Path,
        pool: BlockingPool,
        limits: Limits,
        max_photo_bytes: u64,
        time: Duration,
        priority: Priority,
    ) -> io::Result<(Self, bool)> {
        // A picture at full size takes as much as the decoded photo, and once more while it is turned.
        let pixels = limits.max_decoded_bytes.saturating_mul(3);
        let memory_bytes = pixels.saturating_add(max_photo_bytes).saturating_add(OWN_BYTES);
        let allowed = DecoderLimits { memory_bytes, output_bytes: limits.max_decoded_bytes.max(max_photo_bytes), nice: priority.nice() };
        let (first, by_landlock) = Worker::start(program, allowed)?;
        let time = if priority == Priority::Background { time.saturating_mul(BACKGROUND_TIMES) } else { time };
        let (idle, started, died) = (Idle::new(pool.load().limit * PROCESSES_A_THREAD, first), AtomicU64::new(1), AtomicU64::new(0));
        let processes = Arc::new(Processes { program: program.to_owned(), idle, allowed, time, started, died });
        Ok((Self { processes: Some(processes), ..Self::in_threads(pool, limits) }, by_landlock))
    }

    /// The same decoders, for photos of this tenant's; `None`: it is not known whose they are.
    pub fn of_tenant(&self, whose: Option<TenantId>) -> Self {
        Self { whose, ..self.clone() }
    }

    /// Photos that are decoded or wait.
    pub fn load(&self) -> PoolLoad {
        self.pool.load()
    }

    /// The threads that it decodes or waits on.
    #[cfg(test)]
    pub fn pool(&self) -> &BlockingPool {
        &self.pool
    }

    /// Ids of the processes that wait for a photo now.
    pub fn idle_processes(&self) -> Vec<u32> {
        let idle = |all: &Arc<Processes>| all.idle.map(Worker::id);
        self.processes.as_ref().map(idle).unwrap_or_default()
    }

    /// Processes that were started so far, and of these the ones that died at a photo or took too long; `None` for threads.
    pub fn processes(&self) -> Option<(u64, u64)> {
        self.processes.as_ref().map(|all| (all.started.load(Ordering::Relaxed), all.died.load(Ordering::Relaxed)))
    }

    /// As [`render`].
    ///
    /// # Errors
    /// As [`render`]; a photo that kills its decoder twice is broken, one that takes too long too large. [`Gone`] where the pool is closed.
    pub async fn render(&self, photo: Bytes, recipe: Recipe) -> Result<Result<Rendered, ImagingError>, Gone> {
        let decoders = self.clone();
        self.pool.run(move || decoders.render_now(&photo, recipe)).await
    }

    /// As [`Renderer::preview`].
    ///
    /// # Errors
    /// As [`Decoders::render`].
    pub async fn preview(&self, photo: Bytes) -> Result<Result<Option<Rendered>, ImagingError>, Gone> {
        let decoders = self.clone();
        self.pool.run(move || decoders.preview_now(&photo)).await
    }

    /// As [`Renderer::render_preview`].
    ///
    /// # Errors
    /// As [`Decoders::render`].
    pub async fn render_preview(&self, preview: Bytes, shown: (u32, u32), recipe: Recipe) -> Result<Result<Rendered, ImagingError>, Gone> {
        let decoders = self.clone();
        self.pool.run(move || decoders.render_preview_now(&preview, shown, recipe)).await
    }

    /// As [`inspect`]; `kept` is dropped when nothing of the photo is in memory here any more.
    ///
    /// # Errors
    /// As [`Decoders::render`].
    pub async fn inspect<T: Send + 'static>(&self, photo: Bytes, kept: T) -> Result<(Result<Inspection, ImagingError>, T), Gone> {
        let decoders = self.clone();
        self.pool.run(move || (decoders.inspect_now(&photo), kept)).await
    }

    /// As [`placeholder`]; `kept` likewise.
    ///
    /// # Errors
    /// As [`Decoders::render`].
    pub async fn placeholder<T: Send + 'static>(&self, photo: Bytes, kept: T) -> Result<Result<Impression, ImagingError>, Gone> {
        let decoders = self.clone();
        self.pool
            .run(move || {
                let _kept = kept;
                decoders.placeholder_now(&photo)
            })
            .await
    }

    /// Room for what a job takes, once it is there.
    fn room_for(&self, photo: &[u8], task: &Task) -> Held {
        self.room.take(cost::cost(photo, task, &self.limits))
    }

    fn render_now(&self, photo: &[u8], recipe: Recipe) -> Result<Rendered, ImagingError> {
        let task = Task::Render(recipe.clone());
        let _held = self.room_for(photo, &task);
        let Some(processes) = &self.processes else { return render(photo, &recipe, &self.limits) };
        match processes.of_picture(self.whose, photo, &self.limits, &task)? {
            Answer::Rendered(rendered) => Ok(rendered),
            Answer::Other(other) => Err(unexpected(other)),
        }
    }

    fn preview_now(&self, photo: &[u8]) -> Result<Option<Rendered>, ImagingError> {
        let _held = self.room_for(photo, &Task::Preview);
        let Some(processes) = &self.processes else { return Renderer::default().preview(photo, &self.limits) };
        match processes.of_picture(self.whose, photo, &self.limits, &Task::Preview)? {
            Answer::Rendered(rendered) => Ok(Some(rendered)),
            Answer::Other(Done::NoPreview) => Ok(None),
            Answer::Other(other) => Err(unexpected(other)),
        }
    }

    fn render_preview_now(&self, preview: &[u8], shown: (u32, u32), recipe: Recipe) -> Result<Rendered, ImagingError> {
        let Some(processes) = &self.processes else {
            return Renderer::default().render_preview(preview, shown, &recipe, &self.limits);
        };
        match processes.answer(self.whose, (format_of(preview)?, &[preview]), &self.limits, &Task::RenderPreview { shown, recipe })? {
            Answer::Rendered(rendered) => Ok(rendered),
            Answer::Other(other) => Err(unexpected(other)),
        }
    }

    fn inspect_now(&self, photo: &[u8]) -> Result<Inspection, ImagingError> {
        let Some(processes) = &self.processes else {
            let _held = self.room_for(photo, &Task::Inspect);
            return inspect(photo, &self.limits);
        };
        if matches!(recognise(photo), Some(Format::Jpeg | Format::Raw(_))) {
            // What needs no decoder is found out here, in safe code, so that no more of the photo is brought to one than it has to see.
            let examined = Examined::read(photo, &self.limits)?;
            if let Some((parts, look)) = examined.look(photo, &self.limits).filter(|(_, look)| look.byte_len() <= LOOK_BYTES) {
                let answer = processes.answer(self.whose, (Format::Jpeg, &parts), &self.limits, &Task::Look(look));
                return match answer.map_err(|error| examined.blamed(error))? {
                    Answer::Other(Done::Seen(seen)) => Ok(examined.inspection(seen)),
                    Answer::Other(other) => Err(examined.blamed(unexpected(other))),
                    Answer::Rendered(_) => Err(nonsense()),
                };
            }
        }
        // First: what is no image waits for no room.
        let format = format_of(photo)?;
        let _held = self.room_for(photo, &Task::Inspect);
        match processes.answer(self.whose, (format, &[photo]), &self.limits, &Task::Inspect)? {
            Answer::Other(Done::Inspected(inspection)) => Ok(*inspection),
            Answer::Other(other) => Err(unexpected(other)),
            Answer::Rendered(_) => Err(nonsense()),
        }
    }

    fn placeholder_now(&self, photo: &[u8]) -> Result<Impression, ImagingError> {
        let _held = self.room_for(photo, &Task::Placeholder);
        let Some(processes) = &self.processes else { return placeholder(photo, &self.limits) };
        match processes.of_picture(self.whose, photo, &self.limits, &Task::Placeholder)? {
            Answer::Other(Done::Placeholder(placeholder)) => Ok(placeholder),
            Answer::Other(other) => Err(unexpected(other)),
            Answer::Rendered(_) => Err(nonsense()),
        }
    }
}

/// What is no image at all needs no decoder.
fn format_of(photo: &[u8]) -> Result<Format, ImagingError> {
    recognise(photo).ok_or(ImagingError::NotAnImage)
}

/// What takes a photo's picture alone gets no more of a raw file than the JPEG that shows it. `with` takes the format and the parts that,
/// put together, are the photo; and what an error about these says of the whole.
fn picture_alone<T>(
    photo: &[u8],
    limits: &Limits,
    with: impl FnOnce(Format, &[&[u8]], &dyn Fn(ImagingError) -> ImagingError) -> T,
) -> Result<T, ImagingError> {
    let format = format_of(photo)?;
    if matches!(format, Format::Raw(_)) {
        let outline = outline(photo, limits)?;
        if let Some((head, rest)) = outline.preview_alone() {
            return Ok(with(Format::Jpeg, &[&head, rest], &|error| outline.blamed(error)));
        }
    }
    Ok(with(format, &[photo], &|error| error))
}

fn nonsense() -> ImagingError {
    ImagingError::Encoding("a decoder process answered what was not asked".into())
}

fn unexpected(done: Done) -> ImagingError {
    match done {
        Done::Failed(error) => error,
        _ => nonsense(),
    }
}

impl Processes {
    /// Has a process do what takes a photo's picture alone.
    fn of_picture(&self, whose: Option<TenantId>, photo: &[u8], limits: &Limits, task: &Task) -> Result<Answer, ImagingError> {
        picture_alone(photo, limits, |format, parts, blamed| match self.answer(whose, (format, parts), limits, task).map_err(blamed)? {
            Answer::Other(Done::Failed(error)) => Err(blamed(error)),
            answer => Ok(answer),
        })?
    }

    /// Has a process do it: an idle one, or a new one. One that dies is replaced, and the job begun again in a new one.
    ///
    /// The photo is the parts, put together, and of this format.
    fn answer(
        &self,
        whose: Option<TenantId>,
        (format, parts): (Format, &[&[u8]]),
        limits: &Limits,
        task: &Task,
    ) -> Result<Answer, ImagingError> {
        let at_work = self.idle.begin(whose);
        let mut was_killed = false;
        for attempt in 0..TRIES {
            // What killed one may have killed others that wait.
            let mut worker = if attempt == 0 { self.worker(&at_work)? } else { self.start()? };
            let error = match worker.work(parts, limits, task, self.time) {
                Ok(answer) if is_believable(&answer, format, limits, task) => {
                    self.rest(at_work, worker);
                    return Ok(answer);
                }
                Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "an answer that cannot be"),
                Err(error) => error,
            };
            self.lost(&error, format, parts, task);
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut if worker.was_held_up(self.time) => {
                    return Err(ImagingError::Interrupted);
                }
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    let limit = self.time.as_secs();
                    return Err(ImagingError::TooLarge { extent: Extent::Seconds, found: limit.saturating_add(1), limit });
                }
                // It died, or talks nonsense: that may be the photo's doing.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    was_killed = worker.was_killed()
                }
                io::ErrorKind::InvalidData => was_killed = false,
                _ => return Err(ImagingError::Encoding(format!("a decoder process cannot be used: {error}"))),
            }
        }
        Err(if was_killed { ImagingError::Interrupted } else { ImagingError::broken(format, "the decoder died") })
    }

    /// Lets one wait for the next photo.
    fn rest(&self, at_work: AtWork<'_, Worker>, worker: Worker) {
        if worker.jobs() < JOBS_OF_ONE {
            drop(at_work.rest(worker));
        }
    }

    /// Counts one that is of no more use.
    fn lost(&self, error: &io::Error, format: Format, parts: &[&[u8]], task: &Task) {
        self.died.fetch_add(1, Ordering::Relaxed);
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        tracing::warn!(%error, %format, task = task.name(), bytes, "a decoder process was lost");
    }

    /// One that waits and still runs, or a new one: what ended others while they waited is nothing to the next photo.
    fn worker(&self, at_work: &AtWork<'_, Worker>) -> Result<Worker, ImagingError> {
        loop {
            let mut worker = match at_work.find() {
                Found::Worker(worker) => worker,
                Found::None { to_end } => {
                    drop(to_end);
                    return self.start();
                }
            };
            if worker.is_alive() {
                return Ok(worker);
            }
            self.died.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn start(&self) -> Result<Worker, ImagingError> {
        let started = Worker::start(&self.program, self.allowed);
        let (worker, _) = started.map_err(|error| {
            tracing::warn!(%error, "no decoder process could be started");
            ImagingError::Interrupted
        })?;
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(worker)
    }
}

/// Whether a sound process could have answered so.
fn is_believable(answer: &Answer, format: Format, limits: &Limits, task: &Task) -> bool {
    match (answer, task) {
        (Answer::Other(Done::Failed(error)), _) => checked::is_error(error),
        (Answer::Rendered(rendered), Task::Render(recipe) | Task::RenderPreview { recipe, .. }) => checked::is_picture(rendered, recipe),
        (Answer::Rendered(rendered), Task::Preview) => checked::is_picture(rendered, &preview_recipe()),
        (Answer::Other(Done::NoPreview), Task::Preview) => true,
        (Answer::Other(Done::Inspected(inspection)), Task::Inspect) => checked::is_inspection(inspection, format, limits),
        (Answer::Other(Done::Seen(seen)), Task::Look(_)) => checked::is_seen(seen),
        (Answer::Other(Done::Placeholder(impression)), Task::Placeholder) => checked::is_impression(impression),
        _ => false,
    }
}
