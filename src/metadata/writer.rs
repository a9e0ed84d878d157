//! The one writer: a thread that evaluates requests in turn, writes those that it accepts as one synced batch, and then answers.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::MetadataError;
use super::changes::{ChangeObserver, Changes};
use super::column::{Column, Format, HeadsOf, Site};
use super::engine::{Batch, Engine};
use super::format::{FORMAT, FormatVersion};
use super::key::{Commit, Key};
use super::overlay::Overlay;
use super::queue::{Queue, Request, Taken, Verdict};
use super::record::{Heads, Settled, Value};
use super::table;
use super::transaction::{Effects, Moment, Transaction};
use crate::model::{BlobKey, Hlc, Origin, WallMs};
use crate::runtime::Runtime;

/// What the writer has done since it was opened.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) groups: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) failed_groups: AtomicU64,
    pub(super) observer: OnceLock<Arc<dyn WriteObserver>>,
    pub(super) changes: OnceLock<Arc<dyn ChangeObserver>>,
}

/// Who is told of what the writer does: for metrics. Called on the writer's thread, so it must be quick.
pub trait WriteObserver: Send + Sync + Debug + 'static {
    /// A request was evaluated.
    fn request(&self, outcome: RequestOutcome);
    /// The batch of a group of this many requests was written and synced, or failed.
    fn batch(&self, requests: usize, elapsed: Duration, written: bool);
}

/// What became of a request when it was evaluated. An accepted one still fails where its batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It is a part of its group's batch.
    Accepted,
    /// Its own precondition failed.
    Refused,
    /// The store failed, or one of its own rules was broken.
    Failed,
    /// It panicked: a bug.
    Panicked,
}

impl RequestOutcome {
    /// As metrics say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        }
    }
}

impl Figures {
    pub(super) fn add(figure: &AtomicU64, by: u64) {
        figure.fetch_add(by, Ordering::Relaxed);
    }

    fn tell(&self, tell: impl FnOnce(&dyn WriteObserver)) {
        if let Some(observer) = self.observer.get() {
            tell(&**observer);
        }
    }
}

/// Whether the writer knows where the store stands.
#[derive(Debug)]
enum Standing {
    Sound,
    /// A batch failed: it was written or not. The heads it would have led to.
    Unknown(Heads),
    /// The store is not where any batch of ours left it: nothing may be written any more.
    Lost(MetadataError),
}

/// The writer's own memory. Nothing else writes to the engine while it lives.
pub(super) struct Writer {
    engine: Arc<dyn Engine>,
    runtime: Runtime,
    queue: Arc<Queue>,
    figures: Arc<Figures>,
    settled: Settled,
    restore_window_ms: u64,
    group_limit: usize,
    origin: Origin,
    heads: Heads,
    standing: Standing,
    /// Given-up copies whose queueing for deletion has failed: tried again with the next group.
    abandoned: Vec<BlobKey>,
}

/// Ends the queue with the writer.
struct Ended(Arc<Queue>);

impl Drop for Ended {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the metadata writer has panicked; nothing is written any more until the server is started anew");
        }
        self.0.end();
    }
}

/// A request that was evaluated, and what it is told once the batch is durable.
struct Evaluated {
    request: Box<dyn Request>,
    outcome: Result<(), MetadataError>,
    /// It saw changes of this group, or made some: if the batch fails, so does it.
    depends: bool,
}

impl Writer {
    /// A writer for a store that holds `heads`, in a new life.
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        runtime: Runtime,
        queue: Arc<Queue>,
        figures: Arc<Figures>,
        settled: Settled,
        heads: Heads,
        settings: &super::MetadataSettings,
    ) -> Self {
        let origin = Origin(runtime.random.bytes());
        Self {
            engine,
            runtime,
            queue,
            figures,
            settled,
            restore_window_ms: u64::try_from(settings.restore_window.as_millis()).unwrap_or(u64::MAX),
            group_limit: settings.group_limit,
            origin,
            heads,
            standing: Standing::Sound,
            abandoned: vec![],
        }
    }

    /// Works until the queue is closed and empty. However it ends, also by a panic, nobody goes on to wait for it.
    pub(super) fn run(mut self) {
        let _ended = Ended(self.queue.clone());
        while let Some(taken) = self.queue.take(self.group_limit) {
            self.group(taken);
        }
    }

    /// Evaluates and writes one group.
    pub(super) fn group(&mut self, taken: Taken) {
        self.abandoned.extend(taken.abandoned);
        if let Err(error) = self.find_standing() {
            tracing::error!(%error, "the metadata writer cannot go on yet");
            taken.requests.into_iter().for_each(|request| request.answer(Err(error.clone())));
            return;
        }
        Figures::add(&self.figures.groups, 1);
        let mut overlay = Overlay::new(self.engine.clone());
        let start = overlay.mark();
        let mut heads = self.heads;
        let mut landed = self.doom_abandoned(&mut overlay, &mut heads);
        let mut changes = Changes::default();
        let mut evaluated = Vec::with_capacity(taken.requests.len());
        for request in taken.requests {
            evaluated.push(self.evaluate(request, &mut overlay, &mut heads, (&mut landed, &mut changes), start));
        }
        let written = if overlay.changed_since(start) { self.write(overlay, heads, evaluated.len()) } else { Ok(()) };
        // Also where it failed: it may turn up, and what is forgotten for nothing is asked for again.
        if let Some(observer) = self.figures.changes.get().filter(|_| !changes.is_empty()) {
            observer.changed(changes);
        }
        if written.is_ok() {
            self.queue.flight.leave(&landed);
            // What is still in flight could not be doomed: it comes again.
            self.abandoned.retain(|key| self.queue.flight.contains(key));
        }
        for Evaluated { request, outcome, depends } in evaluated {
            match &written {
                Err(error) if depends => request.answer(Err(error.clone())),
                _ => request.answer(outcome),
            }
        }
    }

    fn evaluate(
        &self,
        mut request: Box<dyn Request>,
        overlay: &mut Overlay,
        heads: &mut Heads,
        (landed, changes): (&mut Vec<BlobKey>, &mut Changes),
        start: super::overlay::Mark,
    ) -> Evaluated {
        let mark = overlay.mark();
        let label = request.label();
        let moment = match self.moment(*heads) {
            Ok(moment) => moment,
            Err(error) => {
                self.figures.tell(|observer| observer.request(RequestOutcome::Failed));
                return Evaluated { request, outcome: Err(error), depends: overlay.changed_since(start) };
            }
        };
        let mut tx = Transaction::new(overlay, moment);
        let verdict = catch_unwind(AssertUnwindSafe(|| {
            let verdict = request.evaluate(&mut tx);
            (verdict, tx)
        }));
        let outcome = match verdict {
            Ok((Verdict::Accepted, tx)) => tx.finish().map(Some),
            Ok((Verdict::Refused, _)) => Ok(None),
            Err(_) => {
                Figures::add(&self.figures.panicked, 1);
                tracing::error!(label, "a metadata request panicked");
                Err(MetadataError::Panicked { label })
            }
        };
        self.figures.tell(|observer| {
            observer.request(match &outcome {
                Ok(Some(_)) => RequestOutcome::Accepted,
                Ok(None) => RequestOutcome::Refused,
                Err(MetadataError::Panicked { .. }) => RequestOutcome::Panicked,
                Err(_) => RequestOutcome::Failed,
            });
        });
        let outcome = match outcome {
            Ok(Some(Effects { heads: after, landed: more, changes: told })) => {
                Figures::add(&self.figures.accepted, 1);
                *heads = after.unwrap_or(*heads);
                landed.extend(more);
                changes.add(told);
                Ok(())
            }
            Ok(None) => {
                Figures::add(&self.figures.refused, 1);
                overlay.undo_to(mark);
                Ok(())
            }
            Err(error) => {
                overlay.undo_to(mark);
                Err(error)
            }
        };
        Evaluated { request, outcome, depends: overlay.changed_since(start) }
    }

    /// What a request is evaluated in.
    ///
    /// # Errors
    /// [`MetadataError::Damaged`] where logical time stands at its end, 8,900 years away: no program of ours takes it there.
    fn moment(&self, heads: Heads) -> Result<Moment<'_>, MetadataError> {
        let now = WallMs(self.runtime.clock.unix_ms());
        let hlc = heads.hlc.next(now).ok_or_else(|| MetadataError::damaged("the store's logical time stands at its end"))?;
        Ok(Moment {
            heads,
            origin: self.origin,
            now,
            hlc,
            set_key: &self.settled.set_key,
            flight: &self.queue.flight,
            restore_window_ms: self.restore_window_ms,
        })
    }

    /// Queues given-up copies for deletion, in a commit of its own. Answers those that land with the batch.
    fn doom_abandoned(&self, overlay: &mut Overlay, heads: &mut Heads) -> Vec<BlobKey> {
        let mark = overlay.mark();
        let flying = self.abandoned.iter().filter(|key| self.queue.flight.contains(key));
        let done = self.moment(*heads).and_then(|moment| {
            let mut tx = Transaction::new(overlay, moment);
            flying.copied().try_for_each(|key| tx.doom_abandoned(key))?;
            tx.finish()
        });
        match done {
            Ok(effects) => {
                *heads = effects.heads.unwrap_or(*heads);
                effects.landed
            }
            Err(error) => {
                tracing::warn!(%error, "given-up copies could not be queued for deletion yet");
                overlay.undo_to(mark);
                vec![]
            }
        }
    }

    /// Writes the group's batch. Only afterwards does the writer's memory follow.
    fn write(&mut self, mut overlay: Overlay, heads: Heads, requests: usize) -> Result<(), MetadataError> {
        overlay.put::<HeadsOf>(&(), &heads);
        let begun = self.runtime.clock.monotonic();
        let written = self.engine.write(overlay.into_batch(), true);
        let elapsed = self.runtime.clock.monotonic().saturating_sub(begun);
        self.figures.tell(|observer| observer.batch(requests, elapsed, written.is_ok()));
        match written {
            Ok(()) => {
                self.heads = heads;
                Ok(())
            }
            Err(error) => {
                Figures::add(&self.figures.failed_groups, 1);
                tracing::error!(%error, "a batch of metadata failed");
                self.standing = Standing::Unknown(heads);
                Err(error)
            }
        }
    }

    /// After a batch of unknown outcome: reads where the store stands, writes something durable behind the batch, so that no crash can bring
    /// it back after anybody was answered on the strength of its absence, and begins a new life, so that no sequence can be issued twice.
    fn find_standing(&mut self) -> Result<(), MetadataError> {
        let attempted = match &self.standing {
            Standing::Sound => return Ok(()),
            Standing::Lost(error) => return Err(error.clone()),
            Standing::Unknown(attempted) => *attempted,
        };
        let found = read_heads(&*self.engine)?;
        if found != self.heads && found != attempted {
            let error = MetadataError::damaged("after a failed batch the store stands where no batch has left it");
            self.standing = Standing::Lost(error.clone());
            return Err(error);
        }
        // It says what was always so: should it fail too, and both come back after a crash, then the batch's heads must be the last.
        let mut barrier = Batch::default();
        barrier.put(Format::ID, ().to_key(), FormatVersion(FORMAT).to_value());
        self.engine.write(barrier, true)?;
        self.heads = found;
        self.origin = Origin(self.runtime.random.bytes());
        self.standing = Standing::Sound;
        Ok(())
    }
}

/// Where a store stands.
pub(super) fn read_heads(engine: &dyn Engine) -> Result<Heads, MetadataError> {
    let none = Heads { commit: Commit(0), hlc: Hlc::default(), own: None };
    Ok(table::get::<HeadsOf>(engine, &())?.unwrap_or(none))
}

/// What a store is.
pub(super) fn read_settled(engine: &dyn Engine) -> Result<Option<Settled>, MetadataError> {
    table::get::<Site>(engine, &())
}
