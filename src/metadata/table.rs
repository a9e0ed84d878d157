//! Typed access: rows of a column out of any source.

use std::ops::ControlFlow;

use super::MetadataError;
use super::column::Column;
use super::engine::{Bounds, Source};
use super::key::Key;
use super::record::Value;

/// A key and what stands under it.
pub(super) type Row<C> = (<C as Column>::Key, <C as Column>::Value);

/// The value of one key.
pub(super) fn get<C: Column>(source: &dyn Source, key: &C::Key) -> Result<Option<C::Value>, MetadataError> {
    source.get(C::ID, &key.to_key())?.map(|bytes| C::Value::from_value(&bytes)).transpose()
}

/// Hands rows to `each`, which says whether to go on.
pub(super) fn scan<C: Column>(
    source: &dyn Source,
    bounds: &Bounds,
    mut each: impl FnMut(C::Key, C::Value) -> Result<ControlFlow<()>, MetadataError>,
) -> Result<(), MetadataError> {
    let mut outcome = Ok(());
    source.scan(C::ID, bounds, &mut |key, value| match C::key(key).and_then(|key| each(key, C::Value::from_value(value)?)) {
        Ok(flow) => flow,
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    outcome
}

/// The first row of a range.
pub(super) fn first<C: Column>(source: &dyn Source, bounds: &Bounds) -> Result<Option<Row<C>>, MetadataError> {
    Ok(some::<C>(source, bounds, 1)?.pop())
}

/// The first `limit` rows of a range.
pub(super) fn some<C: Column>(source: &dyn Source, bounds: &Bounds, limit: usize) -> Result<Vec<Row<C>>, MetadataError> {
    let mut rows = vec![];
    if limit == 0 {
        return Ok(rows);
    }
    scan::<C>(source, bounds, |key, value| {
        rows.push((key, value));
        Ok(if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(rows)
}
