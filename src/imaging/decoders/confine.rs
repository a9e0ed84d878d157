//! What takes from a decoder process everything but memory and the descriptors that it has: no files, no network, no other processes.

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// Calls that a decoder makes: for memory, for its three descriptors, for time and randomness, and to end.
const CALLS: [libc::c_long; 37] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_ftruncate,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_membarrier,
    libc::SYS_sysinfo,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getcpu,
    // To take away still more.
    libc::SYS_seccomp,
];

/// Confines this thread, and all that it starts, for good: it has memory, the descriptors that are open, and threads, but neither files nor
/// network nor other processes; such calls fail with EPERM. To be called before there is another thread. Answers whether Landlock was there
/// to help.
///
/// `memory_bytes` is what it may have beside what it has now, `output_bytes` how large it may make the shared memory.
///
/// # Errors
/// Where the kernel knows no such filter, or a limit cannot be set: then the process must end.
pub fn confine(memory_bytes: u64, output_bytes: u64) -> io::Result<bool> {
    // No core file, which would hold a photo, and nobody of the same user looks in.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, limit) in [(Resource::Core, 0), (Resource::Data, memory_bytes), (Resource::Fsize, output_bytes)] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    rustix::thread::set_no_new_privs(true)?;
    let by_landlock = without_files();
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: Some(3) })?;
    // Of two filters that both refuse a call the later says how.
    for filter in [filter()?, filter_of_clone3()?] {
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(by_landlock)
}

/// Everything that Landlock of this kernel can take away.
fn without_files() -> bool {
    let abi = ABI::V6;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self());
    restricted.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// All calls but these fail.
fn filter() -> io::Result<SeccompFilter> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.into_iter().map(|call| (call, vec![])).collect();
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let no_new_privs = u64::from(libc::PR_SET_NO_NEW_PRIVS.unsigned_abs());
    for (call, argument, comparison, value) in [
        // Memory may be had, but never made executable.
        (libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(executable), 0),
        (libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(executable), 0),
        // Threads, which end with the process; no processes.
        (libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(thread), thread),
        // To end itself.
        (libc::SYS_tgkill, 0, SeccompCmpOp::Eq, std::process::id().into()),
        // As the second filter needs it.
        (libc::SYS_prctl, 0, SeccompCmpOp::Eq, no_new_privs),
    ] {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(io::Error::other)?;
        rules.insert(call, vec![rule]);
    }
    new_filter(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
}

/// What the C library tries first to make a thread, with its flags where no filter can see them: it is to use the older call.
fn filter_of_clone3() -> io::Result<SeccompFilter> {
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    new_filter(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))
}

fn new_filter(rules: BTreeMap<i64, Vec<SeccompRule>>, others: SeccompAction, these: SeccompAction) -> io::Result<SeccompFilter> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(rules, others, these, architecture).map_err(io::Error::other)
}
