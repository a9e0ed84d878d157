//! On a filer: calls that do not answer, answers that get lost, handles that go stale.

use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::blobs::contract::{self, Subject, bytes, contract_suite, get, key, put};
use crate::blobs::disk::faults::Fault;
use crate::blobs::disk::files::Call;
use crate::blobs::{Damage, Deletion, InventoryItem};

/// More than anything here takes.
const PATIENT: Duration = Duration::from_secs(300);
/// Only calls that hang are made with it.
const SHORT: Duration = Duration::from_millis(30);
const THREADS: usize = 2;

fn filer(deadline: Duration) -> FilerSettings {
    FilerSettings { deadline, check_mount: is_mounted() }
}

/// Whether the directory for temporary files lies on a filer: in the machine that `mounted` starts.
fn is_mounted() -> bool {
    crate::config::environment().get("HALIDOM_TEST_FILER").is_some()
}

async fn open(place: &Place) -> DiskStore {
    let settings = DiskSettings { filer: Some(filer(PATIENT)), gather_bytes: 128 << 10, ..DiskSettings::default() };
    let store = DiskStore::open(&place.root(), Runtime::system(), BlockingPool::new("blobs", THREADS), settings).await.unwrap();
    store.sweep().await.unwrap();
    store
}

/// The same store, for whoever does not wait.
fn impatient(store: &DiskStore) -> DiskStore {
    let pools = DiskPools::from(store.lanes.io.pool().clone());
    DiskStore { shared: store.shared.clone(), lanes: Lanes::new(pools, Some(&filer(SHORT)), &store.shared.runtime.clock) }
}

/// Until nothing hangs any more and all that was begun has ended.
async fn ended(store: &DiskStore) {
    store.shared.files.faults().answer();
    let pool = store.lanes.io.pool();
    while pool.load().running > 0 || store.shared.files.faults().held() > 0 {
        tokio::task::yield_now().await;
    }
}

fn is_away<T: std::fmt::Debug>(done: &Result<T, BlobError>) -> bool {
    matches!(done, Err(BlobError::Unavailable { source, .. }) if source.kind() == std::io::ErrorKind::TimedOut)
}

async fn subject_on_filer() -> Subject {
    let place = Place::new();
    let store = open(&place).await;
    subject(place, store.clone(), Arc::new(store))
}

contract_suite!(subject_on_filer);

mod verified {
    use super::*;

    async fn filer() -> Subject {
        let place = Place::new();
        let store = open(&place).await;
        subject(place, store.clone(), Arc::new(VerifyStore::new(store, Clock::manual(0), VerifySettings::default())))
    }

    contract_suite!(filer);
}

/// One async thread: were it ever to wait for the filer, this test would not end.
#[tokio::test]
async fn every_call_has_an_end_while_the_filer_hangs() {
    for call in 0..10 {
        let place = Place::new();
        let patient = open(&place).await;
        let content = bytes(1, 400_000);
        let stored = put(&patient, &content, 1).await.unwrap();
        let store = impatient(&patient);
        let read = patient.open(&stored).await.unwrap();
        let impatient_read = store.open(&stored).await;
        patient.shared.files.faults().hang(|_| true);
        let away = match call {
            0 => is_away(&store.open(&stored).await.map(drop)),
            1 => is_away(&store.copies(&stored.hash).await),
            2 => is_away(&store.delete(&stored).await),
            3 => is_away(&store.inventory().next().await.map(drop)),
            4 => is_away(&store.marker().await),
            5 => is_away(&store.claim(None, Marker { site: crate::model::SiteId::from_bytes([1; 16]), epoch: 1 }).await),
            6 => is_away(&store.probe().await),
            7 => is_away(&put(&store, &content, 2).await),
            8 => match impatient_read {
                Ok(read) => is_away(&read.read_at(0, 400_000).await) && is_away(&read.content_hash().await),
                // The machine was too slow for it before anything hung.
                Err(_) => true,
            },
            _ => {
                is_away(&crate::blobs::DerivedStore::get_derived(&store, crate::blobs::DerivedKind::Preview, &stored.hash).await.map(drop))
            }
        };
        assert!(away, "call {call}");
        drop(read);
        ended(&patient).await;
        assert_eq!(staged(&patient).await, 0, "call {call}");
        if call != 2 {
            assert_eq!(get(&patient, &stored).await.unwrap(), content, "call {call}");
        }
        put(&patient, &content, 3).await.unwrap();
    }
}

#[tokio::test]
async fn while_every_thread_hangs_calls_are_refused_at_once() {
    let place = Place::new();
    let patient = open(&place).await;
    let stored = put(&patient, &bytes(1, 1000), 1).await.unwrap();
    let store = impatient(&patient);
    patient.shared.files.faults().hang(|_| true);
    for hanging in 1..=THREADS {
        assert!(is_away(&store.marker().await));
        while patient.shared.files.faults().held() < hanging {
            tokio::task::yield_now().await;
        }
    }
    // A thread's time begins when it does, a little after whoever asks begins to wait.
    while !store.is_away() {
        tokio::task::yield_now().await;
    }
    // Refused before they are given to a thread: each is ready when it is first asked.
    for _ in 0..50 {
        let refused = futures_util::FutureExt::now_or_never(store.marker()).expect("at once");
        assert!(is_away(&refused));
        let refused = futures_util::FutureExt::now_or_never(store.stage(None)).expect("at once");
        assert!(is_away(&refused.map(drop)), "before a body is received");
    }
    ended(&patient).await;
    assert!(!store.is_away(), "it is back by itself");
    assert_eq!(get(&patient, &stored).await.unwrap(), bytes(1, 1000));
}

/// A publish that the caller was told to have failed, and that is done all the same: its key is doomed by then, and what stands there is whole
/// or nothing.
#[tokio::test]
async fn a_publish_that_lands_late_does_no_harm() {
    let hangs: [fn(Call) -> bool; 4] =
        [|call| call == Call::Create, |call| call == Call::Move, |call| call == Call::SyncFile, |call| call == Call::SyncDirectory];
    for (n, hang) in hangs.into_iter().enumerate() {
        for size in [1_000, 300_000] {
            let place = Place::new();
            let patient = open(&place).await;
            let content = bytes(1, size);
            let key = key(&content, 1);
            let mut staged_copy = impatient(&patient).stage(Some(size as u64)).await.unwrap();
            staged_copy.write(content.clone()).await.unwrap();
            patient.shared.files.faults().hang(hang);
            let told = staged_copy.publish(&key).await;
            assert!(is_away(&told), "{n}: {told:?}");
            ended(&patient).await;
            assert_eq!(staged(&patient).await, 0, "{n}");
            // Nobody took it back; the queue of deletions does.
            assert_eq!(get(&patient, &key).await.unwrap(), content, "{n}");
            assert_eq!(patient.delete(&key).await.unwrap(), Deletion::Deleted);
            assert_eq!(contract::inventory(&patient).await.unwrap(), []);
        }
    }
}

#[tokio::test]
async fn uploads_that_were_given_up_while_it_hung_leave_nothing() {
    let place = Place::new();
    let patient = open(&place).await;
    let content = bytes(1, 600_000);
    let mut given_up = Vec::new();
    for n in 0..6 {
        let mut copy = patient.stage(None).await.unwrap();
        copy.write(content.clone()).await.unwrap();
        copy.digests().await.unwrap();
        given_up.push((n, copy));
    }
    assert!(std::fs::read_dir(place.at(path::STAGING)).unwrap().count() >= 6);
    let stuck = impatient(&patient);
    patient.shared.files.faults().hang(|_| true);
    for _ in 0..THREADS {
        assert!(is_away(&stuck.marker().await));
    }
    for (_, copy) in given_up {
        drop(copy);
    }
    ended(&patient).await;
    assert_eq!(staged(&patient).await, 0);
    assert_eq!(patient.shared.staged.load(std::sync::atomic::Ordering::Relaxed), 0, "nor is room taken");
}

#[tokio::test]
async fn a_handle_that_went_stale_is_opened_once_more() {
    for errno in [Errno::STALE, Errno::IO] {
        let place = Place::new();
        let store = open(&place).await;
        let content = bytes(1, 300_000);
        let stored = put(&store, &content, 1).await.unwrap();
        let read = store.open(&stored).await.unwrap();
        let is_read: fn(Call) -> bool = |call| call == Call::Read;
        store.shared.files.faults().plan_next(is_read, Fault::Fail(errno));
        store.shared.files.faults().take_trace();
        assert_eq!(read.read_at(1000, 200_000).await.unwrap(), content[1000..201_000], "{errno}");
        let calls: Vec<_> = store.shared.files.faults().take_trace().into_iter().map(|(call, _)| call).collect();
        assert_eq!(calls, [Call::Read, Call::Open, Call::Read], "{errno}");
        assert_eq!(read.read_at(0, 300_000).await.unwrap(), content, "from then on from there");
        store.shared.files.faults().plan_next(is_read, Fault::Fail(errno));
        let twice = read.read_at(0, 10).await;
        let told = match errno {
            Errno::STALE => matches!(twice, Err(BlobError::Unavailable { .. })),
            _ => matches!(twice, Err(BlobError::Damaged { damage: Damage::Unreadable(_), .. })),
        };
        assert!(told, "{errno}: {twice:?}");
    }
    let place = Place::new();
    let store = open(&place).await;
    let stored = put(&store, &bytes(1, 10), 1).await.unwrap();
    store.shared.files.faults().plan_next(|call| call == Call::Open, Fault::Fail(Errno::STALE));
    assert_eq!(get(&store, &stored).await.unwrap(), bytes(1, 10), "while it is opened, too");
}

#[tokio::test]
async fn what_another_machine_has_put_there_is_looked_for_anew() {
    let place = Place::new();
    let store = open(&place).await;
    let stored = put(&store, &bytes(1, 10), 1).await.unwrap();
    store.shared.files.faults().plan_next(|call| call == Call::Open, Fault::Fail(Errno::NOENT));
    store.shared.files.faults().take_trace();
    assert_eq!(get(&store, &stored).await.unwrap(), bytes(1, 10));
    let trace = store.shared.files.faults().take_trace();
    let leaf = path::leaf(&stored.hash);
    let expected = [(Call::Open, path::copy(&stored)), (Call::Stat, leaf.parent().unwrap().to_owned()), (Call::Stat, leaf)];
    assert_eq!(trace[..3], expected);
}

#[tokio::test]
async fn an_answer_that_got_lost_is_compared_and_hashed() {
    for errno in [Errno::EXIST, Errno::NOENT] {
        let place = Place::new();
        let store = open(&place).await;
        let content = bytes(1, 300_000);
        store.shared.files.faults().plan_next(|call| call == Call::Move, Fault::FailDone(errno));
        store.shared.files.faults().take_trace();
        let stored = put(&store, &content, 1).await.unwrap();
        let named = path::copy(&stored);
        let trace = store.shared.files.faults().take_trace();
        assert!(trace.contains(&(Call::Read, named.clone())), "{errno}: {trace:?}");
        assert_eq!((get(&store, &stored).await.unwrap(), staged(&store).await), (content, 0), "{errno}");
    }
}

/// What a filer says at a sync is about that file alone: the next upload is as good as any.
#[tokio::test]
async fn a_sync_that_failed_gives_up_one_upload() {
    for errno in [Errno::IO, Errno::STALE, Errno::NOSPC, Errno::DQUOT] {
        let place = Place::new();
        let store = open(&place).await;
        let bystander = put(&store, &bytes(2, 1000), 1).await.unwrap();
        store.shared.files.faults().plan_next(|call| call == Call::SyncFile, Fault::Fail(errno));
        let failed = put(&store, &bytes(1, 300_000), 1).await;
        let is_full = matches!(errno, Errno::NOSPC | Errno::DQUOT);
        assert!(matches!(failed, Err(BlobError::NoSpace)) == is_full && failed.is_err(), "{errno}: {failed:?}");
        assert_eq!(store.sync_failures(), u64::from(!is_full), "{errno}");
        let items = contract::inventory(&store).await.unwrap();
        assert_eq!(items, [InventoryItem::Copy { key: bystander, size_bytes: 1000 }], "{errno}");
        store.probe().await.unwrap();
        let again = put(&store, &bytes(1, 300_000), 2).await.unwrap();
        assert_eq!((get(&store, &again).await.unwrap(), staged(&store).await), (bytes(1, 300_000), 0), "{errno}");
    }
}

#[tokio::test]
async fn copies_are_passes_and_no_files() {
    let place = Place::new();
    let store = open(&place).await;
    let stored = put(&store, &bytes(1, 1000), 1).await.unwrap();
    let read = store.open(&stored).await.unwrap();
    assert!(read.is_sequential() && read.as_fd().is_none() && read.version().is_none());
    assert_eq!(store.prepare().await.unwrap(), None, "no minutes of making directories");
}

#[tokio::test]
async fn a_store_on_a_filer_has_to_lie_on_one() {
    if is_mounted() {
        return;
    }
    let place = Place::new();
    let settings = DiskSettings { filer: Some(FilerSettings { deadline: PATIENT, check_mount: true }), ..DiskSettings::default() };
    let refused = DiskStore::open(&place.root(), Runtime::system(), BlockingPool::new("blobs", 1), settings).await;
    assert!(matches!(refused, Err(BlobError::Refused { .. })), "{refused:?}");
    assert!(!place.root().exists(), "nothing was made where the filer was to be");
}

#[tokio::test]
async fn a_part_of_a_large_copy_is_read_by_its_groups() {
    let place = Place::new();
    let store = open(&place).await;
    let content = bytes(1, (9 << 20) + 5);
    let stored = put(&store, &content, 1).await.unwrap();
    let checked = || {
        let verify = VerifyStore::new(store.clone(), Clock::manual(0), VerifySettings::default());
        verify.keeping_trees_in(Arc::new(store.clone()))
    };
    let part = async || {
        let read = checked().open_part(&stored, 5_000_000..5_000_100).await?;
        read.read_at(5_000_000, 100).await
    };
    assert_eq!(part().await.unwrap(), content[5_000_000..5_000_100], "the whole was read");
    assert!(place.at(path::derived(crate::blobs::DerivedKind::Tree, &stored.hash)).is_file());
    store.shared.files.faults().take_trace();
    assert_eq!(part().await.unwrap(), content[5_000_000..5_000_100]);
    let copy = path::copy(&stored);
    let reads = store.shared.files.faults().take_trace().into_iter().filter(|call| *call == (Call::Read, copy.clone())).count();
    assert!(reads <= 8, "the pieces of one group: {reads}");
    let at = place.at(copy);
    let mut damaged = std::fs::read(&at).unwrap();
    damaged[5 << 20] ^= 1;
    std::fs::write(&at, &damaged).unwrap();
    assert_eq!(part().await.unwrap(), content[5_000_000..5_000_100], "its group is good");
    damaged[4 << 20] ^= 1;
    std::fs::write(&at, &damaged).unwrap();
    assert!(matches!(part().await, Err(BlobError::Damaged { damage: Damage::Part { .. }, .. })));
}
