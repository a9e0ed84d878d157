//! The wall between the service and a decoder's bugs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::ImagingError;
use crate::model::format::Format;

/// Runs a decoder. A panic on hostile bytes is that file's fault: it becomes [`ImagingError::Broken`], not a lost worker.
/// (Nothing that `work` touched is used afterwards, so no broken invariant can be seen.)
pub(super) fn shielded<T>(format: Format, work: impl FnOnce() -> Result<T, ImagingError>) -> Result<T, ImagingError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(ImagingError::broken(format, "the decoder gave up")))
}

/// The same for what is only nice to have: a panic gives nothing.
pub(super) fn shielded_option<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(None)
}
