//! Which process does what: one that has seen a photo of a tenant's sees none of another's.
//!
//! There is a bounded number of processes. Where all of them wait, or work, for others, the one that has waited longest is ended to make room for a new one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::TenantId;

/// Processes that wait, and how many work.
#[derive(Debug)]
pub(super) struct Idle<W> {
    state: Mutex<State<W>>,
    /// Of both together.
    limit: usize,
}

#[derive(Debug)]
struct State<W> {
    /// The last has worked last.
    waiting: Vec<Waiting<W>>,
    at_work: usize,
}

#[derive(Debug)]
struct Waiting<W> {
    worker: W,
    /// Whose photos it has seen; `None`: nobody's.
    whose: Option<TenantId>,
}

/// A job for which a process works, until this is dropped.
#[derive(Debug)]
pub(super) struct AtWork<'a, W> {
    idle: &'a Idle<W>,
    whose: Option<TenantId>,
    is_over: bool,
}

/// What is there for a job.
#[derive(Debug)]
pub(super) enum Found<W> {
    /// One that waits.
    Worker(W),
    /// None: a new one is to be started, and before it this ended, where there is no room for both.
    None { to_end: Option<W> },
}

impl<W> Idle<W> {
    /// At most so many wait and work; no more than so many work at once. `first` has seen nothing.
    pub(super) fn new(limit: usize, first: W) -> Self {
        let waiting = vec![Waiting { worker: first, whose: None }];
        Self { state: Mutex::new(State { waiting, at_work: 0 }), limit: limit.max(1) }
    }

    /// Begins a job with a photo of this tenant's. `None`: it is not known whose it is, so its process does nothing else.
    pub(super) fn begin(&self, whose: Option<TenantId>) -> AtWork<'_, W> {
        self.state().at_work += 1;
        AtWork { idle: self, whose, is_over: false }
    }

    /// Looks at all that wait.
    pub(super) fn map<T>(&self, of: impl Fn(&W) -> T) -> Vec<T> {
        self.state().waiting.iter().map(|waiting| of(&waiting.worker)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> AtWork<'_, W> {
    /// A process for the job, or for another try of it: of those that have seen photos of the same tenant the one that worked last, else one that has seen
    /// none.
    pub(super) fn find(&self) -> Found<W> {
        let mut state = self.idle.state();
        let of = |whose: Option<TenantId>| state.waiting.iter().rposition(|waiting| waiting.whose == whose);
        if let Some(at) = self.whose.and_then(|tenant| of(Some(tenant))).or_else(|| of(None)) {
            return Found::Worker(state.waiting.remove(at).worker);
        }
        let is_full = state.waiting.len() + state.at_work > self.idle.limit;
        let to_end = (is_full && !state.waiting.is_empty()).then(|| state.waiting.remove(0).worker);
        Found::None { to_end }
    }

    /// The job is done: lets its process wait for the tenant's next, or gives it back where it is to do no more.
    pub(super) fn rest(mut self, worker: W) -> Option<W> {
        self.is_over = true;
        let mut state = self.idle.state();
        state.at_work -= 1;
        if self.whose.is_none() {
            return Some(worker);
        }
        state.waiting.push(Waiting { worker, whose: self.whose });
        None
    }
}

impl<W> Drop for AtWork<'_, W> {
    fn drop(&mut self) {
        if !self.is_over {
            self.idle.state().at_work -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::imaging::decoders::PROCESSES_A_THREAD;
    use crate::runtime::Random;

    fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    /// Jobs by their tenants (0: not known whose), so many at once, each of which has one of those before it end first; how many processes were started,
    /// and whom each has worked for.
    fn started(threads: usize, jobs: &[u8], jobs_of_one: u32) -> (u32, HashMap<u32, Vec<u8>>) {
        let limit = threads * PROCESSES_A_THREAD;
        let (idle, mut started, mut seen) = (Idle::new(limit, 0), 1, HashMap::<u32, Vec<u8>>::new());
        let mut under_way = std::collections::VecDeque::new();
        for job in jobs {
            if under_way.len() == threads {
                let (at_work, worker): (AtWork<'_, u32>, u32) = under_way.pop_front().unwrap();
                if seen[&worker].len() < jobs_of_one as usize {
                    at_work.rest(worker);
                }
            }
            let at_work = idle.begin((*job > 0).then(|| tenant(*job)));
            let worker = match at_work.find() {
                Found::Worker(worker) => worker,
                Found::None { .. } => {
                    started += 1;
                    started - 1
                }
            };
            seen.entry(worker).or_default().push(*job);
            under_way.push_back((at_work, worker));
            let state = idle.state();
            assert!(state.at_work <= threads && state.waiting.len() + state.at_work <= limit, "{state:?}");
        }
        drop(under_way);
        assert_eq!(idle.state().at_work, 0);
        (started, seen)
    }

    proptest! {
        #[test]
        fn none_works_for_two_nor_twice_for_nobody_knows_whom(limit in 1..6_usize, jobs in prop::collection::vec(0..6_u8, 0..200)) {
            let (_, seen) = started(limit, &jobs, 20);
            for jobs in seen.into_values() {
                prop_assert_eq!(jobs.iter().collect::<HashSet<_>>().len(), 1, "{:?}", jobs);
                prop_assert!(jobs[0] > 0 || jobs.len() == 1);
                prop_assert!(jobs.len() <= 20);
            }
        }
    }

    /// What being apart costs: processes that are started, in a thousand jobs (decision 0017).
    #[test]
    fn few_are_started_where_few_tenants_are_busy() {
        let random = Random::seeded(17);
        let jobs = |draw: &dyn Fn() -> u8| (0..10_000).map(|_| draw()).collect::<Vec<_>>();
        let below = |end: u64| u64::from_be_bytes(random.bytes()) % end;
        let even = |tenants: u64| 1 + below(tenants) as u8;
        let loads: [(&str, Vec<u8>, std::ops::RangeInclusive<u32>); 5] = [
            ("one tenant", jobs(&|| 1), 10..=10),
            ("three, alike", jobs(&|| even(3)), 50..=150),
            ("one with nine tenths, and fifty", jobs(&|| if below(10) > 0 { 1 } else { 2 + even(50) }), 80..=130),
            ("one with half, and fifty", jobs(&|| if below(2) > 0 { 1 } else { 2 + even(50) }), 480..=590),
            ("fifty, alike", jobs(&|| even(50)), 850..=950),
        ];
        for (load, jobs, expected) in loads {
            let in_a_thousand = started(4, &jobs, 100).0 / 10;
            assert!(expected.contains(&in_a_thousand), "{load}: {in_a_thousand}");
        }
    }
}
