//! An object store in memory that fails on demand: before a call, or after it, so that the answer is lost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::blobs::object::Connection;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blobs) enum Fault {
    /// None.
    None,
    /// It is not done.
    Before,
    /// It is done, and answered as failed.
    After,
    /// It is done, and done again by whoever got no answer to the first attempt.
    Twice,
    /// It is never answered.
    Hangs,
    /// It is refused: the service answers, and says that it cannot.
    Refused,
}

/// A fault that stays.
#[derive(Debug, Clone, Copy)]
struct Lasting {
    fault: Fault,
    /// Only of puts of copies.
    only_copies: bool,
}

/// The service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::blobs) struct Service(Arc<State>);

#[derive(Debug, Default)]
struct State {
    objects: InMemory,
    /// What happens to the next calls.
    faults: Mutex<VecDeque<Fault>>,
    /// What happens to every call whose name and object fit.
    lasting: Mutex<Option<Lasting>>,
    calls: Mutex<Vec<&'static str>>,
    /// Calls that have begun to hang.
    hanging: AtomicUsize,
    /// What answers had, or would have had to their ends.
    given_bytes: AtomicU64,
}

impl Service {
    pub(in crate::blobs) fn new() -> Self {
        Self::default()
    }

    pub(in crate::blobs) fn connection(&self) -> Connection {
        Connection::new(Arc::new(self.clone()), object_store::Attributes::new())
    }

    /// What happens to the next calls, one each; those after go well.
    pub(in crate::blobs) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.0.faults.lock().unwrap() = faults.into_iter().collect();
        self.0.hanging.store(0, Ordering::Relaxed);
    }

    /// What happens to every call from now on, but for those that are planned; `only_copies`: to the puts of copies alone.
    pub(in crate::blobs) fn always(&self, fault: Fault, only_copies: bool) {
        *self.0.lasting.lock().unwrap() = Some(Lasting { fault, only_copies });
    }

    /// Nothing goes wrong any more.
    pub(in crate::blobs) fn heal(&self) {
        self.plan([]);
        *self.0.lasting.lock().unwrap() = None;
    }

    /// How many calls hang since the last plan was made.
    pub(in crate::blobs) fn hanging(&self) -> usize {
        self.0.hanging.load(Ordering::Relaxed)
    }

    /// The calls since the last time that this was asked.
    pub(in crate::blobs) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.calls.lock().unwrap())
    }

    /// How many bytes of objects were asked for since the last time that this was asked.
    pub(in crate::blobs) fn given_bytes(&self) -> u64 {
        self.0.given_bytes.swap(0, Ordering::Relaxed)
    }

    pub(in crate::blobs) async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.objects.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        names.sort();
        names
    }

    pub(in crate::blobs) async fn get(&self, name: &str) -> Bytes {
        self.0.objects.get(&Path::from(name)).await.unwrap().bytes().await.unwrap()
    }

    pub(in crate::blobs) async fn put(&self, name: &str, bytes: impl Into<PutPayload>) {
        self.0.objects.put(&Path::from(name), bytes.into()).await.unwrap();
    }

    pub(in crate::blobs) async fn remove(&self, name: &str) {
        self.0.objects.delete(&Path::from(name)).await.unwrap();
    }

    fn fault(&self, call: &'static str) -> Fault {
        self.0.calls.lock().unwrap().push(call);
        if let Some(fault) = self.0.faults.lock().unwrap().pop_front() {
            return fault;
        }
        let puts = ["put a copy", "begin parts"].contains(&call);
        self.0.lasting.lock().unwrap().filter(|lasting| puts || !lasting.only_copies).map_or(Fault::None, |lasting| lasting.fault)
    }

    async fn faulty<'a, T>(&self, call: &'static str, work: impl Fn() -> BoxFuture<'a, Result<T>> + Send) -> Result<T> {
        match self.fault(call) {
            Fault::None => work().await,
            Fault::Before => Err(lost()),
            Fault::After => work().await.and(Err(lost())),
            Fault::Twice => {
                let _ = work().await;
                work().await
            }
            Fault::Hangs => {
                self.0.hanging.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
            Fault::Refused => Err(refused()),
        }
    }
}

fn refused() -> Error {
    Error::Generic { store: "fake", source: "503 Slow Down".into() }
}

/// As a connection that breaks off.
fn lost() -> Error {
    Error::Generic { store: "fake", source: Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a service in memory")
    }
}

#[async_trait]
impl ObjectStore for Service {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let call = if location.as_ref().contains("blobs/") { "put a copy" } else { "put" };
        self.faulty(call, || self.0.objects.put_opts(location, payload.clone(), opts.clone())).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.faulty("begin parts", || self.0.objects.put_multipart_opts(location, opts.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = if options.head { "head" } else { "get" };
        let got = self.faulty(call, || self.0.objects.get_opts(location, options.clone())).await?;
        if !options.head {
            self.0.given_bytes.fetch_add(got.range.end - got.range.start, Ordering::Relaxed);
        }
        Ok(got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let service = self.clone();
        let deleted = locations.then(move |location| {
            let service = service.clone();
            async move {
                let location = location?;
                service.faulty("delete", || Box::pin(async { service.0.objects.delete(&location).await.map(|()| location.clone()) })).await
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.objects.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl PaginatedListStore for Service {
    async fn list_paginated(&self, prefix: Option<&str>, opts: PaginatedListOptions) -> Result<PaginatedListResult> {
        let prefix = prefix.unwrap_or_default();
        let list = || -> BoxFuture<'_, Result<PaginatedListResult>> {
            Box::pin(async {
                let mut all: Vec<ObjectMeta> = self.0.objects.list(None).try_collect().await?;
                all.retain(|object| {
                    object.location.as_ref().starts_with(prefix)
                        && opts.offset.as_deref().is_none_or(|after| object.location.as_ref() > after)
                });
                all.sort_by(|one, other| one.location.cmp(&other.location));
                // Pages of seven, so that there are many.
                let page = opts.max_keys.unwrap_or(7).min(7);
                let page_token = (all.len() > page).then(|| "more".to_owned());
                all.truncate(page);
                let result = ListResult { common_prefixes: vec![], objects: all, extensions: object_store::Extensions::default() };
                Ok(PaginatedListResult { result, page_token })
            })
        };
        self.faulty("list", list).await
    }
}
