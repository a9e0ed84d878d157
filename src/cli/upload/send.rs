use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::hash::hash_one;
use super::plan::{BATCH, Group};
use super::settle::{Uncertain, Way};
use super::summary::{Failure, Tally};
use crate::api::{Album, LinkPhoto, LinkRequest, Me, MissingRequest};
use crate::cli::global::Session;
use crate::cli::meter::Meter;
use crate::client::{Client, ClientError, Source, Upload, UploadId, Uploaded};
use crate::model::{AlbumId, BlobHash, PhotoId, TenantId, UserId};
use crate::runtime::{BlockingPool, Runtime};

/// Brings groups of files into one album.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    pub(super) runtime: &'a Runtime,
    session: &'a Session,
    tenant: TenantId,
    user: UserId,
    pub(super) album: AlbumId,
    pool: BlockingPool,
    concurrency: usize,
}

/// What came of one group.
enum Sent {
    /// The photo is there.
    Done { group: Group, created: bool },
    /// The first file changed after it was hashed; what it is now is there. The rest still has to travel.
    Changed { now: Group, created: bool, rest: Option<Group> },
    /// The first file could not be read or kept changing. The rest may fare better.
    FirstFailed { group: Group, error: ClientError },
    /// The server does not want these bytes.
    Refused { group: Group, error: ClientError },
    /// It was stopped before.
    NotTried { group: Group },
}

impl<'a> Sender<'a> {
    pub(super) fn new(session: &'a Session, me: &Me, album: AlbumId, pool: BlockingPool, concurrency: usize) -> Self {
        Self::of(&session.client, session, me, album, pool, concurrency)
    }

    /// The same by another client than the session's: one that acts for another user.
    pub(super) fn of(client: &'a Client, session: &'a Session, me: &Me, album: AlbumId, pool: BlockingPool, concurrency: usize) -> Self {
        let runtime = &session.runtime;
        Self { client, runtime, session, tenant: me.tenant, user: me.user, album, pool, concurrency }
    }

    /// Brings all groups into the album, and counts what came of each file. An error ended it before all were tried.
    ///
    /// `repair`: the server is asked for the bytes of photos that the album shows, too, rather than taken to have them.
    pub(super) async fn run(&self, album: &Album, groups: Vec<Group>, repair: bool, tally: &mut Tally) -> Option<ClientError> {
        let mut todo = groups;
        if album.photo_count > 0 && !repair {
            let present = match self.present().await {
                Ok(present) => present,
                Err(error) => return refuse_rest(todo, error, tally),
            };
            todo.retain(|group| {
                let there = present.contains(&group.hash);
                if there {
                    tally.skipped(group.files(), group.size_bytes);
                }
                !there
            });
        }

        let (mut missing, mut uncertain) = (Vec::new(), Vec::new());
        let mut batches = todo.into_iter();
        loop {
            let batch: Vec<Group> = batches.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            if let Err((batch, error)) = self.link_known(batch, &mut missing, &mut uncertain).await {
                let rest = batch.into_iter().chain(batches).chain(missing);
                let stopped = refuse_rest(rest.collect(), error, tally);
                self.settle(uncertain, tally).await;
                return stopped;
            }
        }
        let stopped = self.send_all(missing, &mut uncertain, tally).await;
        let unsettled = self.settle(uncertain, tally).await;
        stopped.or(unsettled)
    }

    /// The hashes of the photos that stand in the album.
    pub(super) async fn present(&self) -> Result<HashSet<BlobHash>, ClientError> {
        self.client.photos(self.album).map_ok(|photo| photo.hash).try_collect().await
    }

    /// Links what the user has already; the rest is missing. On an error the batch is given back.
    async fn link_known(
        &self,
        batch: Vec<Group>,
        missing: &mut Vec<Group>,
        uncertain: &mut Vec<Uncertain>,
    ) -> Result<(), (Vec<Group>, ClientError)> {
        let request = MissingRequest { hashes: batch.iter().map(|group| group.hash).collect() };
        let answer = match self.client.missing(&request).await {
            Ok(answer) => answer.missing.into_iter().collect::<HashSet<_>>(),
            Err(error) => return Err((batch, error)),
        };
        let (lacking, known): (Vec<_>, Vec<_>) = batch.into_iter().partition(|group| answer.contains(&group.hash));
        missing.extend(lacking);
        if known.is_empty() {
            return Ok(());
        }
        let photos = known.iter().map(|group| LinkPhoto { id: Some(self.photo_id(&group.hash)), hash: group.hash, name: group.name() });
        match self.client.link(self.album, &LinkRequest { photos: photos.collect() }).await {
            Ok(linked) => {
                let lost: HashSet<_> = linked.missing.into_iter().collect();
                let (lost, linked): (Vec<_>, Vec<_>) = known.into_iter().partition(|group| lost.contains(&group.hash));
                missing.extend(lost);
                uncertain.extend(linked.into_iter().map(|group| Uncertain { group, way: Way::Linked }));
                Ok(())
            }
            Err(error) if error.is_hopeless() => Err((known, error)),
            // One of them is not wanted: sent one by one, each gets its own answer.
            Err(_) => {
                missing.extend(known);
                Ok(())
            }
        }
    }

    async fn send_all(&self, groups: Vec<Group>, uncertain: &mut Vec<Uncertain>, tally: &mut Tally) -> Option<ClientError> {
        let bytes = groups.iter().map(|group| group.size_bytes).sum();
        let meter = Meter::start(&self.session.output, "Sending", bytes, groups.iter().map(Group::files).sum());
        let (stop, mut stopped, mut not_tried) = (AtomicBool::new(false), None, Vec::new());
        let mut round = groups;
        while !round.is_empty() {
            // Files that had the bytes of one that changed or could not be read take their turn after it.
            let mut next = Vec::new();
            let mut sending =
                stream::iter(round.into_iter().map(|group| self.send(group, &stop, &meter))).buffer_unordered(self.concurrency);
            while let Some(sent) = sending.next().await {
                match sent {
                    Sent::Done { group, created } => {
                        meter.files(group.files());
                        count_sent(group, created, uncertain, tally);
                    }
                    Sent::Changed { now, created, rest } => {
                        meter.files(1);
                        count_sent(now, created, uncertain, tally);
                        next.extend(rest);
                    }
                    Sent::FirstFailed { group, error } => {
                        meter.files(1);
                        tally.refuse(Failure::of(group.first(), &error));
                        next.extend(group.rest());
                    }
                    Sent::Refused { group, error } => {
                        meter.files(group.files());
                        tally.refuse_all(&group, &error);
                        if error.is_hopeless() {
                            stop.store(true, Ordering::Relaxed);
                            stopped.get_or_insert(error);
                        }
                    }
                    Sent::NotTried { group } => not_tried.push(group),
                }
            }
            drop(sending);
            round = next;
        }
        meter.finish();
        match stopped {
            Some(error) => refuse_rest(not_tried, error, tally),
            None => None,
        }
    }

    async fn send(&self, group: Group, stop: &AtomicBool, meter: &Meter) -> Sent {
        if stop.load(Ordering::Relaxed) {
            return Sent::NotTried { group };
        }
        match self.put(&group, self.photo_id(&group.hash), meter).await {
            Ok(uploaded) => Sent::Done { group, created: uploaded.created },
            Err(ClientError::Changed) => self.send_again(group, meter).await,
            Err(error @ ClientError::Source(_)) => Sent::FirstFailed { group, error },
            Err(error) => Sent::Refused { group, error },
        }
    }

    /// Hashes the first file again, once, and sends what it is now.
    async fn send_again(&self, group: Group, meter: &Meter) -> Sent {
        let now = match hash_one(group.first().to_owned(), &self.pool, meter.clone()).await {
            Ok(Ok(hashed)) => Group::from(hashed),
            Ok(Err(error)) => return Sent::FirstFailed { group, error: ClientError::Source(error) },
            Err(_) => return Sent::FirstFailed { group, error: ClientError::Changed },
        };
        match self.put(&now, self.photo_id(&now.hash), meter).await {
            Ok(uploaded) if now.hash == group.hash => Sent::Done { group, created: uploaded.created },
            Ok(uploaded) => Sent::Changed { now, created: uploaded.created, rest: group.rest() },
            Err(error) if error.is_hopeless() => Sent::Refused { group, error },
            Err(error) => Sent::FirstFailed { group, error },
        }
    }

    /// Sends the first file of a group under this id.
    pub(super) async fn put(&self, group: &Group, photo: PhotoId, meter: &Meter) -> Result<Uploaded, ClientError> {
        let upload = Upload {
            album: self.album,
            id: UploadId::Own(photo),
            name: group.name(),
            size_bytes: group.size_bytes,
            hash: Some(group.hash),
            sha256: Some(group.sha256),
            source: Source::File(group.first().to_owned()),
        };
        self.client.upload(&upload, meter.follow()).await
    }

    /// The id that these bytes have in this album, at every repetition and at every site.
    fn photo_id(&self, hash: &BlobHash) -> PhotoId {
        PhotoId::from_idempotency_key(self.tenant, self.user, &format!("upload/{}/{hash}", self.album))
    }
}

/// A photo that is new stands in the album for certain; one that was there may stand elsewhere by now.
fn count_sent(group: Group, created: bool, uncertain: &mut Vec<Uncertain>, tally: &mut Tally) {
    if created {
        Way::Sent.count(&group, tally);
    } else {
        uncertain.push(Uncertain { group, way: Way::Sent });
    }
}

/// None of these was tried, because of this.
pub(super) fn refuse_rest(groups: Vec<Group>, error: ClientError, tally: &mut Tally) -> Option<ClientError> {
    groups.iter().for_each(|group| tally.refuse_all(group, &error));
    Some(error)
}
