//! An import from its begin to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, stream};

use super::one::{Came, Intake};
use super::{Imports, Record};
use crate::api::{ImportLayout, ImportRefusal, ImportState};
use crate::model::ImportId;
use crate::runtime::Shutdown;
use crate::service::ServiceError;
use crate::trees::{Batch, Layout, Plan, PlanOptions};

/// Refusals that are remembered of one import; the rest is counted.
const MAX_REFUSALS: usize = 1_000;

/// How a run ended.
enum End {
    /// Everything was looked at.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// The server stops: it goes on at the next start.
    Interrupted,
    Failed(String),
}

impl Imports {
    /// Runs an import, and writes down how it ended.
    pub(super) async fn run(&self, id: ImportId, shutdown: &Shutdown) {
        let (record, stop) = {
            let mut state = self.state();
            let stop = state.stop.clone();
            let Some(record) = state.record(id) else { return };
            if !record.stopping {
                // After a restart everything is looked at again, and what is there counts as existing.
                record.shown.counts = Default::default();
                record.shown.refusals.clear();
            }
            (record.clone(), stop)
        };
        tracing::info!(%id, path = record.shown.path, "an import begins");
        let end = if record.stopping { End::Stopped } else { self.run_record(&record, &stop, shutdown).await };
        if matches!(end, End::Interrupted) {
            return;
        }
        let now = self.now();
        if let Some(record) = self.state().record(id) {
            let shown = &mut record.shown;
            shown.ended_at = Some(now);
            (shown.state, shown.error) = match end {
                End::Done => (ImportState::Done, None),
                End::Stopped | End::Interrupted => (ImportState::Stopped, None),
                End::Failed(error) => (ImportState::Failed, Some(error)),
            };
            tracing::info!(%id, state = ?shown.state, counts = ?shown.counts, error = shown.error, "an import has ended");
        }
        if let Err(error) = self.write_down().await {
            tracing::warn!(%error, %id, "the end of an import is not written down: it is looked at again after a restart");
        }
    }

    async fn run_record(&self, record: &Record, stop: &Arc<AtomicBool>, shutdown: &Shutdown) -> End {
        let id = record.shown.id;
        let root = match self.open_root(&record.request.path).await {
            Ok(root) => root,
            Err(error) => return End::Failed(error.to_string()),
        };
        let intake = Arc::new(Intake::new(self.services.clone(), self.pool.clone(), root, record, shutdown.clone()));
        let options =
            PlanOptions { layout: record.request.layout.map(from_api), manifest: record.request.manifest.as_ref().map(Into::into) };
        let root = intake.root.clone();
        let mut plan = match self.pool.run(move || Plan::new(&root, &options)).await.map_err(ServiceError::from) {
            Ok(Ok(plan)) => plan,
            Ok(Err(error)) => return End::Failed(error.to_string()),
            Err(error) => return End::Failed(error.to_string()),
        };
        self.change(id, |record| record.shown.layout = Some(to_api(plan.layout())));
        loop {
            if stop.load(Ordering::Relaxed) {
                return End::Stopped;
            }
            if shutdown.is_stopping() {
                return End::Interrupted;
            }
            let root: Arc<_> = intake.root.clone();
            let read = self.pool.run(move || {
                let next = plan.next(&root);
                (plan, next)
            });
            let batch = match read.await {
                Ok((again, next)) => {
                    plan = again;
                    next
                }
                Err(gone) => return End::Failed(gone.to_string()),
            };
            match batch {
                Ok(Some(batch)) => {
                    if let Some(end) = self.take_batch(id, &intake, batch, stop, shutdown).await {
                        return end;
                    }
                }
                Ok(None) => return End::Done,
                Err(error) => return End::Failed(error.to_string()),
            }
        }
    }

    /// Takes a batch, so many files at once; whatever was begun comes to its end.
    async fn take_batch(
        &self,
        id: ImportId,
        intake: &Arc<Intake>,
        batch: Batch,
        stop: &Arc<AtomicBool>,
        shutdown: &Shutdown,
    ) -> Option<End> {
        self.change(id, |record| {
            record.shown.counts.sidecars += batch.sidecars;
            record.shown.counts.passed_over += batch.passed_over;
            for refusal in batch.refused {
                let path = refusal.path.to_string_lossy().into_owned();
                refuse(record, ImportRefusal { path, code: refusal.code.into(), detail: refusal.error.to_string() });
                record.shown.counts.refused += 1;
            }
        });
        let ending = Arc::new(AtomicBool::new(false));
        let files = batch.photos.into_iter().map(|found| {
            let (intake, ending, stop, shutdown) = (intake.clone(), ending.clone(), stop.clone(), shutdown.clone());
            async move {
                let is_ending = ending.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) || shutdown.is_stopping();
                if is_ending { None } else { Some(intake.take(&found).await) }
            }
        });
        let mut taking = stream::iter(files).buffer_unordered(self.config.concurrency as usize);
        let mut end = None;
        while let Some(came) = taking.next().await {
            match came {
                Some(Came::Fatal(error)) => {
                    ending.store(true, Ordering::Relaxed);
                    end =
                        end.or(Some(if error == ServiceError::SHUTTING_DOWN { End::Interrupted } else { End::Failed(error.to_string()) }));
                }
                Some(came) => self.change(id, |record| {
                    if let Some(refusal) = came.count(&mut record.shown.counts) {
                        refuse(record, refusal);
                    }
                }),
                None => {}
            }
        }
        end
    }

    fn change(&self, id: ImportId, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.state().record(id) {
            change(record);
        }
    }
}

/// Remembers a refusal, as far as there is room.
fn refuse(record: &mut Record, refusal: ImportRefusal) {
    if record.shown.refusals.len() < MAX_REFUSALS {
        record.shown.refusals.push(refusal);
    }
}

fn from_api(layout: ImportLayout) -> Layout {
    match layout {
        ImportLayout::Folders => Layout::Folders,
        ImportLayout::Takeout => Layout::Takeout,
        ImportLayout::Immich => Layout::Immich,
        ImportLayout::Manifest => Layout::Manifest,
    }
}

fn to_api(layout: Layout) -> ImportLayout {
    match layout {
        Layout::Folders => ImportLayout::Folders,
        Layout::Takeout => ImportLayout::Takeout,
        Layout::Immich => ImportLayout::Immich,
        Layout::Manifest => ImportLayout::Manifest,
    }
}
