use std::time::Duration;

/// How often and how long a call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Attempts altogether, the first one too; at least 1. Those that were turned away (429) do not count.
    pub attempts: u32,
    /// The wait before the second attempt is drawn from zero up to this; it doubles with each further one.
    pub first_delay: Duration,
    /// No wait is longer than this, whatever a server asks for.
    pub longest_delay: Duration,
    /// No attempt is begun that would have to wait past this, counted from the first one; for a photo, from the end of the last attempt in which
    /// any of its bytes moved: there it is `attempts` that bounds them.
    pub total: Duration,
    /// How long a call waits altogether, between attempts, for its turn where the server says that its user has too many under way (429).
    pub turn: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_delay: Duration::from_millis(200),
            longest_delay: Duration::from_secs(30),
            total: Duration::from_secs(120),
            turn: Duration::from_secs(15 * 60),
        }
    }
}

/// What each wait for a turn counts for at least.
const LEAST_TURN: Duration = Duration::from_millis(1);

/// What an attempt that failed says about another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not one to repeat.
    Final,
    /// Worth repeating; the server may have said how long to wait.
    Again { retry_after: Option<Duration> },
    /// Its turn is still to come.
    TooMany { retry_after: Option<Duration> },
}

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Retry {
    settings: RetrySettings,
    failed: u32,
    turned_away: u32,
    /// How long it waited for its turn. Not the time since the call began: bytes move also of what is turned away.
    waited: Duration,
}

impl Retry {
    pub(super) fn new(settings: RetrySettings) -> Self {
        Self { settings, failed: 0, turned_away: 0, waited: Duration::ZERO }
    }

    /// Forgets the failures so far: something was gained since, so the count begins anew.
    pub(super) fn progressed(&mut self) {
        *self = Self::new(self.settings);
    }

    /// How long to wait before the next attempt, after one that failed `elapsed` after the call began; `None`: give up.
    ///
    /// Full jitter: the wait is drawn evenly from the whole span (by `random`), so that clients that failed together do not come back
    /// together. What a server asked for is kept as the least, with jitter on top.
    pub(super) fn after_failure(&mut self, verdict: Verdict, elapsed: Duration, random: u64) -> Option<Duration> {
        match verdict {
            Verdict::Final => None,
            Verdict::Again { retry_after } => {
                self.failed += 1;
                if self.failed >= self.settings.attempts {
                    return None;
                }
                let delay = self.delay(self.failed, retry_after, random);
                (elapsed.saturating_add(delay) <= self.settings.total).then_some(delay)
            }
            Verdict::TooMany { retry_after } => {
                self.turned_away = self.turned_away.saturating_add(1);
                let delay = self.delay(self.turned_away, retry_after, random);
                // Waits of nothing come to an end, too.
                self.waited = self.waited.saturating_add(delay.max(LEAST_TURN));
                (self.waited <= self.settings.turn).then_some(delay)
            }
        }
    }

    /// The wait after the `nth` failure of a kind.
    fn delay(&self, nth: u32, retry_after: Option<Duration>, random: u64) -> Duration {
        let before = nth - 1;
        let doubled = self.settings.first_delay.saturating_mul(1 << before.min(20)).min(self.settings.longest_delay);
        let span_us = u64::try_from(doubled.as_micros()).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(random % span_us.saturating_add(1).max(1));
        retry_after.unwrap_or_default().saturating_add(jitter).min(self.settings.longest_delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGAIN: Verdict = Verdict::Again { retry_after: None };

    #[test]
    fn a_final_failure_is_not_repeated() {
        assert_eq!(Retry::new(RetrySettings::default()).after_failure(Verdict::Final, Duration::ZERO, 7), None);
    }

    #[test]
    fn what_the_server_asked_for_is_the_least() {
        let mut retry = Retry::new(RetrySettings::default());
        let verdict = Verdict::Again { retry_after: Some(Duration::from_secs(3)) };
        let delay = retry.after_failure(verdict, Duration::ZERO, u64::MAX).unwrap();
        assert!(delay >= Duration::from_secs(3) && delay <= Duration::from_millis(3_200), "{delay:?}");
        let verdict = Verdict::Again { retry_after: Some(Duration::from_secs(86_400)) };
        assert_eq!(retry.after_failure(verdict, Duration::ZERO, 0), Some(RetrySettings::default().longest_delay), "but not for ever");
    }

    #[test]
    fn a_turn_is_waited_for_within_its_own_time() {
        let mut retry = Retry::new(RetrySettings::default());
        let verdict = Verdict::TooMany { retry_after: Some(Duration::from_secs(2)) };
        let (mut elapsed, mut asked) = (Duration::ZERO, 0);
        while let Some(delay) = retry.after_failure(verdict, elapsed, 5_000_000) {
            assert!(delay >= Duration::from_secs(2) && delay <= RetrySettings::default().longest_delay);
            elapsed += delay;
            asked += 1;
        }
        assert!(asked > 30 && elapsed <= RetrySettings::default().turn, "{asked} times in {elapsed:?}");
        // What fails besides has all its attempts.
        assert!(retry.after_failure(AGAIN, Duration::ZERO, 0).is_some());
    }

    proptest! {
        #[test]
        fn retries_are_bounded_in_count_wait_and_time(
            attempts in 1_u32..10,
            first_ms in 0_u64..5_000,
            longest_ms in 0_u64..20_000,
            total_ms in 0_u64..60_000,
            work_ms in 0_u64..2_000,
            draws in proptest::collection::vec(any::<u64>(), 20),
        ) {
            let settings = RetrySettings {
                attempts,
                first_delay: Duration::from_millis(first_ms),
                longest_delay: Duration::from_millis(longest_ms),
                total: Duration::from_millis(total_ms),
                ..RetrySettings::default()
            };
            let mut retry = Retry::new(settings);
            let (mut elapsed, mut begun) = (Duration::ZERO, 1);
            for draw in draws {
                elapsed += Duration::from_millis(work_ms);
                let Some(delay) = retry.after_failure(AGAIN, elapsed, draw) else { break };
                prop_assert!(delay <= settings.longest_delay);
                elapsed += delay;
                prop_assert!(elapsed <= settings.total);
                begun += 1;
            }
            prop_assert!(begun <= attempts);
        }
    }
}
