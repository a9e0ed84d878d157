mod missing;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;

use bytes::Bytes;

use super::*;
use crate::model::BlobHash;
use crate::service::ServiceError;

/// A cache in a directory of its own.
struct Rig {
    folder: tempfile::TempDir,
    clock: Clock,
    disk: RenditionDisk,
}

impl Rig {
    async fn new(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(0);
        let disk = open(folder.path(), max_bytes, &clock).await.unwrap();
        Self { folder, clock, disk }
    }

    /// As after kill -9: nothing is closed; only the lock goes, as it does with a process.
    async fn reopened(self, max_bytes: u64) -> Self {
        let Self { folder, clock, disk } = self;
        disk.settle().await;
        listed(&disk).await;
        let gone = Arc::downgrade(&disk.0);
        drop(disk);
        while gone.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
        let disk = open(folder.path(), max_bytes, &clock).await.unwrap();
        Self { folder, clock, disk }
    }

    /// With so much patience; once nothing else has the cache any more.
    async fn with_patience(&mut self, patience: Duration) {
        while Arc::get_mut(&mut self.disk.0).map(|inner| inner.patience = patience).is_none() {
            tokio::task::yield_now().await;
        }
    }

    async fn put(&self, nth: u32, bytes: usize) {
        self.disk.keep(name(nth), picture(nth, bytes), self.disk.seen());
        self.disk.settle().await;
    }

    async fn has(&self, nth: u32) -> bool {
        match self.disk.get(name(nth)).await {
            Some((image, format)) => {
                assert_eq!(
                    (Bytes::from(image.clone()), format),
                    (picture(nth, image.len()).bytes, RenditionFormat::WebP),
                    "never wrong bytes"
                );
                true
            }
            None => false,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        files(self.folder.path())
    }
}

async fn open(folder: &Path, max_bytes: u64, clock: &Clock) -> std::io::Result<RenditionDisk> {
    RenditionDisk::open(folder, max_bytes, threads(), clock.clone()).await
}

fn threads() -> DiskThreads {
    DiskThreads { reading: BlockingPool::new("reading renditions", 2), writing: BlockingPool::new("renditions", 2) }
}

async fn listed(disk: &RenditionDisk) {
    while !disk.0.listed.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
}

/// Work on this pool that goes on until it is let go.
async fn works(pool: &BlockingPool, work: impl FnOnce(oneshot::Sender<()>, mpsc::Receiver<()>) + Send + 'static) -> mpsc::Sender<()> {
    let ((release, held), (begin, begun)) = (mpsc::channel(), oneshot::channel());
    let pool = pool.clone();
    runtime::spawn(async move {
        let _ = pool.run(move || work(begin, held)).await;
    });
    begun.await.unwrap();
    release
}

/// All entries.
fn files(folder: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder.join("v1")).unwrap().map(|folder| folder.unwrap().path());
    let inside = folders.filter(|path| path.is_dir() && !path.ends_with("staging")).flat_map(|path| fs::read_dir(path).unwrap());
    inside.map(|file| file.unwrap().path()).collect()
}

fn name(nth: u32) -> EntryName {
    EntryName::new(&blob(nth), &blake3::hash(b"recipe"))
}

fn blob(nth: u32) -> BlobHash {
    BlobHash::of(&nth.to_be_bytes())
}

fn picture(nth: u32, bytes: usize) -> Rendition {
    Rendition { bytes: vec![nth as u8; bytes].into(), format: RenditionFormat::WebP }
}

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_and_what_a_kill_left_is_not() {
    let rig = Rig::new(MIB).await;
    assert!(!rig.has(1).await);
    rig.put(1, 10_000).await;
    rig.put(2, 0).await;
    assert!(rig.has(1).await && rig.has(2).await && !rig.has(3).await);
    let staging = rig.folder.path().join("v1/staging");
    fs::write(staging.join("17"), b"half of it").unwrap();
    let torn = rig.files().into_iter().find(|path| path.ends_with(name(2).to_string())).unwrap();
    fs::write(torn, b"").unwrap();
    let rig = rig.reopened(MIB).await;
    assert!(rig.has(1).await, "before all of it was counted, or after");
    assert!(!rig.has(2).await);
    listed(&rig.disk).await;
    assert!(rig.has(1).await);
    assert_eq!((fs::read_dir(staging).unwrap().count(), rig.files().len()), (0, 1));
    assert_eq!((rig.disk.counted().damaged, rig.disk.counted().failed), (1, 0));
}

#[tokio::test]
async fn a_damaged_entry_is_dropped_and_never_served() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 300).await;
    let [path] = &rig.files()[..] else { panic!("one file") };
    let whole = fs::read(path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(path, &flipped).unwrap();
        assert!(!rig.has(1).await, "byte {at}");
        assert!(!path.exists());
        rig.put(1, 300).await;
        assert!(rig.has(1).await);
    }
    assert_eq!(rig.disk.counted().damaged, whole.len() as u64);
}

#[tokio::test]
async fn it_keeps_its_bound_and_what_is_asked_for_again() {
    let max_bytes = 64 * (8 << 10);
    let rig = Rig::new(max_bytes).await;
    listed(&rig.disk).await;
    for nth in 0..8 {
        rig.put(nth, 4_000).await;
    }
    // A crawler asks for ten times as much as there is room for, each once, and meanwhile others look at their photos.
    for nth in 100..740 {
        for loved in 0..8 {
            assert!(rig.has(loved).await, "{loved} after {nth}");
        }
        assert!(!rig.has(nth).await);
        rig.put(nth, 4_000).await;
        let bytes: u64 = rig.files().iter().map(|path| blocks(path.metadata().unwrap().len())).sum();
        assert!(bytes <= max_bytes, "{bytes} at {nth}");
    }
    // And with a smaller one after a restart.
    let rig = rig.reopened(max_bytes / 4).await;
    listed(&rig.disk).await;
    assert!(rig.files().len() <= 16, "{}", rig.files().len());
    assert!(rig.disk.counted().bytes <= max_bytes / 4);
}

#[tokio::test]
async fn what_is_forgotten_leaves_the_disk_and_does_not_come_back() {
    let rig = Rig::new(MIB).await;
    let other = EntryName::new(&blob(1), &blake3::hash(b"another recipe"));
    rig.put(1, 100).await;
    rig.put(2, 100).await;
    rig.disk.keep(other, picture(1, 50), rig.disk.seen());
    rig.disk.settle().await;
    assert_eq!(rig.files().len(), 3);
    let begun = rig.disk.seen();
    rig.disk.forget(blob(1).prefix()).await.unwrap();
    assert_eq!(rig.files().len(), 1);
    assert!(!rig.has(1).await && rig.has(2).await);
    // A render that began before.
    rig.disk.keep(other, picture(1, 50), begun);
    rig.disk.settle().await;
    assert_eq!(rig.files().len(), 1);
    assert!(rig.disk.get(other).await.is_none());
    rig.disk.forget(blob(3).prefix()).await.unwrap();
}

#[tokio::test]
async fn what_somebody_looked_for_before_it_was_written_is_counted() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    let pool = rig.disk.0.threads.writing.clone();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    // Both threads are busy.
    let mut busy: Vec<_> = (0..2)
        .map(|_| {
            let held = held.clone();
            Box::pin(pool.run(move || held.lock().unwrap().recv().is_ok()))
        })
        .collect();
    for work in &mut busy {
        assert!(futures_util::poll!(work).is_pending());
    }
    let seen = rig.disk.seen();
    let mut writing = Box::pin(rig.disk.write(name(1), picture(1, 100), seen));
    assert!(futures_util::poll!(&mut writing).is_pending());
    let mut looking = Box::pin(rig.disk.get(name(1)));
    rig.disk.0.index.invalidate(&name(1)).await;
    assert!(futures_util::poll!(&mut looking).is_ready(), "it is not there yet");
    drop(release);
    writing.await;
    assert!(rig.has(1).await);
    rig.disk.0.index.run_pending_tasks().await;
    assert_eq!((rig.disk.counted().entries, rig.files().len()), (1, 1));
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_and_one_with_other_things_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(0);
    fs::write(folder.path().join("file"), b"").unwrap();
    assert!(open(&folder.path().join("file"), MIB, &clock).await.is_err());
    let strange = folder.path().join("v1/abc");
    fs::create_dir_all(&strange).unwrap();
    fs::write(strange.join("notes.txt"), b"not ours").unwrap();
    fs::write(folder.path().join("v1/staging"), b"not a folder").unwrap();
    assert!(open(folder.path(), MIB, &clock).await.is_err());
    fs::remove_file(folder.path().join("v1/staging")).unwrap();
    let disk = open(folder.path(), MIB, &clock).await.unwrap();
    let second = open(folder.path(), MIB, &clock).await.unwrap_err();
    assert!(second.to_string().contains("another server"), "{second}");
    listed(&disk).await;
    assert_eq!(disk.counted().entries, 0);
    assert!(strange.join("notes.txt").exists());
}

#[tokio::test]
async fn an_emptied_directory_is_used_again_and_a_broken_one_left_alone_for_a_minute() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    let root = rig.folder.path().join("v1");
    fs::remove_dir_all(&root).unwrap();
    assert!(!rig.has(1).await);
    fs::create_dir(&root).unwrap();
    rig.put(1, 100).await;
    assert!(rig.has(1).await, "made anew where it is missing");

    // No folder can be made there, even by root.
    fs::remove_dir_all(root.join("staging")).unwrap();
    fs::write(root.join("staging"), b"").unwrap();
    rig.put(2, 100).await;
    assert!(!rig.has(2).await && rig.has(1).await, "reading goes on");
    assert_eq!(rig.disk.counted().failed, 1);
    fs::remove_file(root.join("staging")).unwrap();
    rig.put(2, 100).await;
    assert!(!rig.has(2).await, "not yet");
    rig.clock.advance(Duration::from_secs(60));
    rig.put(2, 100).await;
    assert!(rig.has(2).await);

    // A folder in a file's place cannot be read.
    let path = rig.files().into_iter().find(|path| path.ends_with(name(1).to_string())).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!rig.has(1).await && !rig.has(2).await);
    assert_eq!(rig.disk.counted().failed, 2);
    rig.clock.advance(Duration::from_secs(60));
    assert!(rig.has(2).await);
}

#[tokio::test]
async fn what_is_forgotten_leaves_a_cache_that_is_not_used() {
    let rig = Rig::new(MIB).await;
    rig.put(1, 100).await;
    rig.put(2, 100).await;
    // Another has it open, or none is wanted.
    let closed = RenditionDisk::closed(rig.folder.path(), threads(), rig.clock.clone());
    assert!(closed.get(name(1)).await.is_none() && !closed.knows(&name(1)) && closed.figures().is_none());
    closed.keep(name(3), picture(3, 100), closed.seen());
    closed.settle().await;
    assert_eq!(rig.files().len(), 2, "nothing is kept");
    let (mut blobs, unread) = closed.blobs(None).await;
    blobs.sort_unstable();
    let mut both = [blob(1).prefix(), blob(2).prefix()];
    both.sort_unstable();
    assert_eq!((blobs, unread), (both.to_vec(), None));
    closed.forget(blob(1).prefix()).await.unwrap();
    closed.forget(blob(1).prefix()).await.unwrap();
    assert_eq!(rig.files().len(), 1);
    assert!(!rig.has(1).await && rig.has(2).await);
    // One that was never made, and one that cannot be.
    let empty = tempfile::tempdir().unwrap();
    RenditionDisk::closed(empty.path(), threads(), rig.clock.clone()).forget(blob(1).prefix()).await.unwrap();
    fs::write(empty.path().join("v1"), b"").unwrap();
    RenditionDisk::closed(empty.path(), threads(), rig.clock.clone()).forget(blob(1).prefix()).await.unwrap();
    // What cannot be removed is said.
    let folder = blob(2).to_string()[..3].to_owned();
    let place = rig.folder.path().join("v1").join(folder);
    fs::remove_dir_all(&place).unwrap();
    std::os::unix::fs::symlink(&place, &place).unwrap();
    assert!(matches!(closed.forget(blob(2).prefix()).await, Err(ServiceError::Unavailable(_))), "it leads nowhere but to itself");
}

#[tokio::test]
async fn what_cannot_be_counted_does_not_end_the_counting() {
    let rig = Rig::new(MIB).await;
    for nth in 0..8 {
        rig.put(nth, 100).await;
    }
    let root = rig.folder.path().join("v1");
    // A file in a folder's place, a folder in a file's, a file that is a link to nothing, and a folder that leads to itself.
    fs::write(root.join("000"), b"").unwrap();
    let of_name = |nth: u32| root.join(&name(nth).to_string()[..3]).join(name(nth).to_string());
    fs::remove_file(of_name(0)).unwrap();
    fs::create_dir(of_name(0)).unwrap();
    fs::remove_file(of_name(1)).unwrap();
    std::os::unix::fs::symlink("nowhere", of_name(1)).unwrap();
    std::os::unix::fs::symlink(root.join("fff"), root.join("fff")).unwrap();
    let rig = rig.reopened(MIB).await;
    listed(&rig.disk).await;
    rig.disk.0.index.run_pending_tasks().await;
    assert_eq!((rig.disk.counted().entries, rig.disk.counted().failed), (6, 1));
    for nth in 2..8 {
        assert!(rig.has(nth).await, "{nth}");
    }
}

#[tokio::test]
async fn reads_that_wait_for_others_are_misses_and_switch_nothing_off() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    let places = rig.disk.0.reads.clone().acquire_many_owned(READS as u32).await.unwrap();
    assert!(!rig.has(1).await, "no place");
    drop(places);
    assert!(rig.has(1).await, "and it was not struck off");
    assert_eq!((rig.disk.counted().failed, rig.disk.counted().misses), (0, 1));
}

#[tokio::test]
async fn a_render_of_another_blob_is_kept_whatever_is_forgotten_meanwhile() {
    let rig = Rig::new(MIB).await;
    let begun = rig.disk.seen();
    rig.disk.forget(blob(1).prefix()).await.unwrap();
    rig.disk.keep(name(2), picture(2, 100), begun);
    rig.disk.keep(name(1), picture(1, 100), begun);
    rig.disk.settle().await;
    assert!(rig.has(2).await && !rig.has(1).await);
}

/// Where nothing answers, as good as for ever.
const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_disk_that_hangs_holds_up_no_forgetting_and_is_asked_again() {
    let mut rig = Rig::new(MIB).await;
    rig.put(1, 100).await;
    rig.put(2, 100).await;
    rig.with_patience(MOMENT).await;
    let pool = rig.disk.0.threads.writing.clone();
    let hangs = |begin: oneshot::Sender<()>, held: mpsc::Receiver<()>| {
        begin.send(()).unwrap();
        let _ = held.recv();
    };
    let hung = [works(&pool, hangs).await, works(&pool, hangs).await];
    let away = |forgotten| matches!(forgotten, Err(ServiceError::Unavailable(_)));
    assert!(away(rig.disk.forget(blob(1).prefix()).await));
    assert_eq!((pool.load().waiting, rig.disk.counted().failed), (0, 1), "who gave up has left the queue");
    assert!(away(rig.disk.forget(blob(2).prefix()).await));
    assert_eq!(rig.disk.counted().failed, 1, "it was not asked");
    drop(hung);
    rig.with_patience(forget::PATIENCE).await;
    assert!(away(rig.disk.forget(blob(1).prefix()).await), "not yet");
    rig.clock.advance(Duration::from_secs(60));
    rig.disk.forget(blob(1).prefix()).await.unwrap();
    assert!(!rig.has(1).await && rig.has(2).await);
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn a_forgetting_that_comes_late_goes_to_its_end() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    rig.put(2, 100).await;
    // As who lands a file on a disk that hangs.
    let inner = Arc::downgrade(&rig.disk.0);
    let landing = works(&rig.disk.0.threads.reading.clone(), move |begin, held| {
        let inner = inner.upgrade().unwrap();
        inner.forgettings.unless_since(inner.forgettings.seen(), blob(9).prefix(), || {
            begin.send(()).unwrap();
            held.recv()
        });
    })
    .await;
    // Who asks waits until it is its turn, a task goes on from there, and then nobody waits any more.
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut forgetting = Box::pin(rig.disk.forget(blob(1).prefix()));
    while tasks() == before {
        assert!(futures_util::poll!(&mut forgetting).is_pending());
        tokio::task::yield_now().await;
    }
    drop(forgetting);
    assert_eq!(rig.files().len(), 2);
    drop(landing);
    while rig.disk.knows(&name(1)) {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.files().len(), 1);
    assert!(!rig.has(1).await && rig.has(2).await);
    // And so again, as it will be asked, which finds nothing.
    rig.disk.forget(blob(1).prefix()).await.unwrap();
    rig.put(1, 100).await;
    assert!(rig.has(1).await, "owned anew");
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_empty() {
    let rig = Rig::new(MIB).await;
    listed(&rig.disk).await;
    rig.put(1, 100).await;
    rig.put(2, 100).await;
    // A folder that leads to itself, then all of them.
    let root = rig.folder.path().join("v1");
    let (folder, aside) = (root.join(&name(1).to_string()[..3]), rig.folder.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    std::os::unix::fs::symlink(&folder, &folder).unwrap();
    let (blobs, unread) = rig.disk.blobs(None).await;
    assert_eq!((blobs, rig.disk.counted().failed), (vec![blob(2).prefix()], 1));
    let (blobs, still) = rig.disk.blobs(unread.clone()).await;
    assert_eq!((blobs, &still), (vec![], &unread), "that alone is looked at again");
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    assert_eq!(rig.disk.blobs(still).await, (vec![blob(1).prefix()], None));

    fs::rename(&root, &aside).unwrap();
    std::os::unix::fs::symlink(&root, &root).unwrap();
    let (blobs, unread) = rig.disk.blobs(None).await;
    assert_eq!((blobs.len(), &unread), (0, &Some(Unread(None))));
    fs::remove_file(&root).unwrap();
    fs::rename(&aside, &root).unwrap();
    let (blobs, unread) = rig.disk.blobs(unread).await;
    assert_eq!((blobs.len(), unread), (2, None));
}

#[tokio::test]
async fn where_all_that_was_begun_is_forgotten_what_lies_there_stays() {
    let rig = Rig::new(MIB).await;
    rig.put(1, 100).await;
    let begun = rig.disk.seen();
    rig.disk.forget_begun().await.unwrap();
    rig.disk.keep(name(2), picture(2, 100), begun);
    rig.put(3, 100).await;
    assert!(rig.has(1).await && !rig.has(2).await && rig.has(3).await);
}
