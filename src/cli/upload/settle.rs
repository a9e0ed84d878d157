//! After the upload: whether the album shows what it should.
//!
//! A photo's id follows from its album and its bytes, so that a repetition merges. Where the owner has moved that photo to another album
//! or to the trash since, the server answers it as it is, and this album shows nothing. Then the bytes, which are there, get a photo of
//! a fresh id.

use std::collections::HashSet;

use super::plan::{BATCH, Group};
use super::send::{Sender, refuse_rest};
use super::summary::Tally;
use crate::api::{LinkPhoto, LinkRequest};
use crate::cli::meter::Meter;
use crate::cli::output::Output;
use crate::client::ClientError;
use crate::model::PhotoId;

/// How the bytes of a group came to be at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They were there.
    Linked,
    /// They travelled with the first file.
    Sent,
}

impl Way {
    pub(super) fn count(self, group: &Group, tally: &mut Tally) {
        match self {
            Self::Linked => tally.skipped(group.files(), group.size_bytes),
            Self::Sent => {
                tally.sent(group.size_bytes);
                tally.skipped(group.files() - 1, group.size_bytes);
            }
        }
    }
}

/// A group whose photo was there before under its id: perhaps not in this album any more.
#[derive(Debug)]
pub(super) struct Uncertain {
    pub(super) group: Group,
    pub(super) way: Way,
}

impl Sender<'_> {
    /// Makes sure that the album shows each of these, and counts them. An error ended it before all were settled.
    pub(super) async fn settle(&self, uncertain: Vec<Uncertain>, tally: &mut Tally) -> Option<ClientError> {
        if uncertain.is_empty() {
            return None;
        }
        let shown = match self.present().await {
            Ok(shown) => shown,
            Err(error) => return refuse_rest(uncertain.into_iter().map(|one| one.group).collect(), error, tally),
        };
        let (shown, hidden): (Vec<_>, Vec<_>) = uncertain.into_iter().partition(|one| shown.contains(&one.group.hash));
        shown.iter().for_each(|one| one.way.count(&one.group, tally));
        let mut batches = hidden.into_iter();
        loop {
            let batch: Vec<Uncertain> = batches.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return None;
            }
            if let Err((batch, error)) = self.link_afresh(batch, tally).await {
                let rest = batch.into_iter().chain(batches);
                return refuse_rest(rest.map(|one| one.group).collect(), error, tally);
            }
        }
    }

    async fn link_afresh(&self, batch: Vec<Uncertain>, tally: &mut Tally) -> Result<(), (Vec<Uncertain>, ClientError)> {
        let photos = batch.iter().map(|one| LinkPhoto { id: Some(self.fresh_id()), hash: one.group.hash, name: one.group.name() });
        let lost: HashSet<_> = match self.client.link(self.album, &LinkRequest { photos: photos.collect() }).await {
            Ok(linked) => linked.missing.into_iter().collect(),
            Err(error) => return Err((batch, error)),
        };
        let (lost, linked): (Vec<_>, Vec<_>) = batch.into_iter().partition(|one| lost.contains(&one.group.hash));
        linked.iter().for_each(|one| one.way.count(&one.group, tally));
        // Purged between the one answer and the other: rare enough to go one by one.
        let meter = Meter::start(&Output::new(true), "Sending", 0, 0);
        for one in lost {
            match self.put(&one.group, self.fresh_id(), &meter).await {
                Ok(_) => Way::Sent.count(&one.group, tally),
                Err(error) => tally.refuse_all(&one.group, &error),
            }
        }
        Ok(())
    }

    fn fresh_id(&self) -> PhotoId {
        PhotoId::new(self.runtime.clock.unix_ms(), self.runtime.random.bytes())
    }
}
