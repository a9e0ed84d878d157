//! Every call of the service: bounded in time, counted by the breaker, its error named for what the caller does next.

use std::io;
use std::ops::Range;
use std::path::Path as Relative;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use object_store::client::HttpError;
use object_store::list::{PaginatedListOptions, PaginatedListResult};
use object_store::path::Path;
use object_store::{
    Attributes, Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, UpdateVersion,
};
use tokio::sync::Semaphore;

use super::breaker::{Breaker, Turn};
use super::connect::Connection;
use crate::blobs::{BlobError, path};
use crate::runtime::{self, timeout};

/// How often a service that is away is looked for.
const LOOKING: Duration = Duration::from_millis(500);
/// What a call that carries bytes may take beyond its deadline for each MiB.
const A_MEBIBYTE: Duration = Duration::from_secs(1);
/// Parts of large copies that are in memory at once.
const PARTS_AT_ONCE: usize = 16;
/// The most that a small object of ours holds.
const SMALL_BYTES: u64 = 4096;

/// The service and what is known of it.
#[derive(Debug)]
pub(super) struct Calls {
    connection: Connection,
    prefix: String,
    deadline: Duration,
    breaker: Breaker,
    /// For each part of a large copy that is in memory.
    pub(super) parts: Arc<Semaphore>,
    this: Weak<Self>,
}

/// An object that is being read.
pub(super) struct Reading {
    pub(super) meta: ObjectMeta,
    pub(super) bytes: BoxStream<'static, object_store::Result<bytes::Bytes>>,
}

impl Calls {
    pub(super) fn new(connection: Connection, prefix: &str, deadline: Duration) -> Arc<Self> {
        let prefix = prefix.trim_matches('/').to_owned();
        let parts = Arc::new(Semaphore::new(PARTS_AT_ONCE));
        Arc::new_cyclic(|this| Self { connection, prefix, deadline, breaker: Breaker::default(), parts, this: this.clone() })
    }

    /// The name of what lies there in a store, see [`path`].
    pub(super) fn at(&self, relative: &Relative) -> Path {
        Path::from(self.text_at(&relative.to_string_lossy()))
    }

    /// The same, as text.
    pub(super) fn text_at(&self, relative: &str) -> String {
        path::object(&self.prefix, relative)
    }

    /// A name, relative to the store; `None` where it is not in the store.
    pub(super) fn relative<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.prefix.is_empty() { Some(name) } else { name.strip_prefix(&self.prefix)?.strip_prefix('/') }
    }

    pub(super) fn is_away(&self) -> bool {
        self.breaker.is_away()
    }

    /// That the service is not known to be away.
    pub(super) fn require_here(&self) -> Result<(), BlobError> {
        if self.is_away() { Err(BlobError::Away) } else { Ok(()) }
    }

    /// This part of an object, as far as it reaches; to [`u64::MAX`]: to its end. `tag`: only of the object that has it.
    pub(super) async fn get(&self, at: &Path, part: Range<u64>, tag: Option<String>) -> Result<Reading, BlobError> {
        match self.get_part(at, part, tag).await {
            Ok(reading) => Ok(reading),
            Err(error) => Err(self.told("open an object", error).await),
        }
    }

    /// The same of its first bytes, but all of an object of which the service gives no part: an empty one has none.
    pub(super) async fn get_beginning(&self, at: &Path, until: u64) -> Result<Reading, BlobError> {
        match self.get_part(at, 0..until, None).await {
            Err(error @ Error::Generic { .. }) if has_answered(&error) && until < u64::MAX => self.get(at, 0..u64::MAX, None).await,
            Ok(reading) => Ok(reading),
            Err(error) => Err(self.told("open an object", error).await),
        }
    }

    async fn get_part(&self, at: &Path, part: Range<u64>, tag: Option<String>) -> object_store::Result<Reading> {
        let range = match part {
            Range { start: 0, end: u64::MAX } => None,
            Range { start, end: u64::MAX } => Some(GetRange::Offset(start)),
            part => Some(GetRange::Bounded(part)),
        };
        let options = GetOptions { range, if_match: tag, ..GetOptions::default() };
        let got = self.call("open an object", self.deadline, self.connection.objects.get_opts(at, options)).await?;
        Ok(Reading { meta: got.meta.clone(), bytes: got.into_stream() })
    }

    /// The next piece of an object.
    pub(super) async fn piece(&self, reading: &mut Reading) -> Result<Option<bytes::Bytes>, BlobError> {
        use futures_util::TryStreamExt as _;
        match self.call("read an object", self.deadline, reading.bytes.try_next()).await {
            Ok(piece) => Ok(piece),
            Err(error) => Err(self.told("read an object", error).await),
        }
    }

    /// A small object of ours, and its tag; `None` where there is none.
    pub(super) async fn get_small(&self, at: &Path) -> Result<Option<(bytes::Bytes, Option<String>)>, BlobError> {
        let mut reading = match self.get(at, 0..u64::MAX, None).await {
            Ok(reading) => reading,
            Err(BlobError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        if reading.meta.size > SMALL_BYTES {
            return Err(BlobError::Refused { reason: format!("{at} is not an object of this program") });
        }
        let mut text = bytes::BytesMut::new();
        while let Some(piece) = self.piece(&mut reading).await? {
            text.extend_from_slice(&piece);
        }
        Ok(Some((text.freeze(), reading.meta.e_tag)))
    }

    /// What says that there is a store; `None` where there is no such object, nor perhaps a bucket for it.
    pub(super) async fn get_format(&self) -> Result<Option<bytes::Bytes>, BlobError> {
        let at = self.at(path::FORMAT.as_ref());
        match self.call("look for the store", self.deadline, self.connection.objects.head(&at)).await {
            Ok(_) => Ok(self.get_small(&at).await?.map(|(text, _)| text)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look for the store", error)),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) async fn size(&self, at: &Path) -> Result<u64, BlobError> {
        match self.call("look at an object", self.deadline, self.connection.objects.head(at)).await {
            Ok(meta) => Ok(meta.size),
            Err(error) => Err(self.told("look at an object", error).await),
        }
    }

    /// Puts a copy whole. It may be repeated: whatever stands under its name has the same bytes.
    pub(super) async fn put_copy(&self, at: &Path, bytes: PutPayload) -> Result<(), BlobError> {
        self.put_over(at, bytes, self.connection.attributes.clone()).await
    }

    /// Puts an object whole, whatever is there.
    pub(super) async fn put_any(&self, at: &Path, bytes: PutPayload) -> Result<(), BlobError> {
        self.put_over(at, bytes, Attributes::new()).await
    }

    async fn put_over(&self, at: &Path, bytes: PutPayload, attributes: Attributes) -> Result<(), BlobError> {
        let deadline = self.deadline_for(bytes.content_length());
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.call("put an object", deadline, self.connection.objects.put_opts(at, bytes, options)).await;
        put.map(drop).map_err(|error| failed("put an object", error))
    }

    /// Puts a small object if `tag` is that of what is there, or nothing is where there is none.
    ///
    /// # Errors
    /// [`Refusal::Condition`] does not say that it was not done, see there.
    pub(super) async fn put_if(&self, at: &Path, bytes: PutPayload, tag: Option<String>) -> Result<(), Refusal> {
        let mode = tag.map_or(PutMode::Create, |tag| PutMode::Update(UpdateVersion { e_tag: Some(tag), version: None }));
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.call("put an object", self.deadline, self.connection.objects.put_opts(at, bytes, options)).await {
            Ok(_) => Ok(()),
            Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. })) => {
                Err(Refusal::Condition(error))
            }
            Err(error) => Err(Refusal::Failed(failed("put an object", error))),
        }
    }

    /// Begins to put an object in parts.
    pub(super) async fn begin_parts(&self, at: &Path) -> Result<Box<dyn MultipartUpload>, BlobError> {
        let options = PutMultipartOptions { attributes: self.connection.attributes.clone(), ..PutMultipartOptions::default() };
        let begun =
            self.call("begin to put an object in parts", self.deadline, self.connection.objects.put_multipart_opts(at, options)).await;
        begun.map_err(|error| failed("begin to put an object in parts", error))
    }

    /// A call about parts that carries this many bytes.
    pub(super) async fn part<T>(
        &self,
        doing: &'static str,
        size_bytes: usize,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BlobError> {
        self.call(doing, self.deadline_for(size_bytes), call).await.map_err(|error| failed(doing, error))
    }

    /// Deletes an object, where there is one.
    pub(super) async fn delete(&self, at: &Path) -> Result<(), BlobError> {
        match self.call("delete an object", self.deadline, self.connection.objects.delete(at)).await {
            Ok(()) => Ok(()),
            Err(error) => match self.told("delete an object", error).await {
                BlobError::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    /// A page of names, in ascending order.
    pub(super) async fn list(&self, prefix: &str, after: Option<String>, max_names: usize) -> Result<PaginatedListResult, BlobError> {
        let options = PaginatedListOptions { offset: after, max_keys: Some(max_names), ..PaginatedListOptions::default() };
        let listed = self.call("list objects", self.deadline, self.connection.lists.list_paginated(Some(prefix), options)).await;
        listed.map_err(|error| failed("list objects", error))
    }

    fn deadline_for(&self, size_bytes: usize) -> Duration {
        self.deadline + A_MEBIBYTE * u32::try_from(size_bytes >> 20).unwrap_or(u32::MAX)
    }

    /// What an answer to a call about one object means. "Not found" is said only of a store that is there: a bucket that is gone answers the same.
    async fn told(&self, doing: &'static str, error: Error) -> BlobError {
        if !matches!(error, Error::NotFound { .. }) {
            return failed(doing, error);
        }
        match self.call("find the store", self.deadline, self.connection.objects.head(&self.at(path::FORMAT.as_ref()))).await {
            Ok(_) => BlobError::NotFound,
            Err(Error::NotFound { .. }) => unavailable(doing, "there is no store any more where it was"),
            Err(error) => failed("find the store", error),
        }
    }

    /// Makes a call, unless the service is away.
    async fn call<T>(
        &self,
        doing: &'static str,
        deadline: Duration,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        if self.is_away() {
            return Err(Error::Generic { store: "S3", source: Box::new(NotAsked) });
        }
        self.ask(doing, deadline, call).await
    }

    async fn ask<T>(
        &self,
        doing: &'static str,
        deadline: Duration,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        let done = timeout(deadline, call).await;
        let done = done.unwrap_or_else(|| Err(Error::Generic { store: "S3", source: Box::new(io::Error::from(io::ErrorKind::TimedOut)) }));
        match self.breaker.note(done.as_ref().map_or_else(has_answered, |_| true)) {
            Turn::Same => {}
            Turn::Back => tracing::info!(store = ?self.connection, "the object store answers again"),
            Turn::Away => {
                let error = done.as_ref().err().map(ToString::to_string);
                tracing::error!(store = ?self.connection, doing, error, "the object store does not answer: what needs it is refused until it does");
                runtime::spawn(Self::look_for(self.this.clone()));
            }
        }
        done
    }

    /// Looks for the service until it answers, or nobody has the store open any more.
    fn look_for(this: Weak<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                runtime::sleep(LOOKING).await;
                let Some(calls) = this.upgrade().filter(|calls| calls.is_away()) else { return };
                let at = calls.at(path::FORMAT.as_ref());
                // Whatever it says, it answers.
                let _ = calls.ask("look for it", CONNECT_AND_LOOK, calls.connection.objects.head(&at)).await;
            }
        })
    }
}

/// The longest that looking for a service takes, repetitions and all.
const CONNECT_AND_LOOK: Duration = Duration::from_secs(2);

/// Why a put did not answer that it is done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What is there is another; or it was not, the put is done, and the answer to the first attempt got lost. Look.
    Condition(Error),
    /// Anything else.
    Failed(BlobError),
}

/// Whether the service has said something, be it that it cannot: that comes soon, and says nothing of other calls.
fn has_answered(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if at.is::<HttpError>() || at.is::<io::Error>() {
            return false;
        }
        cause = at.source();
    }
    true
}

/// What an error means, but for "not found".
fn failed(doing: &'static str, error: Error) -> BlobError {
    match error {
        Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::UnknownConfigurationKey { .. } => {
            BlobError::Refused { reason: format!("{doing}: {error}") }
        }
        Error::Generic { source, .. } if source.is::<NotAsked>() => BlobError::Away,
        error => BlobError::Unavailable { doing, source: Arc::new(io::Error::other(error)) },
    }
}

/// The breaker is open.
#[derive(Debug, thiserror::Error)]
#[error("it is away")]
struct NotAsked;

/// For what is known without asking.
pub(super) fn unavailable(doing: &'static str, why: &'static str) -> BlobError {
    BlobError::Unavailable { doing, source: Arc::new(io::Error::other(why)) }
}
