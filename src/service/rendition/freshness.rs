//! For how long caches may show a rendition without asking again.

use crate::model::WallMs;

/// What `Cache-Control` says of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// For so long it may be shown without asking; 0: ask each time.
    pub max_age_seconds: u32,
    /// Whether asking earlier is no use: the URL will show nothing else.
    pub immutable: bool,
}

impl Freshness {
    /// Of a URL that holds at `now` and, where it ceases to, until so many seconds since 1970, and whose tenant says `max_age_seconds`: no
    /// cache shows it longer than it holds.
    pub(super) fn of(max_age_seconds: u32, expires: Option<u64>, now: WallMs) -> Self {
        let left = expires.map(|expires| expires.saturating_mul(1_000).saturating_sub(now.0) / 1_000);
        let left = left.and_then(|left| u32::try_from(left).ok()).unwrap_or(u32::MAX);
        Self { max_age_seconds: max_age_seconds.min(left), immutable: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_shows_what_has_expired() {
        let age = |expires, max_age| Freshness::of(max_age, expires, WallMs(10_500)).max_age_seconds;
        assert_eq!((age(None, 100), age(None, 0)), (100, 0));
        assert_eq!((age(Some(1_000), 100), age(Some(u64::MAX), 100)), (100, 100));
        // Nine seconds and a half are left.
        assert_eq!((age(Some(20), 100), age(Some(20), 5), age(Some(11), 100)), (9, 5, 0));
    }
}
