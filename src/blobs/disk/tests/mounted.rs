//! The tests of `filer` over a real one: this very program, run in a machine with an NFS 4.2 mount, whose server goes away for 15 s in their middle, and is slow
//! for 20 s.

#[path = "../../../../tests/nfs/machine.rs"]
mod machine;

use machine::Machine;

use crate::blobs::needs;

#[test]
fn the_suite_passes_over_nfs() {
    if crate::config::environment().get("HALIDOM_TEST_LONG").is_none() {
        return needs::skipped("stores over NFS in a machine", "set HALIDOM_TEST_LONG=1");
    }
    let parts = machine::parts("nfs-suite");
    machine::build(&parts, &std::env::current_exe().unwrap());
    let mut machine = Machine::boot(&parts, "suite");
    machine.wait_for("stopped");
    machine.wait_for("started");
    machine.wait_for("slowed");
    assert_eq!(machine.wait_for("suite"), "0", "tests fail there{}", machine.end_of_console());
}
