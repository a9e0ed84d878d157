//! What happens to a site while its stores fail, and what has to be so afterwards.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use halidom::api::{CreateImport, ImportState};
use halidom::config::ColdMode;
use halidom::maintenance::check;
use halidom::metadata::memory::Fault as MetadataFault;
use halidom::metadata::{MetadataError, Read as _};
use halidom::model::{BlobHash, Owner, PhotoId};
use halidom::runtime::{BlockingPool, shutdown_channel};
use halidom::service::{ExpectedDigests, Graces, PhotoName, Scope, ServiceError, UploadRequest, Uploaded};

use super::plan::{Fault, Plan, mix};
use super::world::{Acknowledged, PATIENCE, Site, World, caller, come_to_rest, photo, tasks};

/// Of a thousand calls of a store so many fail.
const RATE: u64 = 180;
/// Faults of one move: what may pass is waited for, longer every time.
const MOVE_FAULTS: u64 = 3;
/// Photos that are sent again and again.
const PHOTOS: u32 = 9;
/// Photos of the tree that is imported.
pub const TREE: std::ops::Range<u32> = 100..104;

/// How work on the site ended.
enum Ran<T> {
    Done(T),
    /// A call hung, and who waited went away.
    GivenUp,
    /// The process died.
    Crashed,
}

/// Splitmix64.
pub struct Dice(pub u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % n
    }
}

async fn run<T>(plan: &Plan, gives_up: bool, work: impl Future<Output = T>) -> Ran<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            () = plan.died() => return Ran::Crashed,
            () = plan.hung() => if gives_up { return Ran::GivenUp } else { plan.answer() },
            done = &mut work => return Ran::Done(done),
        }
    }
}

/// One schedule, from an empty site to the proof.
pub async fn schedule(seed: u64, steps: u32, mut world: World) {
    let mut dice = Dice(mix(seed));
    for name in ["data", "tree"] {
        std::fs::create_dir(world.place.path().join(name)).expect("a fresh directory");
    }
    for number in TREE {
        std::fs::write(world.tree().join(format!("{number}.jpg")), photo(number)).expect("a fresh file");
    }
    let mut site = world.open().await;
    world.settle_in(&site).await;
    for _ in 0..steps {
        site = step(&mut world, site, &mut dice).await;
    }
    if let Some(break_it) = world.breaks {
        break_it(&world);
    }
    prove(&mut world, site).await;
}

async fn step(world: &mut World, site: Site, dice: &mut Dice) -> Site {
    world.plan.arm(RATE, u64::MAX);
    let gives_up = dice.below(2) == 0;
    let user = dice.below(2) as usize;
    match dice.below(20) {
        0..=8 => {
            let number = dice.below(u64::from(PHOTOS)) as u32;
            let id = if dice.below(2) == 0 { PhotoName::Fresh } else { PhotoName::Own(own_id(user, number)) };
            let mut is_planned = false;
            if dice.below(6) == 0 {
                let kinds = [MetadataFault::NoSpace, MetadataFault::Lost, MetadataFault::Applied, MetadataFault::Ghost];
                world.engine.fail_write(0, kinds[dice.below(4) as usize]);
                is_planned = true;
            }
            let bytes = world.photo(number);
            let is_known = dice.below(2) == 0;
            world.plan.step(format!("upload of {number} by {user}"));
            let ran = run(&world.plan, gives_up, upload(world, &site, user, id, &bytes, is_known)).await;
            if world.engine.clear_write_faults() == 0 && is_planned {
                world.plan.note(Fault::Metadata, "write");
            }
            if let Ran::Done(Ok(uploaded)) = &ran {
                acknowledge(world, user, uploaded, number);
            }
            rest(world, site, ran, dice).await
        }
        9..=11 => {
            let Some(wanted) = pick(&world.acknowledged, dice) else { return site };
            world.plan.step(format!("read of {}", wanted.number));
            let ran = run(&world.plan, gives_up, read(world, &site, &wanted)).await;
            // An error is an answer; other bytes are none.
            if let Ran::Done(Ok(bytes)) = &ran {
                assert_eq!(BlobHash::of(bytes), BlobHash::of(&photo(wanted.number)), "wrong bytes were served as a success");
            }
            rest(world, site, ran, dice).await
        }
        12 => {
            let Some(wanted) = pick(&world.acknowledged, dice) else { return site };
            world.plan.step(format!("photo {} to the trash", wanted.number));
            // Its bytes stay, whether that is answered or not.
            for photo in world.acknowledged.iter_mut().filter(|photo| **photo == wanted) {
                photo.in_trash = true;
            }
            let who = &world.users[wanted.user].0;
            let ran = run(&world.plan, gives_up, site.services.trash_photo(who, wanted.id)).await;
            rest(world, site, ran, dice).await
        }
        13..=15 => {
            world.plan.step("a batch of deletions".to_owned());
            let ran = run(&world.plan, gives_up, site.services.delete_doomed(site.claim, Graces::NONE, 20)).await;
            rest(world, site, ran, dice).await
        }
        16 => {
            let mut job = site.job.clone();
            job.settings.mode = if dice.below(3) == 0 { ColdMode::Undo } else { ColdMode::On };
            world.plan.step(format!("recompressing: {:?}", job.settings.mode));
            let ran = run(&world.plan, gives_up, job.go_through()).await;
            rest(world, site, ran, dice).await
        }
        17 => {
            world.plan.step("import".to_owned());
            let ran = run(&world.plan, gives_up, import(world, &site)).await;
            world.imported |= matches!(ran, Ran::Done(true));
            rest(world, site, ran, dice).await
        }
        18 => {
            world.plan.arm(RATE / 4, MOVE_FAULTS);
            world.plan.step("a move".to_owned());
            let number = dice.below(u64::from(PHOTOS)) as u32;
            move_under_load(world, site, user, number, dice).await
        }
        _ => {
            world.plan.step("kill".to_owned());
            world.plan.note(Fault::CrashBefore, "process");
            let kept = dice.below(site_unsynced(world)) as usize;
            world.crash(site, kept).await
        }
    }
}

fn site_unsynced(world: &World) -> u64 {
    world.engine.unsynced() as u64 + 1
}

fn pick(acknowledged: &[Acknowledged], dice: &mut Dice) -> Option<Acknowledged> {
    let index = dice.below((acknowledged.len() as u64).max(1)) as usize;
    acknowledged.get(index).cloned()
}

fn own_id(user: usize, number: u32) -> PhotoId {
    PhotoId::from_bytes([user as u8 + 1, number as u8 + 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7])
}

fn acknowledge(world: &mut World, user: usize, uploaded: &Uploaded, number: u32) {
    let known = world.acknowledged.iter().any(|photo| photo.id == uploaded.photo.id);
    if !known {
        world.acknowledged.push(Acknowledged { user, id: uploaded.photo.id, number, in_trash: false });
    }
}

/// In two pieces, so that what is streamed is, too.
async fn upload(world: &World, site: &Site, user: usize, id: PhotoName, bytes: &Bytes, is_known: bool) -> Result<Uploaded, ServiceError> {
    let (caller, album) = world.users[user].clone();
    let size_bytes = is_known.then_some(bytes.len() as u64);
    let request = UploadRequest { caller, album, name: "one.jpg".to_owned(), id, expected: ExpectedDigests::default(), size_bytes };
    let half = bytes.len() / 2;
    site.services.upload(request, stream::iter([Ok(bytes.slice(..half)), Ok(bytes.slice(half..))])).await
}

async fn read(world: &World, site: &Site, wanted: &Acknowledged) -> Result<Bytes, ServiceError> {
    let who = &world.users[wanted.user].0;
    let blob = if wanted.in_trash {
        site.services.open_blob(BlobHash::of(&photo(wanted.number))).await?
    } else {
        let original = site.services.original(who, wanted.id).await?;
        site.services.open_original(who, &original, None).await?
    };
    let length = usize::try_from(blob.size_bytes()).expect("small");
    let half = length / 2;
    let (first, second) = (blob.read_at(0, half).await?, blob.read_at(half as u64, length - half).await?);
    Ok([first, second].concat().into())
}

/// Whether everything came in.
async fn import(world: &World, site: &Site) -> bool {
    let admin = caller(Owner::DEFAULT, Scope::Admin);
    let running = site.imports.list(&admin).expect("an administrator asks").into_iter().find(|import| import.state == ImportState::Running);
    let id = match running {
        Some(import) => import.id,
        None => {
            let path = world.tree().display().to_string();
            let request: CreateImport = serde_json::from_value(serde_json::json!({ "path": path })).expect("a request");
            match site.imports.start(&admin, request).await {
                Ok(import) => import.id,
                Err(_) => return false,
            }
        }
    };
    let get = || site.imports.get(&admin, id).expect("it is remembered");
    let ended = async {
        while get().state == ImportState::Running {
            tokio::task::yield_now().await;
        }
    };
    let (_trigger, shutdown) = shutdown_channel();
    tokio::select! {
        () = site.imports.clone().work(shutdown) => {}
        () = ended => {}
    }
    let import = get();
    import.state == ImportState::Done && import.counts.imported + import.counts.existing == TREE.len() as u64
}

/// A move to the other store while a photo comes in. One that comes to no end stays under way.
async fn move_under_load(world: &mut World, mut site: Site, user: usize, number: u32, dice: &mut Dice) -> Site {
    let journal = world.moving.get_or_insert_default();
    journal.1 = Arc::default();
    let journal = journal.clone();
    let after = journal.0.lock().expect("no test panics with it").copied;
    let bytes = world.photo(number);
    let (_trigger, shutdown) = shutdown_channel();
    let moving = site.moving(shutdown);
    let gate = journal.1.clone();
    let moved = async {
        let moved = moving.run(after, &journal).await;
        gate.begin.notify_one();
        moved
    };
    let uploaded = async {
        gate.begin.notified().await;
        let uploaded = upload(world, &site, user, PhotoName::Fresh, &bytes, true).await;
        gate.done.notify_one();
        uploaded
    };
    let both = async { tokio::join!(moved, uploaded) };
    let ran = run(&world.plan, false, both).await;
    if let Ran::Done((moved, uploaded)) = &ran {
        world.plan.step(format!("    {moved:?}"));
        if let Ok(uploaded) = uploaded {
            acknowledge(world, user, uploaded, number);
        }
        if moved.is_ok() {
            world.change_places();
            site.homes.swap(0, 1);
            site.movable.settle(site.homes[0].clone());
        }
    }
    rest(world, site, ran, dice).await
}

/// After a step: whatever goes on without anybody waiting comes to its end; a process that died is started again.
async fn rest<T>(world: &mut World, site: Site, ran: Ran<T>, dice: &mut Dice) -> Site {
    drop(ran);
    let mut turns = 0;
    while !site.life.is_over() && !site.metadata.is_closed() {
        world.plan.answer();
        // What was given up is queued with, or before, the next request.
        let settled = site.metadata.write("settle", |_| Ok::<_, MetadataError>(())).await;
        if settled.is_err() || site.metadata.copies_in_flight() == 0 && tasks() == 0 {
            break;
        }
        tokio::task::yield_now().await;
        turns += 1;
        assert!(turns < PATIENCE, "copies stay in flight");
    }
    if !site.life.is_over() && !site.metadata.is_closed() {
        return site;
    }
    let kept = dice.below(site_unsynced(world)) as usize;
    world.plan.disarm();
    forget_death(&world.plan).await;
    world.plan.step("starts again".to_owned());
    world.crash(site, kept).await
}

/// A death that nobody waited for is known by now.
async fn forget_death(plan: &Plan) {
    tokio::select! {
        biased;
        () = plan.died() => {}
        () = std::future::ready(()) => {}
    }
}

/// Nothing fails any more: all that was acknowledged is there, and nothing else is left.
async fn prove(world: &mut World, mut site: Site) {
    world.plan.step("nothing fails from now on".to_owned());
    world.plan.disarm();
    assert!(!site.metadata.is_closed());
    for wanted in &world.acknowledged {
        let bytes = read(world, &site, wanted).await.unwrap_or_else(|error| panic!("{wanted:?}: {error:?}"));
        assert!(bytes == photo(wanted.number), "{wanted:?} reads as something else");
    }
    // Every blob that metadata names can be read, acknowledged or not.
    let rows = site.metadata.read().list_blobs(None, 1_000).expect("it can be read").items;
    for row in &rows {
        let hash = row.key.hash;
        let blob = site.services.open_blob(hash).await.unwrap_or_else(|error| panic!("{hash} is named, and not there: {error:?}"));
        let length = usize::try_from(blob.size_bytes()).expect("small");
        assert_eq!(BlobHash::of(&blob.read_at(0, length).await.expect("it is there")), hash);
    }
    if world.imported {
        let named: BTreeSet<BlobHash> = rows.iter().map(|row| row.key.hash).collect();
        assert!(TREE.map(photo).all(|bytes| named.contains(&BlobHash::of(&bytes))), "a photo of an import that was done is gone");
    }
    if world.moving.is_some() {
        let mut dice = Dice(1);
        site = move_under_load(world, site, 0, 0, &mut dice).await;
        assert!(world.moving.is_none(), "a move comes to its end once nothing fails");
    }
    let doomed = |site: &Site| site.metadata.read().doomed(None, 1_000).expect("it can be read").items;
    site.metadata.write("settle", |_| Ok::<_, MetadataError>(())).await.expect("nothing fails");
    for _ in 0..20 {
        site.services.delete_doomed(site.claim, Graces::NONE, 1_000).await.expect("nothing fails");
    }
    assert_eq!(doomed(&site).len(), 0, "the delete queue drains");
    assert_eq!(site.metadata.copies_in_flight(), 0);
    come_to_rest(&world.plan).await;
    assert_eq!(world.stores[0].staged() + world.stores[1].staged(), 0, "something is left in staging");
    let pool = BlockingPool::new("metadata", 1);
    let report = check(&site.metadata, &*site.cold, &pool, true).await.expect("nothing fails");
    assert_eq!(report.problems, 0, "{report:?}");
    // What was in flight when the process died is nobody's: it may lie there, and hurts nobody.
    assert!(report.orphans == 0 || world.crashes > 0, "{report:?}");
    // The same is so after one more start.
    site = world.crash(site, 0).await;
    for wanted in &world.acknowledged {
        assert!(read(world, &site, wanted).await.expect("it is there") == photo(wanted.number));
    }
}
