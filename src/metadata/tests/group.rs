//! The writer: order, groups, refusals, failures.

use futures_util::poll;

use super::super::column::{Column as _, HeadsOf};
use super::super::engine::Batch;
use super::super::memory::Fault;
use super::super::record::Heads;
use super::*;
use crate::model::Hlc;
use crate::model::album::AlbumEdit;

#[tokio::test]
async fn a_later_request_of_a_group_sees_the_earlier_and_not_the_refused() {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 1);
    let before = metadata.read().last_commit().unwrap();
    let held = Held::new(&metadata).await;
    let send = |n: u8, refuse: bool| {
        let (owner, id) = (owner(1), album(n));
        metadata.write("album", move |tx| {
            let seen: Vec<bool> = (1..=4).map(|n| tx.album(owner, album(n)).unwrap().is_some()).collect();
            let at = tx.stamp();
            tx.apply(NewAlbum { name: format!("{n}"), description: String::new() }.create(owner, id, at)).unwrap();
            assert!(tx.album(owner, id).unwrap().is_some(), "its own changes, too");
            if refuse { Err(seen) } else { Ok((seen, at, tx.commit())) }
        })
    };
    let mut requests = [1, 2, 3, 4].map(|n| Box::pin(send(n, n == 2)));
    for request in &mut requests {
        assert!(poll!(request).is_pending());
    }
    held.release();
    let [first, second, third, fourth] = requests;
    let (first, second, third, fourth) = (first.await.unwrap(), second.await, third.await.unwrap(), fourth.await.unwrap());
    assert_eq!(first.0, [false; 4]);
    assert_eq!(second, Err(WriteError::Refused(vec![true, false, false, false])));
    assert_eq!(third.0, [true, false, false, false], "what was refused never was");
    assert_eq!(fourth.0, [true, false, true, false]);
    let commits = [first.2, third.2, fourth.2];
    assert_eq!(commits, [1, 2, 3].map(|n| Commit(before.0 + n)), "commits have no gap");
    assert!(first.1 < third.1 && third.1 < fourth.1 && third.1.seq.0 == first.1.seq.0 + 1);
    assert!(metadata.read().album(owner(1), album(2)).unwrap().is_none());
    let groups = metadata.figures().iter().find(|(name, _)| *name == "groups").unwrap().1;
    assert_eq!(groups, 3, "making the store, holding the writer, and one for all four");
    assert_sound(&metadata);
}

#[tokio::test]
async fn a_panic_takes_only_its_own_request() {
    let metadata = open_over(MemoryEngine::new(), 2);
    let held = Held::new(&metadata).await;
    let in_flight = metadata.begin_copy(hash(9));
    let key = in_flight.key();
    let mut panicking = Box::pin(metadata.write("fall over", move |tx| {
        tx.place_blob(&in_flight, new_blob(&in_flight, 9), None)?;
        if tx.blob(&hash(9))?.is_some() {
            panic!("on purpose");
        }
        Ok::<(), PlaceError>(())
    }));
    let mut good = Box::pin(metadata.write("album", |tx| {
        assert!(tx.blob(&hash(9))?.is_none());
        tx.apply(NewAlbum::default().create(owner(1), album(1), tx.stamp()))
    }));
    assert!(poll!(&mut panicking).is_pending() && poll!(&mut good).is_pending());
    held.release();
    assert_eq!(panicking.await, Err(WriteError::Failed(MetadataError::Panicked { label: "fall over" })));
    good.await.unwrap();
    settle(&metadata).await;
    assert!(metadata.read().is_doomed(&key).unwrap(), "its copy is given up");
    assert!(!metadata.is_in_flight(&key));
    assert_sound(&metadata);
}

/// Waits until the writer has done what was sent before.
async fn settle(metadata: &Metadata) {
    for _ in 0..2 {
        metadata.write("settle", |_| Ok::<_, MetadataError>(())).await.unwrap();
    }
}

#[tokio::test]
async fn past_its_limit_the_queue_says_busy() {
    let metadata = open_with(Arc::new(MemoryEngine::new()), &Runtime::simulated(3, START_MS), 2);
    let held = Held::new(&metadata).await;
    let nothing = || metadata.write("nothing", |_| Ok::<_, MetadataError>(()));
    let (mut first, mut second) = (Box::pin(nothing()), Box::pin(nothing()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    assert_eq!(nothing().await, Err(WriteError::Busy));
    held.release();
    assert_eq!((first.await, second.await), (Ok(()), Ok(())));
    assert_eq!(nothing().await, Ok(()));
}

#[tokio::test]
async fn a_batch_that_fails_acknowledges_nobody_and_the_store_goes_on() {
    for fault in [Fault::NoSpace, Fault::Lost, Fault::Applied, Fault::Ghost] {
        let engine = MemoryEngine::new();
        let metadata = open_over(engine.clone(), 4);
        upload(&metadata, owner(1), album(1), photo(1), 1).await.unwrap();
        let origin = metadata.write("stamp", |tx| Ok::<_, MetadataError>(tx.stamp())).await.unwrap().origin;
        engine.fail_write(0, fault);

        let held = Held::new(&metadata).await;
        let mut uploading = Box::pin(upload(&metadata, owner(1), album(1), photo(2), 2));
        // Refused because of what the same group would have made: that, too, is not true.
        let mut refused = Box::pin(metadata.write("is it there", |tx| match tx.photo(owner(1), photo(2))? {
            Some(_) => Err(Refused::Exists),
            None => Ok(()),
        }));
        assert!(poll!(&mut uploading).is_pending() && poll!(&mut refused).is_pending());
        held.release();
        let failed = uploading.await;
        assert!(
            matches!(failed, Err(WriteError::Failed(MetadataError::NoSpace { .. } | MetadataError::Unavailable { .. }))),
            "{fault:?} {failed:?}"
        );
        assert!(matches!(refused.await, Err(WriteError::Failed(_))), "{fault:?}");

        let after = metadata.write("album", |tx| {
            let at = tx.stamp();
            tx.apply(NewAlbum::default().create(owner(1), album(5), at)).map(|()| at)
        });
        let after = after.await.unwrap();
        assert_ne!(after.origin, origin, "a new life: no sequence is issued twice");
        let there = metadata.read().photo(owner(1), photo(2)).unwrap().is_some();
        assert_eq!(there, fault == Fault::Applied, "{fault:?}");
        settle(&metadata).await;
        assert_eq!(
            metadata.read().stats().unwrap().doomed,
            u64::from(fault != Fault::Applied),
            "the copy is given up, or named: {fault:?}"
        );
        assert!(metadata.figures().contains(&("in_flight", 0)));
        assert_sound(&metadata);

        // And after a power cut the same.
        metadata.close();
        let metadata = open_over(engine.crash(0), 5);
        assert_eq!(metadata.read().photo(owner(1), photo(2)).unwrap().is_some(), there);
        assert_sound(&metadata);
        upload(&metadata, owner(1), album(1), photo(3), 2).await.unwrap();
        assert_sound(&metadata);
    }
}

#[tokio::test]
async fn a_power_cut_after_a_failed_batch_leaves_all_of_it_or_nothing() {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 6);
    engine.fail_write(0, Fault::Ghost);
    // Giving the copy up would be a commit, too: the power goes before.
    let in_flight = metadata.begin_copy(hash(1));
    upload_as(&metadata, in_flight.clone()).await.unwrap_err();
    let after = engine.crash(1);
    metadata.close();
    let metadata = open_over(after, 7);
    assert!(metadata.read().photo(owner(1), photo(1)).unwrap().is_some(), "it was never acknowledged, and may be there");
    assert_sound(&metadata);
    upload(&metadata, owner(1), album(1), photo(2), 1).await.unwrap();
    assert_sound(&metadata);
}

/// The batch, and then what is written behind it to find out where the store stands.
#[tokio::test]
async fn a_power_cut_after_two_failed_batches_leaves_a_sound_store() {
    for kept in 0..=2 {
        let engine = MemoryEngine::new();
        let metadata = open_over(engine.clone(), 6);
        let in_flight = metadata.begin_copy(hash(1));
        engine.fail_write(0, Fault::Ghost);
        upload_as(&metadata, in_flight.clone()).await.unwrap_err();
        engine.fail_write(0, Fault::Ghost);
        upload_as(&metadata, in_flight.clone()).await.unwrap_err();
        let after = engine.crash(kept);
        metadata.close();
        let metadata = open_over(after, 7);
        assert_eq!(metadata.read().photo(owner(1), photo(1)).unwrap().is_some(), kept > 0);
        assert_sound(&metadata);
        upload(&metadata, owner(1), album(1), photo(2), 1).await.unwrap();
        assert_sound(&metadata);
    }
}

#[tokio::test]
async fn a_failure_that_a_request_overlooks_fails_it_all_the_same() {
    let metadata = open_over(MemoryEngine::new(), 8);
    let lost = metadata.write("careless", |tx| {
        let _ = tx.apply(new_photo(1).create(owner(1), photo(1), tx.stamp(), album(1), "a", None));
        Ok::<_, MetadataError>(())
    });
    assert_eq!(lost.await, Err(WriteError::Failed(MetadataError::MissingBlob { hash: hash(1) })));
    metadata.write("erase", |tx| tx.erase(crate::model::erasure::Erasure::Owner(owner(2)))).await.unwrap();
    let key = crate::model::RowKey::album(owner(2), album(1));
    let careless = metadata.write("careless", |tx| {
        let _ = tx.apply(NewAlbum::default().create(owner(2), album(1), tx.stamp()));
        tx.apply(NewAlbum::default().create(owner(1), album(2), tx.stamp()))
    });
    assert_eq!(careless.await, Err(WriteError::Failed(MetadataError::Erased { key })));
    assert!(metadata.read().album(owner(1), album(2)).unwrap().is_none());
    assert_sound(&metadata);
}

#[tokio::test]
async fn an_unreadable_engine_refuses_and_comes_back() {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 9);
    engine.set_unreadable(true);
    let failed = upload_blind(&metadata).await;
    assert!(
        matches!(failed, Err(WriteError::Failed(MetadataError::Unavailable { .. }) | WriteError::Refused(Refused::Store(_)))),
        "{failed:?}"
    );
    engine.set_unreadable(false);
    assert_sound(&metadata);
    upload_blind(&metadata).await.unwrap();
    assert_sound(&metadata);
}

async fn upload_blind(metadata: &Metadata) -> Result<(), WriteError<Refused>> {
    upload_as(metadata, metadata.begin_copy(hash(1))).await
}

async fn upload_as(metadata: &Metadata, in_flight: InFlight) -> Result<(), WriteError<Refused>> {
    metadata
        .write("upload", move |tx| {
            tx.place_blob(&in_flight, new_blob(&in_flight, 1), None)?;
            Ok(tx.apply(new_photo(1).create(owner(1), photo(1), tx.stamp(), album(1), "a", None))?)
        })
        .await
}

#[tokio::test]
async fn a_closed_store_does_what_waits_and_takes_no_more() {
    let metadata = open_over(MemoryEngine::new(), 10);
    let held = Held::new(&metadata).await;
    let mut waiting = Box::pin(metadata.write("album", |tx| tx.apply(NewAlbum::default().create(owner(1), album(1), tx.stamp()))));
    assert!(poll!(&mut waiting).is_pending());
    held.release();
    metadata.close();
    waiting.await.unwrap();
    let refused = metadata.write("late", |_| Ok::<_, MetadataError>(())).await;
    assert!(matches!(refused, Err(WriteError::Failed(MetadataError::Unavailable { .. }))));
    assert!(metadata.read().album(owner(1), album(1)).unwrap().is_some(), "reading goes on");
    metadata.close();
}

#[tokio::test]
async fn a_request_whose_asker_has_gone_is_done() {
    let metadata = open_over(MemoryEngine::new(), 11);
    let held = Held::new(&metadata).await;
    let mut asked = Box::pin(create_album(&metadata, owner(1), album(1), "a"));
    assert!(poll!(&mut asked).is_pending());
    drop(asked);
    held.release();
    settle(&metadata).await;
    assert!(metadata.read().album(owner(1), album(1)).unwrap().is_some());
}

#[tokio::test]
async fn a_request_that_contradicts_itself_is_refused_whole() {
    let metadata = open_over(MemoryEngine::new(), 11);
    create_album(&metadata, owner(1), album(1), "before").await;
    let renamed = |tx: &Transaction<'_>, name: &str| {
        let found = tx.album(owner(1), album(1)).unwrap().unwrap();
        found.edit(tx.stamp(), &AlbumEdit { name: Some(name.to_owned()), description: None })
    };
    let twice = metadata.write("rename twice", move |tx| {
        let (one, other) = (renamed(tx, "one"), renamed(tx, "other"));
        tx.apply_all(one)?;
        tx.apply_all(other)
    });
    let contradiction = |result: Result<(), WriteError<MetadataError>>| {
        assert!(matches!(result, Err(WriteError::Failed(MetadataError::Contradiction { .. }))), "{result:?}");
    };
    contradiction(twice.await);
    let created = metadata.write("create twice", |tx| {
        for name in ["one", "other"] {
            tx.apply(NewAlbum { name: name.to_owned(), description: String::new() }.create(owner(1), album(2), tx.stamp()))?;
        }
        Ok(())
    });
    contradiction(created.await);
    let read = metadata.read();
    assert_eq!(read.album(owner(1), album(1)).unwrap().unwrap().name, "before");
    assert_eq!(read.album(owner(1), album(2)).unwrap(), None);
    let same = metadata.write("say it twice", move |tx| {
        let (one, again) = (renamed(tx, "after"), renamed(tx, "after"));
        tx.apply_all(one)?;
        tx.apply_all(again)
    });
    same.await.unwrap();
    assert_eq!(metadata.read().album(owner(1), album(1)).unwrap().unwrap().name, "after");
    assert_sound(&metadata);
}

#[tokio::test]
async fn at_the_end_of_logical_time_nothing_is_written_and_nothing_wraps() {
    let engine = MemoryEngine::new();
    open_over(engine.clone(), 12).close();
    let heads = Heads { hlc: Hlc(u64::MAX - 1), ..super::super::writer::read_heads(&engine).unwrap() };
    let mut batch = Batch::default();
    batch.put(HeadsOf::ID, ().to_key(), heads.to_value());
    engine.write(batch, true).unwrap();
    let metadata = open_over(engine, 13);
    create_album(&metadata, owner(1), album(1), "the last").await;
    assert_eq!(metadata.read().album(owner(1), album(1)).unwrap().unwrap().created.hlc, Hlc(u64::MAX));
    let next = metadata.write("one more", |tx| tx.apply(NewAlbum::default().create(owner(1), album(2), tx.stamp())));
    assert!(matches!(next.await, Err(WriteError::Failed(MetadataError::Damaged { .. }))));
    assert_eq!(metadata.read().album(owner(1), album(2)).unwrap(), None);
    assert_eq!(metadata.read().album(owner(1), album(1)).unwrap().unwrap().name, "the last", "reading goes on");
}

#[derive(Debug, Default)]
struct Notes(std::sync::Mutex<Vec<String>>);

impl WriteObserver for Notes {
    fn request(&self, outcome: RequestOutcome) {
        self.0.lock().unwrap().push(outcome.as_str().to_owned());
    }

    fn batch(&self, requests: usize, _: std::time::Duration, written: bool) {
        self.0.lock().unwrap().push(format!("{requests} {}", if written { "written" } else { "lost" }));
    }
}

#[tokio::test]
async fn what_the_writer_does_is_told() {
    let engine = MemoryEngine::new();
    let metadata = open_over(engine.clone(), 14);
    let notes = Arc::<Notes>::default();
    metadata.observe(notes.clone());
    let told = || std::mem::take(&mut *notes.0.lock().unwrap());
    create_album(&metadata, owner(1), album(1), "one").await;
    assert_eq!(told(), ["accepted", "1 written"]);
    metadata.write("no", |_| Err::<(), _>(())).await.unwrap_err();
    assert_eq!(told(), ["refused"]);
    let panicked = metadata.write("fall over", |_| -> Result<(), MetadataError> { panic!("on purpose") });
    panicked.await.unwrap_err();
    assert_eq!(told(), ["panicked"]);
    engine.fail_write(0, Fault::NoSpace);
    metadata.write("album", |tx| tx.apply(NewAlbum::default().create(owner(1), album(2), tx.stamp()))).await.unwrap_err();
    assert_eq!(told(), ["accepted", "1 lost"]);
}
