//! Changes that are not written yet, over the engine that they will go to: a later request of a group sees the earlier ones, and those
//! of a refused request are taken back.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::MetadataError;
use super::column::{Column, ColumnId};
use super::engine::{Batch, Bounds, Each, Engine, Source};
use super::key::Key;
use super::record::Value;

/// `None`: removed.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
/// A column, a key, and the change of it that was replaced; the outer `None`: there was none.
type Undo = (ColumnId, Vec<u8>, Option<Option<Vec<u8>>>);

/// A point to go back to, see [`Overlay::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(usize);

/// Changes over an engine that nobody else writes to meanwhile.
#[derive(Debug)]
pub(super) struct Overlay {
    engine: Arc<dyn Engine>,
    columns: BTreeMap<ColumnId, Changes>,
    /// What each change replaced in `columns`, oldest first.
    undo: Vec<Undo>,
}

impl Overlay {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, columns: BTreeMap::new(), undo: vec![] }
    }

    /// The present point.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back every change since `mark`.
    pub(super) fn undo_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0
            && let Some((column, key, former)) = self.undo.pop()
        {
            let changes = self.columns.entry(column).or_default();
            match former {
                Some(value) => changes.insert(key, value),
                None => changes.remove(&key),
            };
        }
    }

    /// Whether anything was changed since `mark`.
    pub(super) fn changed_since(&self, mark: Mark) -> bool {
        self.undo.len() > mark.0
    }

    pub(super) fn set(&mut self, column: ColumnId, key: Vec<u8>, value: Option<Vec<u8>>) {
        let former = self.columns.entry(column).or_default().insert(key.clone(), value);
        self.undo.push((column, key, former));
    }

    pub(super) fn put<C: Column>(&mut self, key: &C::Key, value: &C::Value) {
        self.set(C::ID, key.to_key(), Some(value.to_value()));
    }

    pub(super) fn delete<C: Column>(&mut self, key: &C::Key) {
        self.set(C::ID, key.to_key(), None);
    }

    /// Everything, as one batch.
    pub(super) fn into_batch(self) -> Batch {
        let mut batch = Batch::default();
        for (column, changes) in self.columns {
            for (key, value) in changes {
                match value {
                    Some(value) => batch.put(column, key, value),
                    None => batch.delete(column, key),
                }
            }
        }
        batch
    }
}

impl Source for Overlay {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, MetadataError> {
        match self.columns.get(&column).and_then(|changes| changes.get(key)) {
            Some(change) => Ok(change.clone()),
            None => self.engine.get(column, key),
        }
    }

    fn scan(&self, column: ColumnId, bounds: &Bounds, each: &mut Each<'_>) -> Result<(), MetadataError> {
        if bounds.is_empty() {
            return Ok(());
        }
        let Some(changes) = self.columns.get(&column).filter(|changes| !changes.is_empty()) else {
            return self.engine.scan(column, bounds, each);
        };
        let range = changes
            .range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((bounds.from.as_ref().map(Vec::as_slice), bounds.to.as_ref().map(Vec::as_slice)));
        if bounds.reverse {
            merge(range.rev(), |change, stored| change > stored, |each| self.engine.scan(column, bounds, each), each)
        } else {
            merge(range, |change, stored| change < stored, |each| self.engine.scan(column, bounds, each), each)
        }
    }
}

/// Merges changes and stored rows, both in the same order; `before` tells whether a change comes before a stored row in it.
fn merge<'a>(
    changes: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    before: impl Fn(&[u8], &[u8]) -> bool,
    scan: impl FnOnce(&mut Each<'_>) -> Result<(), MetadataError>,
    each: &mut Each<'_>,
) -> Result<(), MetadataError> {
    let mut changes = changes.peekable();
    let mut broken = false;
    scan(&mut |stored, value| {
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue()
            && let Some((key, change)) = changes.next_if(|(key, _)| before(key, stored))
        {
            flow = change.as_ref().map_or(flow, |change| each(key, change));
        }
        if flow.is_continue() {
            flow = match changes.next_if(|(key, _)| key.as_slice() == stored) {
                Some((key, Some(change))) => each(key, change),
                Some((_, None)) => flow,
                None => each(stored, value),
            };
        }
        broken = flow.is_break();
        flow
    })?;
    while !broken && let Some((key, change)) = changes.next() {
        broken = change.as_ref().is_some_and(|change| each(key, change).is_break());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::memory::MemoryEngine;
    use proptest::prelude::*;

    fn rows(source: &dyn Source, bounds: &Bounds, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = vec![];
        let mut each = |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            if rows.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        source.scan(ColumnId::Refs, bounds, &mut each).unwrap();
        rows
    }

    fn change() -> impl Strategy<Value = (u8, Option<u8>)> {
        (0..12u8, proptest::option::of(any::<u8>()))
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            Just(Bound::Unbounded),
            (0..13u8).prop_map(|key| Bound::Included(vec![key])),
            (0..13u8).prop_map(|key| Bound::Excluded(vec![key])),
        ]
    }

    proptest! {
        /// What an overlay shows is what the engine shows once the overlay is written; undone changes never were.
        #[test]
        fn an_overlay_reads_like_the_engine_after_it(
            stored in prop::collection::vec(change(), 0..20),
            kept in prop::collection::vec(change(), 0..20),
            undone in prop::collection::vec(change(), 0..20),
            later in prop::collection::vec(change(), 0..10),
            from in bound(), to in bound(), reverse: bool, limit in 1..15usize,
        ) {
            let engine = MemoryEngine::new();
            let mut batch = Batch::default();
            for (key, value) in stored {
                match value {
                    Some(value) => batch.put(ColumnId::Refs, vec![key], vec![value]),
                    None => batch.delete(ColumnId::Refs, vec![key]),
                }
            }
            engine.write(batch, true).unwrap();
            let mut overlay = Overlay::new(Arc::new(engine.clone()));
            let make = |overlay: &mut Overlay, changes: Vec<(u8, Option<u8>)>| {
                changes.into_iter().for_each(|(key, value)| overlay.set(ColumnId::Refs, vec![key], value.map(|value| vec![value])));
            };
            make(&mut overlay, kept);
            let mark = overlay.mark();
            make(&mut overlay, undone);
            overlay.undo_to(mark);
            prop_assert!(!overlay.changed_since(mark));
            make(&mut overlay, later);
            let bounds = Bounds { from, to, reverse };
            let seen = rows(&overlay, &bounds, limit);
            let points: Vec<_> = (0..13).map(|key| overlay.get(ColumnId::Refs, &[key]).unwrap()).collect();
            engine.write(overlay.into_batch(), true).unwrap();
            prop_assert_eq!(seen, rows(&engine, &bounds, limit));
            prop_assert_eq!(points, (0..13).map(|key| engine.get(ColumnId::Refs, &[key]).unwrap()).collect::<Vec<_>>());
        }
    }
}
