//! Memory in which whole originals may lie.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ServiceError;

/// A bounded part of the memory, in whole MiB. Who finds too little waits for it, in turn.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    mib: Arc<Semaphore>,
    whole: u32,
}

impl Memory {
    /// So many bytes, at least one MiB.
    pub(super) fn new(bytes: u64) -> Self {
        let whole = mib(bytes);
        Self { mib: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// Takes what an original of this size needs. One that is larger than the whole takes all of it.
    pub(super) async fn take(&self, size_bytes: u64) -> Result<OwnedSemaphorePermit, ServiceError> {
        let permits = mib(size_bytes).min(self.whole);
        self.mib.clone().acquire_many_owned(permits).await.map_err(|_| ServiceError::SHUTTING_DOWN)
    }
}

/// Bytes in whole MiB, at least one.
fn mib(bytes: u64) -> u32 {
    bytes.div_ceil(1 << 20).clamp(1, u32::MAX as u64 / 2) as u32
}
