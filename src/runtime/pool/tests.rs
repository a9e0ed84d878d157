//! A pool keeps its promises: how many, which thread, what happens at the end.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread::{self, ThreadId};

use super::*;

/// Begins a piece of work that lasts until it is let go, and then tells its thread. It has begun when this answers.
async fn held(pool: &BlockingPool) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<ThreadId, Gone>>) {
    let ((release, held), (begun, has_begun)) = (mpsc::channel::<()>(), oneshot::channel());
    let pool = pool.clone();
    let running = tokio::spawn(async move {
        let work = move || {
            let _ = begun.send(());
            let _ = held.recv();
            thread::current().id()
        };
        pool.run(work).await
    });
    has_begun.await.unwrap();
    (release, running)
}

/// Waits until something holds, within a bound that only a failure reaches.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came");
}

fn threads(pool: &BlockingPool) -> usize {
    lock(&pool.owner.threads.state).live.len()
}

#[tokio::test]
async fn a_pool_says_how_busy_it_is() {
    let pool = BlockingPool::new("test", 1);
    assert_eq!(pool.load(), PoolLoad { waiting: 0, running: 0, limit: 1 });
    let (release, held) = mpsc::channel::<()>();
    let mut first = Box::pin(pool.run(move || held.recv().is_ok()));
    let mut second = Box::pin(pool.run(|| true));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    assert_eq!(pool.load(), PoolLoad { waiting: 1, running: 1, limit: 1 });
    release.send(()).unwrap();
    assert_eq!((first.await, second.await), (Ok(true), Ok(true)));
    assert_eq!(pool.load(), PoolLoad { waiting: 0, running: 0, limit: 1 }, "before the answer is there");
    let mut given_up = Box::pin(pool.run(|| true));
    let _ = futures_util::poll!(&mut given_up);
    drop(given_up);
    assert_eq!(pool.load().waiting, 0);
}

#[tokio::test]
async fn the_thread_that_worked_last_works_next() {
    let pool = BlockingPool::new("test", 8);
    let ((release_first, first), (release_second, second)) = (held(&pool).await, held(&pool).await);
    drop(release_second);
    let second = second.await.unwrap().unwrap();
    drop(release_first);
    let first = first.await.unwrap().unwrap();
    assert_ne!(first, second);
    for _ in 0..100 {
        assert_eq!(pool.run(|| thread::current().id()).await, Ok(first), "one after the other needs one thread");
    }
    assert_eq!(threads(&pool), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_are_never_more_threads_than_pieces_at_once() {
    let pool = BlockingPool::new("test", 3);
    let all = (0..1_000).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.run(|| thread::current().id()).await })
    });
    let ids = futures_util::future::try_join_all(all).await.unwrap();
    let ids: HashSet<ThreadId> = ids.into_iter().map(Result::unwrap).collect();
    assert!(ids.len() <= 3 && threads(&pool) <= 3, "{} threads", ids.len());
}

#[tokio::test]
async fn where_there_is_no_thread_the_others_do_the_work() {
    let pool = BlockingPool::new("test", 8);
    pool.owner.threads.is_refused.store(true, Ordering::Relaxed);
    assert_eq!(pool.run(|| ()).await, Err(Gone::NoThread));
    assert_eq!(pool.load().running, 0);
    pool.owner.threads.is_refused.store(false, Ordering::Relaxed);
    let (release, running) = held(&pool).await;
    pool.owner.threads.is_refused.store(true, Ordering::Relaxed);
    let mut others: Vec<_> = (0..20).map(|_| Box::pin(pool.run(|| thread::current().id()))).collect();
    for other in &mut others {
        assert!(futures_util::poll!(other).is_pending());
    }
    drop(release);
    let only = running.await.unwrap().unwrap();
    for other in others {
        assert_eq!(other.await, Ok(only));
    }
    let (release, _running) = held(&pool).await;
    let mut queued = Box::pin(pool.run(|| ()));
    assert!(futures_util::poll!(&mut queued).is_pending());
    let mut closing = Box::pin(pool.close());
    assert!(futures_util::poll!(&mut closing).is_pending());
    assert_eq!(queued.await, Err(Gone::Closed), "what had no thread yet is not begun any more");
    drop(release);
    closing.await;
}

#[tokio::test]
async fn work_that_panics_is_gone_and_its_thread_goes_on() {
    let pool = BlockingPool::new("test", 1);
    let id = pool.run(|| thread::current().id()).await;
    assert_eq!(pool.run(|| -> u8 { panic!("on purpose") }).await, Err(Gone::Panicked));
    assert_eq!(pool.run(|| thread::current().id()).await, id);
    assert_eq!(pool.load().running, 0);
}

#[tokio::test]
async fn what_nobody_waits_for_is_done_and_dropped_on_the_thread() {
    struct Tells(mpsc::Sender<(ThreadId, usize)>, BlockingPool);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send((thread::current().id(), self.1.load().running));
        }
    }
    let pool = BlockingPool::new("test", 1);
    let id = pool.run(|| thread::current().id()).await.unwrap();
    let ((tell, told), (release, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let value = Tells(tell, pool.clone());
    let mut running = Box::pin(pool.run(move || held.recv().map(|()| value)));
    assert!(futures_util::poll!(&mut running).is_pending());
    drop(running);
    release.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), (id, 1), "its place is held till then");
}

#[tokio::test]
async fn the_last_clone_may_go_on_a_thread_of_the_pool() {
    let pool = BlockingPool::new("test", 2);
    let shared = pool.owner.threads.clone();
    let (release, held) = mpsc::channel::<()>();
    let own = pool.clone();
    let mut running = Box::pin(pool.run(move || held.recv().map(|()| own)));
    assert!(futures_util::poll!(&mut running).is_pending());
    drop(running);
    drop(pool);
    release.send(()).unwrap();
    until(|| Arc::strong_count(&shared) == 1).await;
    assert!(lock(&shared.state).closed);
}

#[tokio::test]
async fn a_closed_pool_has_no_threads_and_takes_nothing() {
    let pool = BlockingPool::new("test", 2);
    let (release, running) = held(&pool).await;
    pool.run(|| ()).await.unwrap();
    let mut closing = Box::pin(pool.close());
    assert!(futures_util::poll!(&mut closing).is_pending(), "one still works");
    assert_eq!(pool.run(|| ()).await, Err(Gone::Closed));
    release.send(()).unwrap();
    closing.await;
    assert!(running.await.unwrap().is_ok());
    assert_eq!(Arc::strong_count(&pool.owner.threads), 1, "no thread holds it");
}

#[tokio::test]
async fn threads_end_with_the_last_clone_and_after_they_were_idle() {
    let pool = BlockingPool::new("test", 2);
    pool.run(|| ()).await.unwrap();
    let shared = pool.owner.threads.clone();
    drop(pool);
    assert_eq!(Arc::strong_count(&shared), 1, "its thread has ended");

    let pool = BlockingPool::with_keep_alive("test", 2, Duration::ZERO);
    for _ in 0..100 {
        pool.run(|| ()).await.unwrap();
    }
    until(|| threads(&pool) == 0).await;
    pool.run(|| ()).await.unwrap();
}
