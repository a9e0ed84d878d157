use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::client::ClientError;
use crate::runtime::{self, Clock};

/// After so many failed requests nothing more is begun: the server is not what was meant to be measured.
const ERROR_LIMIT: u64 = 1_000;

/// How much to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Requests in flight at once.
    pub(super) concurrency: usize,
    /// Requests altogether.
    pub(super) count: Option<u64>,
    /// No request begins after this.
    pub(super) duration: Option<Duration>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Of every request that succeeded, in order of size.
    pub(super) latencies: Vec<Duration>,
    /// Bodies' bytes of these.
    pub(super) bytes: u64,
    /// Failed requests by their code.
    pub(super) errors: BTreeMap<String, u64>,
    /// From the first begin to the last end.
    pub(super) elapsed: Duration,
    /// CPU time of this process meanwhile, in user and system mode; `None` where the system does not say.
    pub(super) cpu: Option<Duration>,
    /// CPU time of the server meanwhile; `None` where it was not asked or does not say.
    pub(super) server_cpu: Option<Duration>,
}

/// Makes requests (which answer how many bytes they carried) from so many workers at once, each beginning the next one when the last
/// has ended.
pub(super) async fn drive<F, Fut>(plan: Plan, clock: &Clock, work: F) -> Measured
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<u64, ClientError>> + Send,
{
    let (work, next, failed) = (Arc::new(work), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (begun, cpu) = (clock.monotonic(), runtime::cpu_time());
    let (sender, mut results) = mpsc::channel(plan.concurrency * 4);
    for _ in 0..plan.concurrency {
        let (work, next, failed, clock, sender) = (work.clone(), next.clone(), failed.clone(), clock.clone(), sender.clone());
        runtime::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let from = clock.monotonic();
                let over = plan.count.is_some_and(|count| index >= count)
                    || plan.duration.is_some_and(|duration| from.saturating_sub(begun) >= duration)
                    || failed.load(Ordering::Relaxed) >= ERROR_LIMIT;
                if over {
                    return;
                }
                let result = work(index).await;
                if result.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                let latency = clock.monotonic().saturating_sub(from);
                if sender.send((latency, result)).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut measured = Measured::default();
    while let Some((latency, result)) = results.recv().await {
        match result {
            Ok(bytes) => {
                measured.latencies.push(latency);
                measured.bytes += bytes;
            }
            Err(error) => *measured.errors.entry(error.code().to_owned()).or_default() += 1,
        }
    }
    measured.elapsed = clock.monotonic().saturating_sub(begun);
    measured.cpu = runtime::cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    measured.latencies.sort_unstable();
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_requests_as_were_asked_for() {
        let plan = Plan { concurrency: 4, count: Some(50), duration: None };
        let work = |index| async move { if index % 10 == 0 { Err(ClientError::Changed) } else { Ok(2) } };
        let measured = drive(plan, &Clock::system(), work).await;
        assert_eq!((measured.latencies.len(), measured.bytes, measured.errors["changed"]), (45, 90, 5));
        assert!(measured.latencies.is_sorted());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_ends_it() {
        let plan = Plan { concurrency: 2, count: None, duration: None };
        let measured = drive(plan, &Clock::system(), |_| async { Err(ClientError::Changed) }).await;
        assert!(measured.errors["changed"] <= ERROR_LIMIT + 2);
    }

    #[tokio::test]
    async fn time_ends_it() {
        let clock = Clock::manual(0);
        let plan = Plan { concurrency: 1, count: None, duration: Some(Duration::from_secs(10)) };
        let moving = clock.clone();
        let work = move |_| {
            moving.advance(Duration::from_secs(1));
            async { Ok(1) }
        };
        let measured = drive(plan, &clock, work).await;
        assert_eq!(measured.latencies, [Duration::from_secs(1); 10]);
    }
}
