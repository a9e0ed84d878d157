//! Concurrent uploaders, and the cut that ends them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use halidom::runtime::Random;
use tokio::sync::{oneshot, watch};

use super::ledger::Problems;
use super::settings::below;
use super::site::Sending;
use super::{Failure, Ledger, Photos, Site};

/// When the cut comes: chosen by the seed, and waited for by what happens, never by the clock.
#[derive(Debug)]
pub enum Moment {
    /// Once so many things happened: a piece of a body was handed over, an acknowledgement was read.
    Events {
        /// So many.
        events: u64,
        /// And the uploaders had their turn so many times more.
        turns: u64,
    },
    /// Once somebody else says so.
    Told(oneshot::Receiver<()>),
}

impl Moment {
    /// A moment within the first `events`.
    pub fn draw(random: &Random, events: u64) -> Self {
        Self::Events { events: 1 + below(random, events), turns: below(random, 64) }
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
    let cutter = async {
        traffic.comes(moment).await;
        // Before the cut, so that whatever breaks because of it is not taken for a fault.
        traffic.over.store(true, Ordering::SeqCst);
        cut();
    };
    tokio::join!(cutter, join_all((0..uploaders).map(|_| traffic.uploader())));
    traffic.problems.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What the events are once an uploader gave up: the cut must not wait for what nobody does any more.
const GIVEN_UP: u64 = u64::MAX;

struct Traffic<'a> {
    site: &'a Site,
    ledger: Mutex<&'a mut Ledger>,
    again: Mutex<VecDeque<u64>>,
    events: Arc<watch::Sender<u64>>,
    over: AtomicBool,
    problems: Mutex<Problems>,
}

impl Traffic<'_> {
    async fn comes(&self, moment: Moment) {
        match moment {
            Moment::Events { events, turns } => {
                self.happened(events).await;
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Moment::Told(told) => {
                tokio::select! {
                    // An error is a teller that went away: there is nothing to wait for either.
                    _ = told => {}
                    () = self.happened(GIVEN_UP) => {}
                }
            }
        }
    }

    async fn happened(&self, events: u64) {
        let mut happened = self.events.subscribe();
        happened.wait_for(|happened| *happened >= events).await.expect("the sender lives as long as the traffic");
    }

    async fn uploader(&self) {
        while !self.is_over() {
            let again = lock(&self.again).pop_front();
            let number = again.unwrap_or_else(|| lock(&self.ledger).begin());
            if !self.send(number).await {
                break;
            }
        }
        if !self.is_over() {
            self.events.send_modify(|happened| *happened = GIVEN_UP);
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
