//! What every fuzz target is made of.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU32, Ordering};

pub use libfuzzer_sys;

/// How many panics of other people's code are told of: decoders that give up do so all the time.
const TOLD: u32 = 5;

/// A target that is one function of bytes; what it does stands beside the code that it is about.
#[macro_export]
macro_rules! target {
    ($function:path) => {
        $crate::libfuzzer_sys::fuzz_target!(init: $crate::let_decoders_give_up(), |bytes: &[u8]| $function(bytes));
    };
}

/// A panic in a dependency is no finding where our code makes an error of it, as it does around every decoder (`imaging/shield.rs`); elsewhere it
/// reaches libFuzzer, and is one. A panic in our own code always is, although the same wall would hold it.
pub fn let_decoders_give_up() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !is_of_a_dependency(panic) {
            abort(panic);
        } else if SEEN.fetch_add(1, Ordering::Relaxed) < TOLD {
            eprintln!("held, if it goes on: {panic}");
        }
    }));
}

fn is_of_a_dependency(panic: &PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|place| place.file().contains("/registry/src/"))
}
