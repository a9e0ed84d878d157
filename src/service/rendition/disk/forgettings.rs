//! What was forgotten, beside files that are still to come: a forgetting finds the file, or the file does not come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::model::HashPrefix;
use crate::service::Forgotten;

/// Which forgettings a render has seen, when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Seen(u64);

#[derive(Debug, Default)]
pub(super) struct Forgettings {
    /// Who puts a file under its name holds it.
    forgotten: RwLock<Forgotten<HashPrefix>>,
    /// How many there were: read where nothing may be waited for.
    count: AtomicU64,
}

impl Forgettings {
    /// To be asked before a render begins. Waits for nothing.
    pub(super) fn seen(&self) -> Seen {
        Seen(self.count.load(Ordering::Acquire))
    }

    /// Of this blob nothing comes any more that was begun before. Waits for those that put files under their names.
    pub(super) fn add(&self, blob: HashPrefix) {
        self.note(|forgotten| forgotten.add(blob));
    }

    /// The same of all blobs.
    pub(super) fn add_all(&self) {
        self.note(Forgotten::add_all);
    }

    /// Lets a file come, where its blob was not forgotten since.
    pub(super) fn unless_since<T>(&self, seen: Seen, blob: HashPrefix, land: impl FnOnce() -> T) -> Option<T> {
        let forgotten = self.forgotten.read().unwrap_or_else(PoisonError::into_inner);
        (!forgotten.is_since(seen.0, |one| *one == blob)).then(land)
    }

    fn note(&self, note: impl FnOnce(&mut Forgotten<HashPrefix>)) {
        let mut forgotten = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        note(&mut forgotten);
        self.count.store(forgotten.count(), Ordering::Release);
    }
}
