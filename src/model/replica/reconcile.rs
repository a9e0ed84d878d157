//! Reconciliation: taking over another site's state where its log does not reach (`metadata.md`, section 3.4).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Replica, State};
use crate::model::erasure::Erasure;
use crate::model::journal::Record;
use crate::model::row::Delta;
use crate::model::vector::VersionVector;
use crate::model::{Hlc, Owner, RowKey, Stamp};

/// What a sender fixes for a reconciliation: one view of its store, the vector of that very view, and its time.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The view.
    pub state: State,
    /// At least the time of everything in it.
    pub hlc: Hlc,
}

/// A reconciliation under way.
#[derive(Clone, Debug)]
pub(super) struct Running {
    offer: Arc<Offer>,
    /// Owners whose rows were not yet compared.
    left: BTreeSet<Owner>,
}

impl Running {
    /// What the end of it will cover.
    pub(super) fn vector(&self) -> &VersionVector {
        self.offer.state.vector()
    }
}

impl Replica {
    /// Fixes a view of this site for a peer that will reconcile with it.
    pub fn offer(&self) -> Arc<Offer> {
        Arc::new(Offer { state: self.state.clone(), hlc: self.hlc })
    }

    /// Whether a reconciliation is under way.
    pub fn is_reconciling(&self) -> bool {
        self.reconciliation.is_some()
    }

    /// Starts a reconciliation: the sender's ledger goes first. Does nothing while one is under way.
    pub fn start_reconciliation(&mut self, offer: Arc<Offer>) {
        if self.reconciliation.is_some() {
            return;
        }
        let theirs = &offer.state;
        let erasures: Vec<Erasure> = theirs.ledger().iter().filter(|erasure| !self.state.ledger().contains(erasure)).copied().collect();
        self.hlc = self.hlc.max(offer.hlc);
        self.take_over(erasures, vec![]);
        // Owners with equal sums hold the same births. Deletions that wait for their birth are not summed, and must be taken over, too.
        let owners: BTreeSet<Owner> = self.state.rows().keys().chain(theirs.rows().keys()).map(|key| key.owner).collect();
        let sum = |state: &State, owner: &Owner| state.tables().owners.get(owner).copied();
        let waiting = |owner| theirs.stubs().iter().any(|key| key.owner == owner);
        let left = owners.into_iter().filter(|owner| sum(&self.state, owner) != sum(theirs, owner) || waiting(*owner)).collect();
        self.reconciliation = Some(Running { offer, left });
    }

    /// Does the next step, one batch: an owner's rows, or, after the last owner, the vector and the sweep. Answers whether there is more.
    pub fn step_reconciliation(&mut self) -> bool {
        let Some(mut running) = self.reconciliation.take() else { return false };
        let Some(owner) = running.left.pop_last() else {
            self.state.join_vector(running.vector());
            self.journal.push(Record::Vector(running.vector().clone()));
            return false;
        };
        let deltas = self.owner_deltas(&running.offer.state, owner);
        self.take_over(vec![], deltas);
        self.reconciliation = Some(running);
        true
    }

    fn owner_deltas(&self, theirs: &State, owner: Owner) -> Vec<Delta> {
        let ours = &self.state;
        let keys: BTreeSet<&RowKey> = ours.rows().keys().chain(theirs.rows().keys()).filter(|key| key.owner == owner).collect();
        let mut deltas = vec![];
        for key in keys {
            let covers = |birth: &Stamp| ours.vector().covers(birth);
            let sender_covers = |birth: &Stamp| theirs.vector().covers(birth);
            let changes = ours.births(key).reconciliation(&theirs.births(key), covers, sender_covers);
            deltas.extend(changes.into_iter().map(|(birth, row)| Delta { key: *key, birth, row }));
        }
        deltas
    }

    /// What is done is journalled, so that the replay of the past does the same.
    fn take_over(&mut self, erasures: Vec<Erasure>, deltas: Vec<Delta>) {
        self.state.take_over(&erasures, &deltas);
        if !(erasures.is_empty() && deltas.is_empty()) {
            self.journal.push(Record::Reconciled { erasures, deltas });
        }
    }
}
