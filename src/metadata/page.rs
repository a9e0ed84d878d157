//! Lists in bounded parts.

use super::engine::Bounds;

/// The most rows that one page may hold, whatever was asked for.
pub const PAGE_LIMIT: usize = 10_000;

/// A part of a list, and where the next begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T, P> {
    /// In order.
    pub items: Vec<T>,
    /// The position of the last item where more follow: give it as `after`.
    pub next: Option<P>,
}

/// Rows `limit` and one more, to know whether a page follows.
pub(super) fn page<T, P>(mut items: Vec<(P, T)>, limit: usize) -> Page<T, P> {
    let more = items.len() > limit;
    items.truncate(limit);
    let mut next = None;
    let mut out = Vec::with_capacity(items.len());
    let last = items.len().wrapping_sub(1);
    for (place, (position, item)) in items.into_iter().enumerate() {
        out.push(item);
        if more && place == last {
            next = Some(position);
        }
    }
    Page { items: out, next }
}

pub(super) fn bounded(limit: usize) -> usize {
    limit.clamp(1, PAGE_LIMIT)
}

pub(super) fn after(prefix: &[u8], position: Option<Vec<u8>>) -> Bounds {
    match position {
        Some(key) => Bounds::prefix_after(prefix, key),
        None => Bounds::prefix(prefix),
    }
}
