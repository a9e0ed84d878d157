//! Random bytes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of random bytes: the system's, or one that follows from a seed. Cheap to clone; clones draw from the same stream.
#[derive(Clone)]
pub struct Random(Option<Arc<Mutex<blake3::OutputReader>>>);

impl Random {
    /// The kernel's generator, fit for secrets.
    pub fn system() -> Self {
        Self(None)
    }

    /// Bytes that follow from `seed`, for simulations and tests. Never for secrets.
    pub fn seeded(seed: u64) -> Self {
        let reader = blake3::Hasher::new_derive_key("halidom seeded randomness").update(&seed.to_be_bytes()).finalize_xof();
        Self(Some(Arc::new(Mutex::new(reader))))
    }

    /// Draws `N` bytes.
    ///
    /// # Panics
    /// Where the kernel has no randomness to give: nothing could be named or kept secret, so nothing may go on.
    #[allow(clippy::disallowed_methods)] // The one place that asks the system for randomness.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        match &self.0 {
            None => getrandom::fill(&mut out).expect("the kernel gives randomness"),
            Some(reader) => reader.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut out),
        }
        out
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Random(seeded)" } else { "Random(system)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!(a.bytes::<16>(), b.bytes::<16>());
        assert_eq!(a.clone().bytes::<16>(), b.bytes::<16>(), "clones draw from one stream");
        assert_ne!(Random::system().bytes::<16>(), Random::system().bytes::<16>());
    }
}
