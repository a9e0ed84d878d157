//! What goes wrong again and again is said once.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// The last thing that was said. Shared by whoever tries.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Option<String>>);

impl Said {
    /// Whether this is to be said: it was not the last thing, or all was well since.
    pub(super) fn is_news(&self, what: &impl Display) -> bool {
        let what = Some(what.to_string());
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *said != what;
        *said = what;
        is_news
    }

    /// All is well. Whether it was not.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_until_it_is_over() {
        let said = Said::default();
        assert!(!said.is_over());
        assert_eq!([said.is_news(&"away"), said.is_news(&"away"), said.is_news(&"full"), said.is_news(&"away")], [true, false, true, true]);
        assert_eq!([said.is_over(), said.is_over(), said.is_news(&"away")], [true, false, true]);
    }
}
