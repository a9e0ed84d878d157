//! Concurrent uploaders, and the cut that ends them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use halidom::runtime::Random;
use tokio::sync::watch;

use super::ledger::Problems;
use super::settings::below;
use super::site::Sending;
use super::{Failure, Ledger, Photos, Site};

/// When the cut comes: chosen by the seed, and waited for by what happens, never by the clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Once so many things happened: a piece of a body was handed over, an acknowledgement was read.
    pub events: u64,
    /// And the uploaders had their turn so many times more.
    pub turns: u64,
}

impl Moment {
    /// A moment within the first `events`.
    pub fn draw(random: &Random, events: u64) -> Self {
        Self { events: 1 + below(random, events), turns: below(random, 64) }
    }
}

/// Uploads with `uploaders` at once, first what earlier cuts left unfinished, until `cut` was called at its moment and the last answer
/// was read or its connection broke. What is wrong with the answers is returned: a server that is up refuses nothing here.
pub async fn upload_until(site: &Site, ledger: &mut Ledger, uploaders: usize, moment: Moment, cut: impl FnOnce()) -> Problems {
    let traffic = Traffic {
        site,
        again: Mutex::new(ledger.unfinished().into()),
        ledger: Mutex::new(ledger),
        events: Arc::new(watch::Sender::new(0)),
        over: AtomicBool::new(false),
        problems: Mutex::default(),
    };
    let mut events = traffic.events.subscribe();
    let cutter = async {
        // Every uploader may have given up: then there is nothing to wait for either.
        let come = events.wait_for(|happened| *happened >= moment.events);
        come.await.expect("the sender lives as long as the traffic");
        for _ in 0..moment.turns {
            tokio::task::yield_now().await;
        }
        // Before the cut, so that whatever breaks because of it is not taken for a fault.
        traffic.over.store(true, Ordering::SeqCst);
        cut();
    };
    tokio::join!(cutter, join_all((0..uploaders).map(|_| traffic.uploader())));
    traffic.problems.into_inner().unwrap_or_else(PoisonError::into_inner)
}

struct Traffic<'a> {
    site: &'a Site,
    ledger: Mutex<&'a mut Ledger>,
    again: Mutex<VecDeque<u64>>,
    events: Arc<watch::Sender<u64>>,
    over: AtomicBool,
    problems: Mutex<Problems>,
}

impl Traffic<'_> {
    async fn uploader(&self) {
        while !self.is_over() {
            let again = lock(&self.again).pop_front();
            let number = again.unwrap_or_else(|| lock(&self.ledger).begin());
            if !self.send(number).await {
                break;
            }
        }
        if !self.is_over() {
            // The cut must not wait for events that nobody makes any more.
            self.events.send_modify(|happened| *happened = u64::MAX);
        }
    }

    /// Sends one photo; `false` where there is no sense in going on.
    async fn send(&self, number: u64) -> bool {
        let photos = lock(&self.ledger).photos.clone();
        let name = Photos::name(number);
        let sending = Sending {
            album: photos.album(number),
            name: &name,
            naming: photos.naming(number),
            hash: number.is_multiple_of(2).then(|| photos.hash(number)),
            bytes: photos.bytes(number),
        };
        let events = self.events.clone();
        let sent = move || events.send_modify(|happened| *happened = happened.saturating_add(1));
        match self.site.upload(sending, sent.clone()).await {
            Ok(photo) => {
                let wrong = lock(&self.ledger).acknowledge(number, &photo).err();
                lock(&self.problems).extend(wrong);
                sent();
                true
            }
            Err(Failure::Broken(_)) if self.is_over() => false,
            Err(failure) => {
                lock(&self.problems).push(format!("upload {number} failed before the cut: {failure:?}"));
                false
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
