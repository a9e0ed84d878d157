//! Between sites: pulling, receiving, cutting logs, reconciling, coming to rest.

use std::sync::Arc;

use halidom::model::Seq;
use halidom::model::entry::Entry;
use halidom::model::vector::Arrival;

use super::checks::live;
use super::world::World;

impl World {
    /// Asks a peer for what is lacking; starts a reconciliation where its log does not reach back. Answers whether anything was lacking.
    pub fn pull(&mut self, site: usize, peer: usize, most: u64) -> bool {
        let want = self.state(site).vector().clone();
        self.sites[peer].given_up[site] = false;
        self.sites[peer].known[site] = want.clone();
        let origins: Vec<_> = self.state(peer).vector().iter().map(|(origin, head)| (*origin, head.seq)).collect();
        let mut any = false;
        for (origin, last) in origins {
            let have = want.seq(&origin);
            if last <= have || origin == self.sites[site].replica.origin() {
                continue;
            }
            if self.sites[peer].replica.entry(origin, Seq(have.0 + 1)).is_none() {
                self.start_reconciliation(site, peer);
                return true;
            }
            let until = last.0.min(have.0 + 1 + self.dice.below(most));
            for seq in have.0 + 1..=until {
                if let Some(entry) = self.sites[peer].replica.entry(origin, Seq(seq)) {
                    self.flight.push((site, entry.clone()));
                    any = true;
                }
            }
        }
        any
    }

    /// Delivers an entry that is under way, any one; some arrive more than once.
    pub fn deliver_one(&mut self) -> Result<(), String> {
        if self.flight.is_empty() {
            return Ok(());
        }
        let which = self.dice.index(self.flight.len());
        let (to, entry) = self.flight[which].clone();
        if self.sites[to].away {
            return Ok(());
        }
        if !self.dice.one_in(4) {
            self.flight.swap_remove(which);
        }
        self.receive(to, &entry)
    }

    pub fn receive(&mut self, site: usize, entry: &Arc<Entry>) -> Result<(), String> {
        let own = entry.origin == self.sites[site].replica.origin();
        match self.sites[site].replica.receive(entry) {
            Arrival::Known if own => {}
            Arrival::Known => {
                // Dropped; and were it applied again, nothing would change.
                self.stats.repetitions += 1;
                let mut again = self.state(site).clone();
                again.take_over(&entry.erasures, &entry.deltas);
                if live(&again) != live(self.state(site)) {
                    return Err(format!("applying entry {:?} twice changed the state", entry.stamp()));
                }
            }
            Arrival::Waits => self.stats.waited += 1,
            Arrival::Next => {
                for erasure in &entry.erasures {
                    self.sites[site].ledger.insert(*erasure);
                }
            }
            Arrival::Gap => {}
            Arrival::Broken => return Err(format!("the chain broke at {:?}", entry.stamp())),
        }
        Ok(())
    }

    pub fn start_reconciliation(&mut self, site: usize, peer: usize) {
        if self.sites[site].replica.is_reconciling() {
            return;
        }
        self.stats.reconciliations += 1;
        let offer = self.sites[peer].replica.offer();
        for erasure in offer.state.ledger().iter() {
            self.sites[site].ledger.insert(*erasure);
        }
        self.sites[site].replica.start_reconciliation(offer);
        self.sites[site].sender = Some(peer);
    }

    pub fn step_reconciliation(&mut self, site: usize) -> bool {
        self.sites[site].replica.step_reconciliation()
    }

    /// Drops log entries that every peer not given up on has.
    pub fn cut_log(&mut self, site: usize) {
        for peer in 0..self.sites.len() {
            if self.sites[peer].away && self.dice.one_in(2) {
                self.sites[site].given_up[peer] = true;
            }
        }
        let site_index = site;
        let site = &mut self.sites[site];
        let asks = |peer: usize| peer != site_index && !site.given_up[peer];
        let waiting: Vec<_> = (0..site.known.len()).filter(|peer| asks(*peer)).map(|peer| &site.known[peer]).collect();
        let mut cut = 0;
        let may_go = |origin, seq: Seq| waiting.iter().all(|known| known.seq(&origin) >= seq);
        let vector: Vec<_> = site.replica.state().vector().iter().map(|(origin, head)| (*origin, head.seq)).collect();
        for (origin, last) in vector {
            cut += (1..=last.0).filter(|seq| site.replica.entry(origin, Seq(*seq)).is_some() && may_go(origin, Seq(*seq))).count() as u64;
        }
        site.replica.cut(may_go);
        self.stats.entries_cut += cut;
    }

    /// Lets everything arrive and everybody pull until nobody lacks anything.
    pub fn settle(&mut self) -> Result<(), String> {
        self.sites.iter_mut().for_each(|site| site.away = false);
        let count = self.sites.len();
        for _round in 0..60 {
            self.arrive()?;
            let mut any = false;
            for site in 0..count {
                for peer in (0..count).filter(|peer| *peer != site) {
                    any |= self.pull(site, peer, 50);
                    self.arrive()?;
                }
            }
            if !any {
                return Ok(());
            }
        }
        Err("sites do not come to rest".to_owned())
    }

    fn arrive(&mut self) -> Result<(), String> {
        for (to, entry) in std::mem::take(&mut self.flight) {
            self.receive(to, &entry)?;
        }
        for site in 0..self.sites.len() {
            while self.step_reconciliation(site) {}
        }
        Ok(())
    }
}
