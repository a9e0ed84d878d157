//! Sites, clients' memory, and the dice.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use halidom::model::album::{self, AlbumView};
use halidom::model::change::Seen;
use halidom::model::entry::Entry;
use halidom::model::erasure::{Erasure, Ledger};
use halidom::model::photo::{self, PhotoView};
use halidom::model::replica::{Replica, State};
use halidom::model::row::Delta;
use halidom::model::set_hash::SetKey;
use halidom::model::vector::VersionVector;
use halidom::model::{BlobHash, Kind, Origin, Owner, RowKey, Seq, Stamp, TenantId, UserId, WallMs};

pub const OWNERS: u64 = 3;
pub const PHOTOS: u64 = 8;
pub const ALBUMS: u64 = 3;

/// Splitmix64.
pub struct Dice(u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }

    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.index(from.len())) }
    }
}

/// What a client sees in one row.
pub type Shown = (Vec<PhotoView>, Option<AlbumView>);

/// What clients see of a whole site.
pub type Visible = BTreeMap<RowKey, Shown>;

pub fn visible(state: &State) -> Visible {
    let shown = state.rows().iter().map(|(key, births)| {
        let shown = match key.kind {
            Kind::PHOTO => (photo::view(key, births), None),
            _ => (vec![], album::view(key, births)),
        };
        (*key, shown)
    });
    shown.filter(|(_, (photos, album))| !photos.is_empty() || album.is_some()).collect()
}

/// A photo or an album as a client sees it, in the trash or not.
#[derive(Clone, Debug)]
pub enum Thing {
    Photo(Box<PhotoView>),
    Album(AlbumView),
}

impl Thing {
    pub fn key(&self) -> RowKey {
        match self {
            Self::Photo(photo) => photo.key,
            Self::Album(album) => album.key,
        }
    }

    /// The bytes; none for an album.
    pub fn hash(&self) -> Option<BlobHash> {
        match self {
            Self::Photo(photo) => Some(photo.hash),
            Self::Album(_) => None,
        }
    }

    pub fn births(&self) -> &[Seen] {
        match self {
            Self::Photo(photo) => &photo.births,
            Self::Album(album) => &album.births,
        }
    }

    /// Births and places: everything that a deletion by who saw this may take along.
    pub fn observed(&self) -> BTreeSet<Stamp> {
        self.births().iter().flat_map(|seen| [Some(seen.birth), seen.place]).flatten().collect()
    }
}

fn photo_thing(photo: PhotoView) -> Thing {
    Thing::Photo(Box::new(photo))
}

pub fn things(state: &State, trashed: bool) -> Vec<Thing> {
    let things = state.rows().iter().flat_map(|(key, births)| match key.kind {
        Kind::PHOTO if trashed => photo::view_trashed(key, births).into_iter().map(photo_thing).collect::<Vec<_>>(),
        Kind::PHOTO => photo::view(key, births).into_iter().map(photo_thing).collect(),
        _ if trashed => album::view_trashed(key, births).into_iter().map(Thing::Album).collect(),
        _ => album::view(key, births).into_iter().map(Thing::Album).collect(),
    });
    things.collect()
}

pub struct Site {
    pub replica: Replica,
    /// Outside the store: it survives a rollback.
    pub ledger: Ledger,
    /// Of this site's clock from the world's.
    pub offset: i64,
    pub away: bool,
    /// Copies of the disk that a rollback may bring back.
    pub copies: Vec<Rc<Replica>>,
    /// Checkpoints with their commits.
    pub checkpoints: Vec<(usize, State)>,
    /// What clients saw at a commit.
    pub seen: Vec<(usize, Visible)>,
    /// Who is being reconciled with.
    pub sender: Option<usize>,
    /// How far each peer is, as it said last.
    pub known: Vec<VersionVector>,
    pub given_up: Vec<bool>,
}

/// A trashing that was acknowledged.
pub struct Trashing {
    pub key: RowKey,
    pub at: Stamp,
    /// Births with the places at which they were seen.
    pub seen: BTreeSet<(Stamp, Stamp)>,
}

/// What clients were told.
#[derive(Default)]
pub struct Told {
    pub entries: BTreeMap<(Origin, Seq), Arc<Entry>>,
    pub adds: Vec<(RowKey, Stamp, Option<BlobHash>)>,
    /// Row, commit, what it saw.
    pub deletes: Vec<(RowKey, Stamp, BTreeSet<Stamp>)>,
    pub trashes: Vec<Trashing>,
    pub erased: BTreeSet<Erasure>,
    /// A reconciliation was cut short: rows without the vector that covers them.
    pub cut_short: bool,
    /// A disk was rolled back: commits may be lost that nobody else has.
    pub rolled_back: bool,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Stats {
    pub entries: u64,
    pub repetitions: u64,
    pub reconciliations: u64,
    pub waited: u64,
    pub rollbacks: u64,
    pub restores: u64,
    pub put_backs: u64,
    pub erasures: u64,
    pub entries_cut: u64,
    pub past_reads: u64,
    pub rows_with_two_births: u64,
    pub repaired: u64,
}

impl Stats {
    fn all(&mut self) -> [&mut u64; 12] {
        [
            &mut self.entries,
            &mut self.repetitions,
            &mut self.reconciliations,
            &mut self.waited,
            &mut self.rollbacks,
            &mut self.restores,
            &mut self.put_backs,
            &mut self.erasures,
            &mut self.entries_cut,
            &mut self.past_reads,
            &mut self.rows_with_two_births,
            &mut self.repaired,
        ]
    }

    pub fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (own, other) in self.all().into_iter().zip(other.all()) {
            *own += *other;
        }
    }

    /// A simulation in which something never happens proves nothing of it. (Repairs are too rare to ask for.)
    pub fn assert_everything_happened(&mut self) {
        let text = format!("{self:?}");
        assert!(self.all()[..11].iter().all(|count| **count > 0), "something never happened: {text}");
    }
}

pub struct World {
    pub dice: Dice,
    pub sites: Vec<Site>,
    pub time: i64,
    pub told: Told,
    /// Entries on their way to a site.
    pub flight: Vec<(usize, Arc<Entry>)>,
    pub stats: Stats,
    lives: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
            sites: vec![],
            time: 1_000,
            told: Told::default(),
            flight: vec![],
            stats: Stats::default(),
            lives: 0,
        };
        let count = 2 + world.dice.index(2);
        for _ in 0..count {
            let replica = Replica::new(SetKey([7; 32]), world.new_origin());
            world.sites.push(Site {
                copies: vec![Rc::new(replica.clone())],
                replica,
                ledger: Ledger::default(),
                offset: world.dice.below(40) as i64 - 20,
                away: false,
                checkpoints: vec![],
                seen: vec![],
                sender: None,
                known: vec![VersionVector::default(); count],
                given_up: vec![false; count],
            });
        }
        world
    }

    /// Never used before; not in the order of lives.
    pub fn new_origin(&mut self) -> Origin {
        self.lives += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.dice.below(u64::MAX).to_be_bytes());
        bytes[8..].copy_from_slice(&self.lives.to_be_bytes());
        Origin(bytes)
    }

    pub fn owner(&mut self) -> Owner {
        Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([1 + self.dice.below(OWNERS) as u8; 16]) }
    }

    pub fn wall(&self, site: usize) -> WallMs {
        WallMs((self.time + self.sites[site].offset).max(1) as u64)
    }

    pub fn state(&self, site: usize) -> &State {
        self.sites[site].replica.state()
    }

    pub fn next_stamp(&self, site: usize) -> Stamp {
        self.sites[site].replica.next_stamp(self.wall(site))
    }

    /// One local commit. Nothing to write: no commit.
    pub fn commit(&mut self, site: usize, at: Stamp, deltas: Vec<Delta>, erasures: Vec<Erasure>) {
        if deltas.is_empty() && erasures.is_empty() {
            return;
        }
        let entry = self.sites[site].replica.commit(at, deltas, erasures);
        self.note(site, entry);
    }

    fn note(&mut self, site: usize, entry: Arc<Entry>) {
        self.told.erased.extend(&entry.erasures);
        for erasure in &entry.erasures {
            self.sites[site].ledger.insert(*erasure);
        }
        self.told.entries.insert((entry.origin, entry.seq), entry);
        self.stats.entries += 1;
    }

    /// Opens a site's disk, the present one or an old copy.
    pub fn open(&mut self, site: usize, old: Option<Rc<Replica>>) {
        self.told.cut_short |= self.sites[site].replica.is_reconciling();
        if let Some(old) = old {
            self.stats.rollbacks += 1;
            self.told.rolled_back = true;
            self.told.cut_short |= self.sites.iter().any(|other| other.replica.is_reconciling() && other.sender == Some(site));
            let site = &mut self.sites[site];
            site.replica = (*old).clone();
            let commits = site.replica.last_commit();
            site.checkpoints.retain(|(commit, _)| *commit <= commits);
            site.seen.retain(|(commit, _)| *commit <= commits);
            site.copies.retain(|copy| copy.last_commit() <= commits);
        }
        let (origin, wall) = (self.new_origin(), self.wall(site));
        let Site { replica, ledger, .. } = &mut self.sites[site];
        if let Some(entry) = replica.open(origin, ledger, wall) {
            self.note(site, entry);
        }
    }

    pub fn run(&mut self) -> Result<(), String> {
        let steps = 60 + self.dice.below(240);
        for _ in 0..steps {
            self.step()?;
        }
        self.finish()
    }

    fn step(&mut self) -> Result<(), String> {
        let count = self.sites.len();
        let i = self.dice.index(count);
        let peer = (i + 1 + self.dice.index(count - 1)) % count;
        self.time += self.dice.below(2) as i64;
        match self.dice.below(100) {
            0..=39 => self.act(i)?,
            40..=54 => {
                if !self.sites[i].away && !self.sites[peer].away {
                    self.pull(i, peer, 4);
                }
            }
            55..=79 => self.deliver_one()?,
            80..=84 => {
                if !self.sites[i].away {
                    self.step_reconciliation(i);
                }
            }
            85..=86 => {
                let copy = Rc::new(self.sites[i].replica.clone());
                self.sites[i].copies.push(copy);
            }
            87..=88 => {
                let checkpoint = (self.sites[i].replica.last_commit(), self.state(i).clone());
                self.sites[i].checkpoints.push(checkpoint);
            }
            89..=90 => {
                let seen = (self.sites[i].replica.last_commit(), visible(self.state(i)));
                self.sites[i].seen.push(seen);
            }
            91 => self.reopen_or_roll_back(i),
            92..=93 => self.sites[i].away = !self.sites[i].away && self.dice.one_in(2),
            94..=95 => self.cut_log(i),
            96..=98 => self.check_past(i)?,
            _ => self.sites[i].offset += self.dice.below(7) as i64 - 3,
        }
        self.check_site(i)
    }

    fn reopen_or_roll_back(&mut self, site: usize) {
        if self.dice.one_in(2) {
            return self.open(site, None);
        }
        if self.dice.one_in(2) {
            let copy = self.dice.pick(&self.sites[site].copies).cloned();
            self.open(site, copy);
            // Its clock may have gone back, too, so that the new life passes the same times again.
            if self.dice.one_in(2) {
                self.sites[site].offset = self.sites[site].replica.hlc().wall().0 as i64 - self.time - 10;
            } else {
                self.sites[site].offset -= self.dice.below(12) as i64;
            }
        }
    }
}
