//! A store of previews that counts what it is asked, and keeps who asks waiting for as long as it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::blobs::DerivedKind;

/// Previews in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct KeptPreviews(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: MemoryStore,
    gets: Door,
    puts: Door,
}

/// What calls go through.
#[derive(Debug)]
struct Door {
    begun: AtomicUsize,
    ended: AtomicUsize,
    is_shut: watch::Sender<bool>,
}

impl Door {
    fn new() -> Self {
        Self { begun: AtomicUsize::new(0), ended: AtomicUsize::new(0), is_shut: watch::channel(false).0 }
    }

    async fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.is_shut.subscribe().wait_for(|is_shut| !is_shut).await.unwrap();
    }
}

impl KeptPreviews {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner { store: MemoryStore::new(), gets: Door::new(), puts: Door::new() }))
    }

    /// Whether reads wait from now on.
    pub(super) fn hold_gets(&self, hold: bool) {
        self.0.gets.is_shut.send_replace(hold);
    }

    /// Whether writes do.
    pub(super) fn hold_puts(&self, hold: bool) {
        self.0.puts.is_shut.send_replace(hold);
    }

    /// Has a preview lie there.
    pub(super) async fn lay(&self, of: BlobHash, bytes: Bytes) {
        self.0.store.put_derived(DerivedKind::Preview, &of, bytes).await.unwrap();
    }

    /// Reads that were begun.
    pub(super) fn gets(&self) -> usize {
        self.0.gets.begun.load(Ordering::SeqCst)
    }

    /// Writes that were begun, and those that have ended.
    pub(super) fn puts(&self) -> (usize, usize) {
        (self.0.puts.begun.load(Ordering::SeqCst), self.0.puts.ended.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl DerivedStore for KeptPreviews {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.0.gets.pass().await;
        let got = self.0.store.get_derived(kind, of).await;
        self.0.gets.ended.fetch_add(1, Ordering::SeqCst);
        got
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        self.0.puts.pass().await;
        let put = self.0.store.put_derived(kind, of, bytes).await;
        self.0.puts.ended.fetch_add(1, Ordering::SeqCst);
        put
    }

    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        self.0.store.delete_derived(kind, of).await
    }
}
