//! Tasks, and the few long-lived threads of our own.

#![allow(clippy::disallowed_methods)] // With `pool` and `tasks` the only place that spawns.

use super::Gone;

/// Cores that this process may use; 1 where the system does not say.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts an async task that nobody waits for. It must end by itself when the shutdown begins.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// Begins `work` at once in a task of its own; the answer waits for it. The work goes on to its end also where the caller has gone.
///
/// # Errors
/// [`Gone::Panicked`]; [`Gone::Closed`] where the runtime is shutting down.
pub fn spawn_joined<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> impl Future<Output = Result<T, Gone>> + Send {
    use tracing::Instrument;
    // Begun here, not when the answer is awaited.
    let task = tokio::spawn(work.in_current_span());
    async move { task.await.map_err(|error| if error.is_panic() { Gone::Panicked } else { Gone::Closed }) }
}

/// Waits for this long: for retries and periodic work, never to guess that something has happened.
pub async fn sleep(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for `work`, but no longer than `limit`; `None` where it took longer. Then `work` is dropped.
pub async fn timeout<T>(limit: std::time::Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Starts a long-lived thread of our own, such as the metadata writer.
///
/// # Errors
/// Where the system has no thread to give.
pub fn spawn_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panicked_is_told_from_one_that_was_cut_off() {
        let begin = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (first, second) = (begin(), begin());
        assert_eq!(first.block_on(async { spawn_joined(async { 1 }).await }), Ok(1));
        assert_eq!(first.block_on(async { spawn_joined::<u8>(async { panic!("on purpose") }).await }), Err(Gone::Panicked));
        let entered = first.enter();
        let cut_off = spawn_joined(std::future::pending::<()>());
        drop(entered);
        drop(first);
        assert_eq!(second.block_on(cut_off), Err(Gone::Closed));
    }
}
