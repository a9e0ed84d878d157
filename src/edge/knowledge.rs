//! What an edge remembers of its site, and for how long it holds.
//!
//! An answer holds while it belongs to the present session, nothing of it was revoked since, and the site was heard of lately. A session begins
//! whenever the edge cannot know what it has missed: then nothing of before holds.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::api::EdgeBlob;
use crate::model::{BlobHash, TenantId};
use crate::runtime::Clock;
use crate::service::{Forgotten, ServiceError, TenantUrls};

/// How long an answer is taken for true though the site is heard of all the time: what ends it earlier is the feed.
const ASK_AGAIN: Duration = Duration::from_secs(3_600);
/// How long a no is: nothing tells when it ends, so an upload may be overlooked for so long.
const NO_HOLDS: Duration = Duration::from_secs(3);
/// Noes that are remembered at most.
const NOES: u64 = 10_000;

/// What is known. All times are monotonic.
#[derive(Debug)]
pub(super) struct Knowledge {
    clock: Clock,
    /// How long it holds after the site was heard of last.
    remember: Duration,
    state: RwLock<State>,
    /// Which tenant has which blob.
    owned: moka::sync::Cache<(TenantId, BlobHash), Answer>,
    /// What follows from a blob's bytes, and that somebody has it; of whom it is known, one tenant.
    blobs: moka::sync::Cache<BlobHash, (EdgeBlob, Answer, Option<TenantId>)>,
    /// What a tenant, or nobody at all, has not: a page with dead links asks again and again.
    missing: moka::sync::Cache<(Option<TenantId>, BlobHash), Answer>,
}

#[derive(Debug, Default)]
struct State {
    session: u64,
    /// An answer that was asked for before it was revoked is not remembered.
    revoked: Forgotten<(TenantId, BlobHash)>,
    heard: Option<Duration>,
    tenants: Vec<TenantUrls>,
}

/// That a tenant has a blob, or anybody.
#[derive(Debug, Clone, Copy)]
struct Answer {
    session: u64,
    asked: Duration,
}

/// Where knowledge stood before something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    session: u64,
    revocations: u64,
    at: Duration,
}

impl Asked {
    /// The session in which it was asked.
    pub(super) fn session(&self) -> u64 {
        self.session
    }
}

impl State {
    /// Whether this was revoked after so many revocations, or may have been; of any tenant where none is named.
    fn was_revoked_since(&self, revocations: u64, tenant: Option<TenantId>, hash: BlobHash) -> bool {
        self.revoked.is_since(revocations, |revoked| revoked.1 == hash && tenant.is_none_or(|tenant| tenant == revoked.0))
    }
}

impl Knowledge {
    /// Nothing. Remembers so many answers at most.
    pub(super) fn new(clock: Clock, remember: Duration, answers: u64) -> Self {
        let owned = moka::sync::Cache::builder().max_capacity(answers).time_to_live(ASK_AGAIN).build();
        let blobs = moka::sync::Cache::builder().max_capacity(answers).time_to_live(ASK_AGAIN).build();
        let missing = moka::sync::Cache::builder().max_capacity(NOES.min(answers)).time_to_live(NO_HOLDS).build();
        Self { clock, remember, state: RwLock::default(), owned, blobs, missing }
    }

    /// To be taken before anything is asked of the site.
    pub(super) fn asking(&self) -> Asked {
        let state = self.read();
        Asked { session: state.session, revocations: state.revoked.count(), at: self.clock.monotonic() }
    }

    /// The present session.
    pub(super) fn session(&self) -> u64 {
        self.read().session
    }

    /// A new session has begun, with what the site said of its tenants; it was heard of at that time.
    pub(super) fn begin(&self, tenants: Vec<TenantUrls>, heard: Duration) {
        let mut state = self.write();
        state.session += 1;
        state.heard = Some(heard);
        state.tenants = tenants;
    }

    /// The site said at that time, or since, that it has told everything.
    pub(super) fn heard(&self, at: Duration) {
        let mut state = self.write();
        state.heard = state.heard.max(Some(at));
    }

    /// The site's tenants are these now.
    pub(super) fn set_tenants(&self, tenants: Vec<TenantUrls>) {
        self.write().tenants = tenants;
    }

    /// Whether what is known holds.
    ///
    /// # Errors
    /// `Unavailable` where the site was not heard of lately.
    pub(super) fn require(&self) -> Result<(), ServiceError> {
        self.holds(&self.read())
    }

    /// The tenants, where what is known of them holds.
    ///
    /// # Errors
    /// `Unavailable` where the site was not heard of lately.
    pub(super) fn tenants(&self) -> Result<Vec<TenantUrls>, ServiceError> {
        let state = self.read();
        self.holds(&state)?;
        Ok(state.tenants.clone())
    }

    /// Whether it is known that a tenant has a blob.
    ///
    /// # Errors
    /// `Unavailable` where the site was not heard of lately: then nothing is known, nor worth asking.
    pub(super) fn owns(&self, tenant: TenantId, hash: BlobHash) -> Result<bool, ServiceError> {
        let session = {
            let state = self.read();
            self.holds(&state)?;
            state.session
        };
        Ok(self.owned.get(&(tenant, hash)).is_some_and(|answer| self.is_good(&answer, session)))
    }

    /// What is known of a blob that somebody has; also where no site was heard of lately, for what was begun goes on.
    pub(super) fn blob(&self, hash: BlobHash) -> Option<EdgeBlob> {
        let session = self.session();
        let (blob, answer, _) = self.blobs.get(&hash)?;
        self.is_good(&answer, session).then_some(blob)
    }

    /// A tenant that had a blob when the site was asked of it last, where it was asked with one.
    pub(super) fn tenant_of(&self, hash: BlobHash) -> Option<TenantId> {
        self.blobs.get(&hash)?.2
    }

    /// Remembers what the site answered to something asked. Not where it was revoked meanwhile, or may have been: then it answers `false`, and
    /// what was answered is no answer any more.
    pub(super) fn learn(&self, asked: Asked, tenant: Option<TenantId>, hash: BlobHash, blob: EdgeBlob) -> bool {
        // Held over the insertion: a revocation comes before, and is seen, or after, and removes it.
        let state = self.read();
        let holds = state.session == asked.session && !state.was_revoked_since(asked.revocations, tenant, hash);
        if holds {
            let answer = Answer { session: asked.session, asked: asked.at };
            let known = tenant.or_else(|| self.tenant_of(hash));
            self.blobs.insert(hash, (blob, answer, known));
            if let Some(tenant) = tenant {
                self.owned.insert((tenant, hash), answer);
            }
        }
        holds
    }

    /// Remembers that the site said of something asked that a tenant, or anybody, has it not.
    pub(super) fn learn_missing(&self, asked: Asked, tenant: Option<TenantId>, hash: BlobHash) {
        self.missing.insert((tenant, hash), Answer { session: asked.session, asked: asked.at });
    }

    /// Whether the site said a moment ago that a tenant, or anybody, has a blob not.
    pub(super) fn is_missing(&self, tenant: Option<TenantId>, hash: BlobHash) -> bool {
        let session = self.session();
        let said = self.missing.get(&(tenant, hash));
        said.is_some_and(|said| said.session == session && self.clock.monotonic().saturating_sub(said.asked) < NO_HOLDS)
    }

    /// Forgets that a tenant has a blob. What is made of it from here on has the site asked whether anybody has it.
    pub(super) fn revoke(&self, tenant: TenantId, hash: BlobHash) {
        self.write().revoked.add((tenant, hash));
        self.owned.invalidate(&(tenant, hash));
        self.forget(hash);
    }

    /// Nothing holds any more, until a site is heard of again; and nothing of before then either.
    pub(super) fn close(&self) {
        let mut state = self.write();
        if state.heard.take().is_some() {
            // What the site is still asked now is dropped: it would open what it was to close.
            state.session += 1;
        }
    }

    /// Forgets what was said of a blob.
    pub(super) fn forget(&self, hash: BlobHash) {
        self.blobs.invalidate(&hash);
    }

    /// How long ago the site was heard of; `None`: never.
    pub(super) fn silence(&self) -> Option<Duration> {
        Some(self.clock.monotonic().saturating_sub(self.read().heard?))
    }

    /// How many answers are remembered, about.
    pub(super) fn answers(&self) -> u64 {
        self.owned.entry_count()
    }

    fn is_good(&self, answer: &Answer, session: u64) -> bool {
        answer.session == session && self.clock.monotonic().saturating_sub(answer.asked) < ASK_AGAIN
    }

    fn holds(&self, state: &State) -> Result<(), ServiceError> {
        match state.heard {
            Some(heard) if self.clock.monotonic().saturating_sub(heard) < self.remember => Ok(()),
            _ => Err(ServiceError::Unavailable("site")),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMEMBER: Duration = Duration::from_secs(600);
    const BLOB: EdgeBlob = EdgeBlob { width: 3, height: 2, size_bytes: 1 };

    fn known() -> (Clock, Knowledge, BlobHash) {
        let clock = Clock::manual(1_000);
        let knowledge = Knowledge::new(clock.clone(), REMEMBER, 100);
        knowledge.begin(vec![], clock.monotonic());
        (clock, knowledge, BlobHash::of(b"photo"))
    }

    fn owns(knowledge: &Knowledge, hash: BlobHash) -> Option<bool> {
        knowledge.owns(TenantId::DEFAULT, hash).ok()
    }

    #[test]
    fn nothing_is_known_before_the_site_was_heard_of() {
        let knowledge = Knowledge::new(Clock::manual(0), REMEMBER, 100);
        assert_eq!(knowledge.tenants(), Err(ServiceError::Unavailable("site")));
        knowledge.learn(knowledge.asking(), Some(TenantId::DEFAULT), BlobHash::of(b"x"), BLOB);
        assert_eq!(owns(&knowledge, BlobHash::of(b"x")), None);
        assert_eq!(knowledge.silence(), None);
    }

    #[test]
    fn it_holds_for_its_time_after_the_site_was_heard_of_last() {
        let (clock, knowledge, hash) = known();
        knowledge.learn(knowledge.asking(), Some(TenantId::DEFAULT), hash, BLOB);
        clock.advance(REMEMBER - Duration::from_millis(1));
        assert_eq!(owns(&knowledge, hash), Some(true));
        knowledge.heard(clock.monotonic());
        // An answer that comes late does not take back what came since.
        knowledge.heard(Duration::ZERO);
        clock.advance(REMEMBER - Duration::from_millis(1));
        assert_eq!(owns(&knowledge, hash), Some(true));
        clock.advance(Duration::from_millis(1));
        assert_eq!(owns(&knowledge, hash), None, "closed");
        assert_eq!(knowledge.blob(hash), Some(BLOB), "what was begun goes on");
        knowledge.heard(clock.monotonic());
        assert_eq!(owns(&knowledge, hash), Some(true), "the same session goes on: nothing was revoked");
        for _ in 0..9 {
            clock.advance(REMEMBER / 2);
            knowledge.heard(clock.monotonic());
        }
        assert_eq!((owns(&knowledge, hash), knowledge.blob(hash)), (Some(false), None), "but is asked again in the end");
    }

    #[test]
    fn what_is_revoked_is_forgotten_also_where_its_answer_comes_later() {
        let (_, knowledge, hash) = known();
        let other = TenantId::from_bytes([9; 16]);
        for tenant in [TenantId::DEFAULT, other] {
            knowledge.learn(knowledge.asking(), Some(tenant), hash, BLOB);
        }
        let late = knowledge.asking();
        knowledge.revoke(TenantId::DEFAULT, hash);
        assert_eq!(owns(&knowledge, hash), Some(false));
        assert_eq!(knowledge.owns(other, hash), Ok(true), "the other tenant's stays");
        knowledge.learn(late, Some(TenantId::DEFAULT), hash, BLOB);
        assert_eq!(owns(&knowledge, hash), Some(false), "it was asked before");
        let another = BlobHash::of(b"another");
        knowledge.learn(late, Some(TenantId::DEFAULT), another, BLOB);
        assert_eq!(owns(&knowledge, another), Some(true), "nothing of it was revoked");
        knowledge.learn(knowledge.asking(), Some(TenantId::DEFAULT), hash, BLOB);
        assert_eq!(owns(&knowledge, hash), Some(true));
    }

    #[test]
    fn nothing_of_before_a_closing_holds_once_the_site_is_heard_of_again() {
        let (clock, knowledge, hash) = known();
        knowledge.learn(knowledge.asking(), Some(TenantId::DEFAULT), hash, BLOB);
        let late = knowledge.asking();
        knowledge.close();
        assert_eq!((knowledge.require().is_err(), owns(&knowledge, hash)), (true, None));
        assert_ne!(late.session(), knowledge.session(), "what is under way is another session's");
        let closed = knowledge.session();
        knowledge.close();
        assert_eq!(knowledge.session(), closed);
        knowledge.heard(clock.monotonic());
        assert_eq!(owns(&knowledge, hash), Some(false));
        knowledge.learn(late, Some(TenantId::DEFAULT), hash, BLOB);
        assert_eq!(owns(&knowledge, hash), Some(false));
    }

    #[test]
    fn a_no_holds_for_a_moment_and_in_its_session() {
        let (clock, knowledge, hash) = known();
        let (tenant, other) = (Some(TenantId::DEFAULT), Some(TenantId::from_bytes([9; 16])));
        knowledge.learn_missing(knowledge.asking(), tenant, hash);
        assert_eq!([tenant, other, None].map(|whose| knowledge.is_missing(whose, hash)), [true, false, false]);
        clock.advance(NO_HOLDS - Duration::from_millis(1));
        assert!(knowledge.is_missing(tenant, hash));
        clock.advance(Duration::from_millis(1));
        assert!(!knowledge.is_missing(tenant, hash));
        knowledge.learn_missing(knowledge.asking(), tenant, hash);
        knowledge.begin(vec![], clock.monotonic());
        assert!(!knowledge.is_missing(tenant, hash), "another site may have it");
        for number in 0..2_u32 {
            (0..NOES as u32).for_each(|n| {
                knowledge.learn_missing(knowledge.asking(), tenant, BlobHash::of(&[number, n].map(u32::to_be_bytes).concat()))
            });
        }
        knowledge.missing.run_pending_tasks();
        assert!(knowledge.missing.entry_count() <= NOES);
    }

    #[test]
    fn nothing_of_a_former_session_holds() {
        let (clock, knowledge, hash) = known();
        knowledge.learn(knowledge.asking(), Some(TenantId::DEFAULT), hash, BLOB);
        let late = knowledge.asking();
        knowledge.begin(vec![], clock.monotonic());
        assert_eq!((owns(&knowledge, hash), knowledge.blob(hash)), (Some(false), None), "a deletion may have been missed");
        knowledge.learn(late, Some(TenantId::DEFAULT), hash, BLOB);
        assert_eq!((owns(&knowledge, hash), knowledge.blob(hash)), (Some(false), None), "another site may have said it");
    }
}
