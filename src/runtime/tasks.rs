//! Tasks that are held together, so that those that do not end by themselves can be ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// Tasks of one kind, such as a listener's connections. Cheap to clone; clones hold the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    held: JoinSet<()>,
    is_cut: bool,
}

impl Tasks {
    /// Starts one more; after [`Tasks::cut`] `work` is dropped instead.
    #[allow(clippy::disallowed_methods)] // The runtime's own.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        // Those that have ended go now: no more are held than ran at once.
        while state.held.try_join_next().is_some() {}
        if !state.is_cut {
            state.held.spawn(work);
        }
    }

    /// Ends those that are left where they wait, and answers once all are gone. From then on none is started.
    pub async fn cut(&self) {
        let mut held = {
            let mut state = self.state();
            state.is_cut = true;
            std::mem::take(&mut state.held)
        };
        held.shutdown().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_left_is_ended_and_nothing_more_is_started() {
        let tasks = Tasks::default();
        let (held, mut ends) = mpsc::channel::<()>(1);
        for _ in 0..3 {
            let held = held.clone();
            tasks.spawn(async move {
                let _held = held;
                pending().await
            });
        }
        tasks.cut().await;
        tasks.spawn(async move {
            let _held = held;
            pending().await
        });
        assert_eq!(ends.try_recv(), Err(mpsc::error::TryRecvError::Disconnected), "nothing holds it any more");
        tasks.cut().await;
    }

    #[tokio::test]
    async fn those_that_have_ended_do_not_pile_up() {
        let tasks = Tasks::default();
        for _ in 0..100 {
            let (done, is_done) = tokio::sync::oneshot::channel();
            tasks.spawn(async move {
                let _ = done.send(());
            });
            is_done.await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(tasks.state().held.len() <= 2);
    }
}
