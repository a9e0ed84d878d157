//! The engine's twin in memory, for tests and simulations: it can lose what was not synced, and fail on purpose.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::MetadataError;
use super::column::ColumnId;
use super::engine::{Batch, Bounds, Each, Engine, EngineSnapshot, Source};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// Columns are shared with snapshots, and copied when written while a snapshot holds them.
type Columns = BTreeMap<ColumnId, Arc<Rows>>;

/// What a failing write leaves behind. The writer is told the same in each case: it cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file system was full; nothing was written.
    NoSpace,
    /// An I/O error before anything was written.
    Lost,
    /// An I/O error although everything was written and synced.
    Applied,
    /// An I/O error; readers do not see the batch, but a crash may bring it back: until the next write succeeds.
    Ghost,
}

impl Fault {
    fn error(self) -> MetadataError {
        match self {
            Self::NoSpace => MetadataError::NoSpace { detail: "injected".to_owned() },
            Self::Lost | Self::Applied | Self::Ghost => MetadataError::Unavailable { detail: "injected".to_owned() },
        }
    }
}

#[derive(Default)]
struct State {
    /// What reads see.
    current: Columns,
    /// What survives a crash for certain.
    durable: Columns,
    /// What was written since, oldest first: a crash keeps some first of them.
    unsynced: Vec<Batch>,
    /// Faults of coming writes: after how many good ones.
    write_faults: Vec<(u64, Fault)>,
    /// Every read fails.
    unreadable: bool,
    /// Nothing lies in memory, as it were.
    cold: bool,
    /// Crashed: an old handle does nothing more.
    gone: bool,
    checkpoints: BTreeMap<std::path::PathBuf, Columns>,
}

impl State {
    fn usable(&self) -> Result<(), MetadataError> {
        if self.gone { Err(MetadataError::Unavailable { detail: "crashed".to_owned() }) } else { Ok(()) }
    }

    fn fault(&mut self) -> Option<Fault> {
        let due = self.write_faults.iter().position(|(after, _)| *after == 0);
        for (after, _) in &mut self.write_faults {
            *after = after.saturating_sub(1);
        }
        due.map(|index| self.write_faults.remove(index).1)
    }
}

/// An ordered store in memory. Cheap to clone; clones are one store.
#[derive(Clone, Default)]
pub struct MemoryEngine(Arc<Mutex<State>>);

impl MemoryEngine {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: answers the store as it comes up again. Of the writes that were not synced the first `kept` survive.
    /// This handle, and whoever holds a clone of it, can do nothing more.
    #[must_use]
    pub fn crash(&self, kept: usize) -> Self {
        let mut state = self.state();
        state.gone = true;
        let mut durable = std::mem::take(&mut state.durable);
        state.unsynced.iter().take(kept).for_each(|batch| apply(&mut durable, batch));
        Self(Arc::new(Mutex::new(State { current: durable.clone(), durable, ..State::default() })))
    }

    /// How many writes a crash could lose.
    pub fn unsynced(&self) -> usize {
        self.state().unsynced.len()
    }

    /// Lets a write fail, after this many that succeed.
    pub fn fail_write(&self, after: u64, fault: Fault) {
        self.state().write_faults.push((after, fault));
    }

    /// Lets no write fail any more; answers how many faults were still to come.
    pub fn clear_write_faults(&self) -> usize {
        std::mem::take(&mut self.state().write_faults).len()
    }

    /// Lets every read fail, or succeed again.
    pub fn set_unreadable(&self, unreadable: bool) {
        self.state().unreadable = unreadable;
    }

    /// As if nothing lay in memory: reads that do not wait for the disk find nothing; or as if all did again.
    pub fn set_cold(&self, cold: bool) {
        self.state().cold = cold;
    }

    /// The copy made by [`Engine::checkpoint`], as a store of its own.
    pub fn open_checkpoint(&self, path: &Path) -> Option<Self> {
        let columns = self.state().checkpoints.get(path)?.clone();
        Some(Self(Arc::new(Mutex::new(State { current: columns.clone(), durable: columns, ..State::default() }))))
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let rows: usize = state.current.values().map(|rows| rows.len()).sum();
        f.debug_struct("MemoryEngine").field("rows", &rows).field("unsynced", &state.unsynced.len()).finish()
    }
}

fn apply(columns: &mut Columns, batch: &Batch) {
    for (column, key, value) in batch.changes() {
        let rows = Arc::make_mut(columns.entry(*column).or_default());
        match value {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

fn scan(columns: &Columns, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) {
    let Some(rows) = columns.get(&column).filter(|_| !bounds.is_empty()) else { return };
    let range =
        rows.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((bounds.from.as_ref().map(Vec::as_slice), bounds.to.as_ref().map(Vec::as_slice)));
    // A break means that the caller has seen enough.
    let _ = if bounds.reverse {
        range.rev().try_for_each(|(key, value)| each(key, value))
    } else {
        range.into_iter().try_for_each(|(key, value)| each(key, value))
    };
}

impl Source for MemoryEngine {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        let state = self.readable()?;
        Ok(state.current.get(&column).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        // On a copy, so that `each` may use the store.
        let columns = self.readable()?.current.clone();
        scan(&columns, column, bounds, each);
        Ok(())
    }
}

impl MemoryEngine {
    fn readable(&self) -> Result<MutexGuard<'_, State>, MetadataError> {
        let state = self.state();
        state.usable()?;
        if state.unreadable {
            return Err(Fault::Lost.error());
        }
        Ok(state)
    }
}

impl Engine for MemoryEngine {
    fn write(&self, batch: Batch, sync: bool) -> Result<(), MetadataError> {
        let mut state = self.state();
        state.usable()?;
        let state = &mut *state;
        let fault = state.fault();
        match fault {
            Some(Fault::NoSpace | Fault::Lost) => {}
            Some(Fault::Ghost) => state.unsynced.push(batch),
            None | Some(Fault::Applied) => {
                apply(&mut state.current, &batch);
                if sync {
                    state.unsynced.clear();
                    state.durable = state.current.clone();
                } else {
                    state.unsynced.push(batch);
                }
            }
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn snapshot(&self) -> Box<dyn EngineSnapshot> {
        Box::new(MemorySnapshot::of(&self.state(), false))
    }

    fn snapshot_in_memory(&self) -> Box<dyn EngineSnapshot> {
        let state = self.state();
        Box::new(MemorySnapshot::of(&state, state.cold))
    }

    fn checkpoint(&self, path: &Path) -> Result<(), MetadataError> {
        let mut state = self.state();
        state.usable()?;
        let columns = state.current.clone();
        state.checkpoints.insert(path.to_owned(), columns);
        Ok(())
    }
}

struct MemorySnapshot {
    columns: Columns,
    broken: bool,
    cold: bool,
    missed: AtomicBool,
}

impl MemorySnapshot {
    fn of(state: &State, cold: bool) -> Self {
        Self { columns: state.current.clone(), broken: state.gone || state.unreadable, cold, missed: AtomicBool::new(false) }
    }

    fn readable(&self) -> Result<&Columns, MetadataError> {
        if self.cold {
            self.missed.store(true, Ordering::Relaxed);
            return Err(MetadataError::NotInMemory);
        }
        if self.broken { Err(Fault::Lost.error()) } else { Ok(&self.columns) }
    }
}

impl fmt::Debug for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySnapshot").finish_non_exhaustive()
    }
}

impl Source for MemorySnapshot {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        Ok(self.readable()?.get(&column).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        scan(self.readable()?, column, bounds, each);
        Ok(())
    }
}

impl EngineSnapshot for MemorySnapshot {
    fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }
}
