//! Entries, their chains, the vector, the journal.

use super::{Checker, Fault};
use crate::metadata::MetadataError;
use crate::metadata::column::{Column, Entries, HeadsOf, Journal, Vector};
use crate::metadata::engine::Bounds;
use crate::metadata::key::{Commit, Key};
use crate::metadata::read::Read;
use crate::metadata::record::JournalRow;
use crate::metadata::table;
use crate::model::entry::{ChainHash, Entry};
use crate::model::vector::{Head, VersionVector};
use crate::model::{Origin, Seq};

impl Checker<'_> {
    pub(super) fn log(&mut self) -> Result<(), MetadataError> {
        let vector = self.vector.clone();
        let mut ends = VersionVector::default();
        let mut previous: Option<(Origin, Seq, ChainHash)> = None;
        self.scan::<Entries>(&Bounds::all(), |checker, (origin, seq), stored| {
            checker.checked.entries += 1;
            let key = (origin, seq).to_key();
            let hash = Entry::chain_hash(&stored.bytes);
            match Entry::decode(&stored.bytes) {
                Err(error) => checker.report(Fault::Malformed, Entries::ID, key, error.to_string()),
                Ok(entry) if (entry.origin, entry.seq) != (origin, seq) => {
                    checker.report(Fault::Differs, Entries::ID, key, "the entry is another's");
                }
                Ok(entry) => {
                    let follows = match previous {
                        Some((same, before, chain)) if same == origin => before.0 + 1 == seq.0 && chain == entry.previous,
                        // The first that is kept: the log before it may have been cut.
                        _ => seq.0 > 1 || entry.previous == ChainHash::ROOT,
                    };
                    if !follows {
                        checker.report(Fault::Broken, Entries::ID, key, "does not follow from the entry before it");
                    }
                }
            }
            previous = Some((origin, seq, hash));
            ends.set(origin, Head { seq, chain: Some(hash) });
            checker.expect::<Journal>(&stored.commit, &JournalRow::Entry { origin, seq }, "the commit that applied an entry")
        })?;
        for (origin, end) in ends.iter() {
            self.expect::<Vector>(origin, end, "the end of the origin's log")?;
        }
        for (origin, head) in vector.iter() {
            if head.chain.is_some() && ends.get(origin).is_none() {
                self.report(Fault::Extra, Vector::ID, origin.to_key(), "a head without its entry");
            }
        }
        self.journal(&vector)
    }

    fn journal(&mut self, vector: &VersionVector) -> Result<(), MetadataError> {
        let mut next: Option<u64> = None;
        self.scan::<Journal>(&Bounds::all(), |checker, commit, row| {
            checker.checked.commits += 1;
            if next.is_some_and(|next| next != commit.0) {
                checker.report(Fault::Missing, Journal::ID, Commit(next.unwrap_or(0)).to_key(), "a gap in the commits");
            }
            next = Some(commit.0 + 1);
            // An entry that cannot be read was reported before.
            if let JournalRow::Entry { origin, seq } = row
                && checker.snapshot.entry(origin, seq).is_ok_and(|entry| entry.is_none_or(|entry| entry.commit != commit))
            {
                checker.report(Fault::Extra, Journal::ID, commit.to_key(), "a commit of an entry that is not there");
            }
            Ok(())
        })?;
        let last = next.map_or(0, |next| next - 1);
        let heads = match table::get::<HeadsOf>(self.source(), &()) {
            Ok(Some(heads)) => heads,
            Ok(None) => {
                self.report(Fault::Missing, HeadsOf::ID, vec![], "how far the store has come");
                return Ok(());
            }
            Err(error) => {
                self.report(Fault::Malformed, HeadsOf::ID, vec![], error.to_string());
                return Ok(());
            }
        };
        if heads.commit != Commit(last) {
            self.report(Fault::Differs, HeadsOf::ID, vec![], format!("says commit {}, the journal ends with {last}", heads.commit.0));
        }
        if let Some(own) = heads.own
            && vector.get(&own.origin) != Some(&Head { seq: own.seq, chain: Some(own.chain) })
        {
            self.report(Fault::Differs, HeadsOf::ID, vec![], "the last own entry is not the end of its origin");
        }
        Ok(())
    }
}
