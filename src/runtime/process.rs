//! What the system says of this process.

use std::time::Duration;

/// Length of a clock tick: USER_HZ is 100 on every architecture that this is built for.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that this process has used so far in user and system mode (proc(5)), to a hundredth of a second. `None` where the system does
/// not say.
pub fn cpu_time() -> Option<Duration> {
    parse_cpu_time(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Has the system back memory by small pages only (PR_SET_THP_DISABLE, prctl(2)). The allocator keeps a heap a thread; with huge pages, 2 MiB
/// each, a server of many threads that hold little each takes twice the memory, and more with every thread. Answers whether it is so now.
pub fn use_small_pages() -> bool {
    rustix::thread::disable_transparent_huge_pages(true).is_ok()
}

/// Raises the number of files that this process may have open as far as the system lets it (the hard limit of RLIMIT_NOFILE, getrlimit(2));
/// answers how many that is.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Lets every other thread go before the calling one, for good (nice(2), which is a thread's own on Linux). Where the system does not do it, nothing
/// is lost but time.
pub fn give_way() {
    let _ = rustix::process::nice(19);
}

/// User and system time of `/proc/PID/stat`.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name, which may hold anything; the rest are numbers.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    let (user, system) = (times.next()??, times.next()??);
    user.checked_add(system).map(|ticks| TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pages_can_be_had() {
        assert!(use_small_pages());
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }

    #[test]
    fn what_proc_says_is_read() {
        let stat = "12 (hali) dom)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse_cpu_time("12 (halidom) S 1"), None);
        assert!(cpu_time().is_some());
    }
}
