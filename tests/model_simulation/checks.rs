//! What must hold at every step, and at rest.

use std::collections::{BTreeMap, BTreeSet};

use halidom::model::replica::State;
use halidom::model::row::{Live, Row};
use halidom::model::{BlobHash, RowKey, Stamp};

use super::world::{Thing, World, things, visible};

/// Births that are not deleted, stubs of edits among them.
pub type Rows = BTreeMap<RowKey, BTreeMap<Stamp, Live>>;

pub fn live(state: &State) -> Rows {
    let rows = state.rows().iter().map(|(key, births)| (*key, births.live().map(|(birth, live)| (*birth, live.clone())).collect()));
    rows.filter(|(_, births): &(_, BTreeMap<_, _>)| !births.is_empty()).collect()
}

fn is_shown(state: &State, key: &RowKey, hash: Option<BlobHash>) -> bool {
    things(state, false).iter().any(|thing: &Thing| thing.key() == *key && thing.hash() == hash)
}

impl World {
    /// At every step: derived rows are what a recomputation gives; nothing erased is there.
    pub fn check_site(&self, site: usize) -> Result<(), String> {
        let state = self.state(site);
        if state.recomputed() != *state.tables() {
            return Err("derived rows differ from a recomputation".to_owned());
        }
        if state.rows().keys().any(|key| self.sites[site].ledger.covers(key)) {
            return Err("an erased row is back".to_owned());
        }
        Ok(())
    }

    /// A read of the past, by a checkpoint and a replay, shows what was to be seen then, but for what was erased since.
    pub fn check_past(&mut self, site: usize) -> Result<(), String> {
        let Some((commit, seen)) = self.dice.pick(&self.sites[site].seen) else { return Ok(()) };
        let Some((from, checkpoint)) = self.dice.pick(&self.sites[site].checkpoints).filter(|(from, _)| from <= commit) else {
            return Ok(());
        };
        let site = &self.sites[site];
        let past = site.replica.past(checkpoint, *from, *commit).map_err(|error| error.to_string())?;
        let mut seen = seen.clone();
        seen.retain(|key, _| !site.ledger.covers(key));
        self.stats.past_reads += 1;
        let found = visible(&past);
        if found.keys().any(|key| site.ledger.covers(key)) {
            return Err("a read of the past shows what was erased".to_owned());
        }
        if found != seen {
            return Err("a read of the past differs from what was seen".to_owned());
        }
        Ok(())
    }

    pub fn finish(&mut self) -> Result<(), String> {
        self.settle()?;
        let count = self.sites.len();
        for site in 0..count {
            self.check_site(site)?;
            self.check_past(site)?;
            if self.state(site).vector() != self.state(0).vector() {
                return Err("vectors differ at rest".to_owned());
            }
        }
        // A reconciliation cut short and a rollback of who sent it may leave rows that no log holds: comparing roots finds it,
        // reconciling repairs it.
        let excused = self.told.cut_short && self.told.rolled_back;
        if !self.sites_agree() {
            if !excused {
                return Err("sites differ at rest".to_owned());
            }
            self.repair()?;
        }
        for site in 1..count {
            let (state, first) = (self.state(site), self.state(0));
            if live(state) != live(first) || state.tables() != first.tables() {
                return Err("equal roots, different rows".to_owned());
            }
        }
        if (0..count).any(|site| self.told.erased.iter().any(|erasure| !self.state(site).ledger().contains(erasure))) {
            return Err("an acknowledged erasure was forgotten".to_owned());
        }
        if !self.state(0).stubs().is_empty() && !self.told.rolled_back {
            return Err("a stub is left at rest".to_owned());
        }
        self.stats.rows_with_two_births += self.state(0).rows().values().filter(|births| births.live().count() > 1).count() as u64;
        if excused { Ok(()) } else { self.check_told() }
    }

    fn sites_agree(&self) -> bool {
        let first = self.state(0);
        let mut others = (1..self.sites.len()).map(|site| self.state(site));
        others.all(|state| state.tables().root == first.tables().root && state.ledger() == first.ledger())
    }

    fn repair(&mut self) -> Result<(), String> {
        self.stats.repaired += 1;
        let count = self.sites.len();
        for (site, peer) in (0..2).flat_map(|_| (0..count).flat_map(move |site| (0..count).map(move |peer| (site, peer)))) {
            if site != peer {
                self.start_reconciliation(site, peer);
                while self.step_reconciliation(site) {}
            }
        }
        if self.sites_agree() { Ok(()) } else { Err("sites differ after a repair".to_owned()) }
    }

    /// What is there is what the entries that survived say, by rules without vectors, stubs or order; and what clients were told holds.
    fn check_told(&self) -> Result<(), String> {
        let state = self.state(0);
        let survived = |stamp: &Stamp| state.vector().covers(stamp);
        let mut births = Rows::new();
        let mut dead = BTreeSet::new();
        for delta in self.told.entries.values().filter(|entry| survived(&entry.stamp())).flat_map(|entry| &entry.deltas) {
            match &delta.row {
                Row::Dead => {
                    dead.insert((delta.key, delta.birth));
                }
                Row::Live(live) => births.entry(delta.key).or_default().entry(delta.birth).or_default().join(live),
            }
        }
        for (key, births) in &mut births {
            births.retain(|birth, _| !dead.contains(&(*key, *birth)) && !state.ledger().covers(key));
        }
        births.retain(|_, births| !births.is_empty());
        let found = live(state);
        if found != births {
            let key = births.keys().chain(found.keys()).find(|key| births.get(key) != found.get(key));
            return Err(format!("the state is not what the surviving entries say, at {key:?}"));
        }
        self.check_adds(state)?;
        self.check_trashes(state, &found)
    }

    /// An add is to be seen, unless a deletion that had seen it, or what replaced it, survived.
    fn check_adds(&self, state: &State) -> Result<(), String> {
        let deletes = || self.told.deletes.iter().filter(|(_, at, _)| state.vector().covers(at));
        for (key, birth, hash) in &self.told.adds {
            if !state.vector().covers(birth) || state.ledger().covers(key) || is_shown(state, key, *hash) {
                continue;
            }
            if !deletes().any(|(deleted, _, seen)| deleted == key && seen.iter().any(|stamp| stamp >= birth)) {
                return Err(format!("an acknowledged add is gone though no deletion had seen it: {key:?} {birth:?}"));
            }
        }
        Ok(())
    }

    /// What lies in the trash was seen where it stood by a trashing; what was trashed where it stands lies in the trash.
    fn check_trashes(&self, state: &State, found: &Rows) -> Result<(), String> {
        let trashes: Vec<_> = self.told.trashes.iter().filter(|trashing| state.vector().covers(&trashing.at)).collect();
        for (key, births) in found {
            for (birth, live) in births {
                let Some(place) = live.place.as_ref().map(|place| place.stamp) else { continue };
                let of_row = || trashes.iter().filter(|trashing| trashing.key == *key);
                let named = of_row().any(|trashing| trashing.seen.contains(&(*birth, place)));
                // After a rollback the move that a trashing saw may be lost: the trashing still covers the place before it.
                let later = || of_row().any(|trashing| trashing.seen.iter().any(|(seen, at)| seen == birth && *at > place));
                if live.is_trashed() && !named && !(self.told.rolled_back && later()) {
                    return Err(format!("in the trash, but no deletion had seen it there: {key:?}"));
                }
                if !live.is_trashed() && named {
                    return Err(format!("a deletion was forgotten: {key:?}"));
                }
            }
        }
        Ok(())
    }
}
