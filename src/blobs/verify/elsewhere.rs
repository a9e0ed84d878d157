//! What a copy is read from where its own place does not give it, or gives wrong bytes: the next place, checked as well.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::group::{GroupRead, Groups};
use super::{PassRead, VerifyStore};
use crate::blobs::{BlobError, BlobRead, BlobSource, BlobStore, Damage, DamageObserver, FileVersion};
use crate::model::{BlobHash, BlobKey};

/// Places to go on to, and who is told why.
#[derive(Debug, Clone)]
struct Others {
    sources: Vec<Arc<dyn BlobSource>>,
    observer: Option<Arc<dyn DamageObserver>>,
}

/// What a copy was opened for.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Whole,
    /// A part of it, whose groups are checked, where there is a tree.
    Part(Option<Groups>),
}

impl<S: BlobStore> VerifyStore<S> {
    /// Has `observer` told of copies that turn out bad.
    pub fn reporting_to(self, observer: Arc<dyn DamageObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Opens the blob of this copy from elsewhere, checked, where the copy itself could not be had for `why`.
    ///
    /// # Errors
    /// `why` where no other place has it, or waiting is all that helps; what hinders where `why` is damage and another place may have it.
    pub async fn open_elsewhere(&self, key: &BlobKey, why: BlobError) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.others().open(key, why, &Asked::Whole).await
    }

    pub(super) fn note(&self, key: &BlobKey, error: &BlobError) {
        self.others_told().note(key, error);
    }

    /// The same copy, which is read from elsewhere from where it turns out bad.
    pub(super) fn or_elsewhere(&self, key: &BlobKey, read: Arc<dyn BlobRead>, asked: Asked) -> Arc<dyn BlobRead> {
        let others = self.others();
        if others.sources.is_empty() {
            return read;
        }
        Arc::new(EitherRead { key: *key, read, asked, others, has_given: AtomicBool::new(false), other: OnceCell::new() })
    }

    fn others(&self) -> Others {
        Others { sources: self.inner.elsewhere(), ..self.others_told() }
    }

    fn others_told(&self) -> Others {
        Others { sources: vec![], observer: self.observer.clone() }
    }
}

impl Others {
    fn note(&self, key: &BlobKey, error: &BlobError) {
        if let Some(observer) = self.observer.as_ref().filter(|_| error.is_damage()) {
            observer.is_bad(key, error);
        }
    }

    async fn open(&self, key: &BlobKey, why: BlobError, asked: &Asked) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.note(key, &why);
        if !why.may_be_had_elsewhere() {
            return Err(why);
        }
        let mut withheld = None;
        for source in &self.sources {
            match fetch(&**source, key, asked).await {
                Ok(read) => {
                    tracing::debug!(%key, %why, from = source.name(), "a blob is read from elsewhere");
                    return Ok(read);
                }
                Err(error) => {
                    tracing::debug!(%key, %error, from = source.name(), "a blob cannot be read from elsewhere either");
                    if !error.is_damage() {
                        withheld = withheld.or(Some(error));
                    }
                }
            }
        }
        // A place that cannot say may have it: nobody is told that it is lost.
        Err(withheld.filter(|_| why.is_damage()).unwrap_or(why))
    }
}

/// Read whole and found good; one that comes in passes is checked in the pass that gives it out, or by its tree.
async fn fetch(source: &dyn BlobSource, key: &BlobKey, asked: &Asked) -> Result<Arc<dyn BlobRead>, BlobError> {
    let read = source.fetch(key).await?;
    if read.is_sequential() {
        return Ok(match asked {
            Asked::Part(Some(groups)) if read.is_seekable() && read.size_bytes() == groups.tree.size_bytes() => {
                Arc::new(GroupRead::new(*key, read, groups.clone()))
            }
            Asked::Part(_) | Asked::Whole => Arc::new(PassRead::new(*key, read)),
        });
    }
    let found = read.content_hash().await?;
    if found == key.hash { Ok(read) } else { Err(BlobError::Damaged { key: *key, damage: Damage::Content { found } }) }
}

/// An open copy, or, from where that turned out bad, another one of the same bytes.
#[derive(Debug)]
struct EitherRead {
    key: BlobKey,
    read: Arc<dyn BlobRead>,
    asked: Asked,
    others: Others,
    /// Bytes of the copy were given out.
    has_given: AtomicBool,
    other: OnceCell<Arc<dyn BlobRead>>,
}

impl EitherRead {
    fn current(&self) -> &Arc<dyn BlobRead> {
        self.other.get().unwrap_or(&self.read)
    }

    /// Goes on to another place for `why`.
    async fn go_on(&self, why: BlobError) -> Result<&Arc<dyn BlobRead>, BlobError> {
        // What a pass has given out was not checked yet: the rest of a good copy would not make it good.
        if self.read.is_sequential() && self.has_given.load(Ordering::Relaxed) {
            self.others.note(&self.key, &why);
            return Err(why);
        }
        let other = async {
            let other = self.others.open(&self.key, why.clone(), &self.asked).await?;
            // Whoever reads was told a length.
            if other.size_bytes() != self.read.size_bytes() {
                return Err(why);
            }
            // Whoever reads a part takes what is given out for checked: it does not wait for the end of a pass.
            let is_taken_for_checked = matches!(self.asked, Asked::Part(_)) && !self.read.is_sequential();
            if let Some(last) = other.size_bytes().checked_sub(1).filter(|_| is_taken_for_checked && other.is_sequential()) {
                other.read_at(last, 1).await?;
            }
            Ok(other)
        };
        self.other.get_or_try_init(|| other).await
    }
}

#[async_trait]
impl BlobRead for EitherRead {
    fn size_bytes(&self) -> u64 {
        self.current().size_bytes()
    }

    fn version(&self) -> Option<FileVersion> {
        self.current().version()
    }

    fn is_unchanged(&self) -> bool {
        self.current().is_unchanged()
    }

    fn is_sequential(&self) -> bool {
        self.current().is_sequential()
    }

    fn is_seekable(&self) -> bool {
        self.current().is_seekable()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        if let Some(other) = self.other.get() {
            return other.read_at(offset, length).await;
        }
        match self.read.read_at(offset, length).await {
            Ok(bytes) => {
                self.has_given.fetch_or(!bytes.is_empty(), Ordering::Relaxed);
                Ok(bytes)
            }
            Err(why) => self.go_on(why).await?.read_at(offset, length).await,
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.current().as_fd()
    }

    async fn warm(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        match self.current().warm(offset, length).await {
            Err(why) if self.other.get().is_none() => self.go_on(why).await?.warm(offset, length).await,
            done => done,
        }
    }

    async fn content_hash(&self) -> Result<BlobHash, BlobError> {
        self.current().content_hash().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::blobs::contract::{bytes, get, put};
    use crate::blobs::{LegSource, MemoryStore, Needs, Operation, PairStore, VerifySettings};
    use crate::runtime::Clock;

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<BlobKey>>);

    impl DamageObserver for Told {
        fn is_bad(&self, key: &BlobKey, _error: &BlobError) {
            self.0.lock().unwrap().push(*key);
        }
    }

    fn mirrored() -> (MemoryStore, MemoryStore, VerifyStore<PairStore>, Arc<Told>) {
        let (first, second, told) = (MemoryStore::new(), MemoryStore::new(), Arc::<Told>::default());
        let pair = PairStore::new(Arc::new(first.clone()), Arc::new(second.clone()), Needs::Both, Arc::default());
        let store = VerifyStore::new(pair, Clock::manual(0), VerifySettings::default()).reporting_to(told.clone());
        (first, second, store, told)
    }

    #[tokio::test]
    async fn what_is_bad_in_one_place_is_read_from_the_next_and_told() {
        let content = bytes(1, 100_000);
        for harm in [MemoryStore::corrupt, MemoryStore::truncate, MemoryStore::lose] {
            let (first, second, store, told) = mirrored();
            let key = put(&store, &content, 1).await.unwrap();
            assert!(harm(&first, &key));
            for _ in 0..2 {
                assert_eq!(get(&store, &key).await.unwrap(), content);
                assert_eq!(std::mem::take(&mut *told.0.lock().unwrap()), [key], "each time, since nothing has repaired it");
            }
            assert!(store.verify(&key).await.is_err(), "of its own place that is no word");
            assert!(store.verify_lately(&key).await.is_err());
            assert!(harm(&second, &key));
            assert!(get(&store, &key).await.unwrap_err().is_damage(), "wrong bytes are never given out");
        }
    }

    #[tokio::test]
    async fn a_place_that_is_away_is_no_damage() {
        let content = bytes(1, 100_000);
        let (first, second, store, told) = mirrored();
        let key = put(&store, &content, 1).await.unwrap();
        first.faults().fail_always(Operation::Open, BlobError::Away);
        assert_eq!(get(&store, &key).await.unwrap(), content);
        second.corrupt(&key);
        assert!(matches!(get(&store, &key).await, Err(BlobError::Away)), "the first one may have it");
        assert!(told.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_bad_here_may_be_good_in_a_place_that_is_away() {
        let content = bytes(1, 100_000);
        let (first, second, store, told) = mirrored();
        let key = put(&store, &content, 1).await.unwrap();
        first.corrupt(&key);
        second.faults().fail_always(Operation::Open, BlobError::Away);
        assert!(matches!(get(&store, &key).await, Err(BlobError::Away)));
        assert_eq!(*told.0.lock().unwrap(), [key], "it has to be repaired all the same");
    }

    #[tokio::test]
    async fn a_copy_that_goes_bad_while_it_is_read_is_read_on_from_elsewhere() {
        let content = bytes(1, 100_000);
        let (first, _second, store, told) = mirrored();
        let key = put(&store, &content, 1).await.unwrap();
        let read = store.open(&key).await.unwrap();
        assert_eq!(read.read_at(0, 50_000).await.unwrap(), content[..50_000]);
        let unreadable = Damage::Unreadable(Arc::new(std::io::ErrorKind::Other.into()));
        first.faults().fail_always(Operation::Read, BlobError::Damaged { key, damage: unreadable });
        assert_eq!(read.read_at(50_000, 50_000).await.unwrap(), content[50_000..]);
        assert_eq!(*told.0.lock().unwrap(), [key]);
    }

    /// Bytes that come in passes.
    #[derive(Debug)]
    struct Passes(Bytes);

    #[async_trait]
    impl BlobRead for Passes {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn is_sequential(&self) -> bool {
            true
        }

        async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
            Ok(self.0.slice(offset as usize..offset as usize + length))
        }
    }

    #[tokio::test]
    async fn what_a_pass_has_given_out_is_not_mixed_with_what_another_place_has() {
        for (size, is_small) in [(50_000, true), (500_000, false)] {
            let content = bytes(1, size);
            let good = MemoryStore::new();
            let key = put(&good, &content, 1).await.unwrap();
            let mut wrong = content.to_vec();
            wrong[10] ^= 1;
            let told = Arc::<Told>::default();
            let others = Others { sources: vec![Arc::new(LegSource::new("other", Arc::new(good)))], observer: Some(told.clone()) };
            let read = Arc::new(PassRead::new(key, Arc::new(Passes(wrong.into()))));
            let read = EitherRead { key, read, asked: Asked::Whole, others, has_given: AtomicBool::new(false), other: OnceCell::new() };
            let half = size / 2;
            let first = read.read_at(0, half).await.unwrap();
            let rest = read.read_at(half as u64, size - half).await;
            if is_small {
                assert_eq!((first, rest.unwrap()), (content.slice(..half), content.slice(half..)), "it was checked before its first byte");
            } else {
                assert!(first != content[..half] && rest.unwrap_err().is_damage(), "it breaks off");
            }
            assert_eq!(*told.0.lock().unwrap(), [key]);
        }
    }
}
