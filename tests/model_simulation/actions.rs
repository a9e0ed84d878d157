//! What clients and operators do at one site.

use std::collections::BTreeSet;

use halidom::model::album::{self, AlbumEdit, NewAlbum};
use halidom::model::erasure::Erasure;
use halidom::model::photo::{self, NewPhoto, PhotoEdit};
use halidom::model::row::Delta;
use halidom::model::{AlbumId, BlobHash, Owner, PhotoId, RowKey, Sha256, Stamp};

use super::world::{ALBUMS, PHOTOS, Thing, Trashing, World, things};

pub fn album_id(number: u64) -> AlbumId {
    AlbumId::from_bytes([0xa0 + number as u8; 16])
}

pub fn photo_of(bytes: u64) -> NewPhoto {
    NewPhoto {
        hash: BlobHash::of(&[bytes as u8]),
        size_bytes: 100 + bytes,
        format: "jpeg".to_owned(),
        width: 4,
        height: 3,
        orientation: 1,
        sha256: Sha256::from_bytes([bytes as u8; 32]),
        crc32: bytes as u32,
        taken_at: None,
        camera_make: None,
        camera_model: None,
        lens: None,
        gps: None,
        placeholder: None,
        perceptual_hash: None,
    }
}

impl World {
    pub fn act(&mut self, site: usize) -> Result<(), String> {
        let at = self.next_stamp(site);
        let owner = self.owner();
        match self.dice.below(20) {
            0..=5 => self.create(site, at, owner),
            6..=8 => return self.edit(site, at),
            9..=10 => self.move_photo(site, at),
            11..=12 => self.trash(site, at),
            13..=14 => self.put_back(site, at),
            15..=16 => {
                if let Some(thing) = self.pick(site, true) {
                    self.told.deletes.push((thing.key(), at, thing.observed()));
                    self.commit(site, at, halidom::model::change::purge(thing.key(), thing.births()), vec![]);
                }
            }
            17 => self.erase(site, at, owner),
            _ => self.restore(site, at, owner),
        }
        Ok(())
    }

    fn pick(&mut self, site: usize, trashed: bool) -> Option<Thing> {
        let things = things(self.state(site), trashed);
        self.dice.pick(&things).cloned()
    }

    /// Few ids, so that two sites create the same one, also with other bytes.
    fn create(&mut self, site: usize, at: Stamp, owner: Owner) {
        let is_album = self.dice.one_in(4);
        let id = self.dice.below(if is_album { ALBUMS } else { PHOTOS });
        let (bytes, album) = (self.dice.below(3), album_id(self.dice.below(ALBUMS)));
        let name = format!("{at:?}");
        let (delta, hash) = if is_album {
            (NewAlbum { name, description: String::new() }.create(owner, album_id(id), at), None)
        } else {
            let photo = photo_of(bytes);
            (photo.create(owner, PhotoId::from_bytes([id as u8; 16]), at, album, &name, None), Some(photo.hash))
        };
        // Erased: 410. Live or in the trash: a retry, answered, or 409.
        if self.state(site).ledger().covers(&delta.key) || self.state(site).births(&delta.key).live().next().is_some() {
            return;
        }
        self.told.adds.push((delta.key, at, hash));
        self.commit(site, at, vec![delta], vec![]);
    }

    fn edit(&mut self, site: usize, at: Stamp) -> Result<(), String> {
        let Some(thing) = self.pick(site, false) else { return Ok(()) };
        let text = format!("{at:?}");
        self.commit(site, at, edit_of(&thing, at, &text), vec![]);
        let shown = things(self.state(site), false).into_iter().any(|now| match now {
            Thing::Photo(photo) => photo.key == thing.key() && Some(photo.hash) == thing.hash() && photo.caption.as_ref() == Some(&text),
            Thing::Album(album) => album.key == thing.key() && album.description == text,
        });
        if shown { Ok(()) } else { Err("an edit just acknowledged is not visible at its own site".to_owned()) }
    }

    fn move_photo(&mut self, site: usize, at: Stamp) {
        if let Some(Thing::Photo(photo)) = self.pick(site, false) {
            let to = album_id(self.dice.below(ALBUMS));
            self.commit(site, at, photo.move_to(at, to), vec![]);
        }
    }

    fn trash(&mut self, site: usize, at: Stamp) {
        let Some(thing) = self.pick(site, false) else { return };
        let deltas = match &thing {
            Thing::Photo(photo) => {
                self.note_trash(at, &thing);
                photo.trash()
            }
            Thing::Album(album) => {
                let inside =
                    |other: &Thing| matches!(other, Thing::Photo(photo) if photo.key.owner == album.key.owner && photo.album == album.id);
                let photos: Vec<Thing> = things(self.state(site), false).into_iter().filter(inside).collect();
                photos.iter().chain([&thing]).for_each(|thing| self.note_trash(at, thing));
                album.trash_with(photos.iter().filter_map(|thing| match thing {
                    Thing::Photo(photo) => Some(&**photo),
                    Thing::Album(_) => None,
                }))
            }
        };
        self.commit(site, at, deltas, vec![]);
    }

    fn note_trash(&mut self, at: Stamp, thing: &Thing) {
        let seen = thing.births().iter().filter_map(|seen| Some((seen.birth, seen.place?))).collect();
        self.told.trashes.push(Trashing { key: thing.key(), at, seen });
        self.told.deletes.push((thing.key(), at, thing.observed()));
    }

    fn put_back(&mut self, site: usize, at: Stamp) {
        let Some(thing) = self.pick(site, true) else { return };
        self.stats.put_backs += 1;
        let now = self.state(site).births(&thing.key());
        self.told.adds.push((thing.key(), at, thing.hash()));
        let deltas = match &thing {
            Thing::Photo(photo) => photo::put_back(photo.key, at, &photo.hash, &now, &now, None),
            Thing::Album(album) => album::put_back(album.key, at, &now, &now),
        };
        self.commit(site, at, deltas, vec![]);
    }

    fn erase(&mut self, site: usize, at: Stamp, owner: Owner) {
        if !self.dice.one_in(4) {
            return;
        }
        let erasure = if self.dice.one_in(6) {
            Erasure::Owner(owner)
        } else if let Some(thing) = self.pick(site, false) {
            Erasure::Row(thing.key())
        } else {
            return;
        };
        if !self.state(site).ledger().contains(&erasure) {
            self.stats.erasures += 1;
            self.commit(site, at, vec![], vec![erasure]);
        }
    }

    /// Brings one owner back to a checkpoint, by ordinary forward changes. One creation a row and commit.
    fn restore(&mut self, site: usize, at: Stamp, owner: Owner) {
        let Some((_, then)) = self.dice.pick(&self.sites[site].checkpoints).cloned() else { return };
        let of_owner = |thing: &Thing| thing.key().owner == owner;
        let identity = |thing: &Thing| (thing.key(), thing.hash());
        let was: Vec<Thing> = things(&then, false).into_iter().filter(of_owner).collect();
        let is: Vec<Thing> = things(self.state(site), false).into_iter().filter(of_owner).collect();
        let ledger = self.state(site).ledger().clone();
        let mut deltas: Vec<Delta> = vec![];
        let mut reborn: BTreeSet<RowKey> = BTreeSet::new();
        for thing in was.iter().filter(|thing| !ledger.covers(&thing.key())) {
            if let Some(now) = is.iter().find(|now| identity(now) == identity(thing)) {
                let text = match thing {
                    Thing::Photo(photo) => photo.caption.clone(),
                    Thing::Album(album) => Some(album.description.clone()),
                };
                deltas.extend(edit_of(now, at, &text.unwrap_or_default()));
            } else if reborn.insert(thing.key()) {
                let (now, from) = (self.state(site).births(&thing.key()), then.births(&thing.key()));
                self.told.adds.push((thing.key(), at, thing.hash()));
                deltas.extend(match thing {
                    Thing::Photo(photo) => photo::put_back(photo.key, at, &photo.hash, &now, &from, None),
                    Thing::Album(album) => album::put_back(album.key, at, &now, &from),
                });
            }
        }
        for thing in is.iter().filter(|thing| !was.iter().any(|was| identity(was) == identity(thing))) {
            self.note_trash(at, thing);
            deltas.extend(match thing {
                Thing::Photo(photo) => photo.trash(),
                Thing::Album(album) => album.trash(),
            });
        }
        self.stats.restores += u64::from(!deltas.is_empty());
        self.commit(site, at, deltas, vec![]);
    }
}

fn edit_of(thing: &Thing, at: Stamp, text: &str) -> Vec<Delta> {
    match thing {
        Thing::Photo(photo) => photo.edit(at, &PhotoEdit { name: None, caption: Some(text.to_owned()) }),
        Thing::Album(album) => album.edit(at, &AlbumEdit { name: None, description: Some(text.to_owned()) }),
    }
}
