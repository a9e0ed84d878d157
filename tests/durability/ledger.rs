//! What was sent, what was acknowledged, and whether a site still has it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use halidom::api::Photo;
use halidom::model::{BlobHash, PhotoId};

use super::photos::Naming;
use super::{Failure, Photos, Site};

/// Downloads at once.
const DOWNLOADS: usize = 8;
/// What is wrong, one line each; empty: nothing.
pub type Problems = Vec<String>;

/// The test's own memory of what the site promised.
#[derive(Debug)]
pub struct Ledger {
    /// The photos of this run.
    pub photos: Photos,
    begun: BTreeSet<u64>,
    /// Upload to photo, in the order of uploads.
    acknowledged: BTreeMap<u64, PhotoId>,
    next: u64,
}

impl Ledger {
    /// Nothing was sent yet.
    pub fn new(photos: Photos) -> Self {
        Self { photos, begun: BTreeSet::new(), acknowledged: BTreeMap::new(), next: 0 }
    }

    /// A number never sent before.
    pub fn begin(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.begun.insert(number);
        number
    }

    /// The site acknowledged this upload as this photo.
    ///
    /// # Errors
    /// Where the answer itself is wrong: another id, hash or size than what was sent has.
    pub fn acknowledge(&mut self, number: u64, photo: &Photo) -> Result<(), String> {
        self.acknowledged.insert(number, photo.id);
        self.differences(number, photo)
    }

    /// How many photos were acknowledged.
    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }

    /// The acknowledged photos: upload and id.
    pub fn acknowledged(&self) -> impl Iterator<Item = (u64, PhotoId)> + '_ {
        self.acknowledged.iter().map(|(number, id)| (*number, *id))
    }

    /// Uploads that were begun and never acknowledged: a client that comes back sends them again.
    pub fn unfinished(&self) -> Vec<u64> {
        self.begun.iter().copied().filter(|number| !self.acknowledged.contains_key(number)).collect()
    }

    /// The number that the next new upload gets: what a later [`Ledger::prove`] downloads from.
    pub fn mark(&self) -> u64 {
        self.next
    }

    /// A control: from here on the ledger believes in an acknowledgement that never was.
    pub fn invent(&mut self) -> u64 {
        let number = self.begin();
        self.acknowledged.insert(number, PhotoId::from_bytes([7; 16]));
        number
    }

    /// Proves that every acknowledged photo is listed in its album with its hash, that nothing is listed which was not sent, and that
    /// what is listed is whole: every photo from upload `from` on is downloaded and compared byte for byte.
    ///
    /// # Errors
    /// Where the site does not answer, or refuses.
    pub async fn prove(&self, site: &Site, from: u64) -> Result<Problems, Failure> {
        let mut problems = vec![];
        let mut listed: BTreeMap<u64, PhotoId> = BTreeMap::new();
        let known: BTreeSet<_> = self.photos.albums().into();
        for album in site.albums().await? {
            if !known.contains(&album.id) {
                problems.push(format!("the album {} ({:?}) was never made", album.id, album.name));
            }
            let photos = site.photos(album.id).await?;
            if album.photo_count != photos.len() as u64 {
                problems.push(format!("the album {} counts {} photos and lists {}", album.id, album.photo_count, photos.len()));
            }
            for photo in photos {
                match self.listed(&photo) {
                    Ok(number) => {
                        if let Some(twin) = listed.insert(number, photo.id) {
                            problems.push(format!("upload {number} shows twice: {twin} and {}", photo.id));
                        }
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        for (number, id) in self.acknowledged() {
            match listed.get(&number) {
                Some(found) if *found == id => {}
                Some(found) => problems.push(format!("upload {number} was acknowledged as {id} and is now {found}")),
                None => problems.push(format!("upload {number}, acknowledged as {id}, is gone")),
            }
        }
        let recent = listed.range(from..).map(|(number, id)| (*number, *id));
        let mut downloads = stream::iter(recent).map(|(number, id)| self.download(site, number, id)).buffer_unordered(DOWNLOADS);
        while let Some(downloaded) = downloads.next().await {
            problems.extend(downloaded.err());
        }
        Ok(problems)
    }

    /// What upload a listed photo is, if it is one and says the truth about itself.
    fn listed(&self, photo: &Photo) -> Result<u64, String> {
        let number = Photos::number(&photo.name).filter(|number| self.begun.contains(number));
        let number = number.ok_or_else(|| format!("the photo {} ({:?}) was never sent", photo.id, photo.name))?;
        self.differences(number, photo)?;
        Ok(number)
    }

    fn differences(&self, number: u64, photo: &Photo) -> Result<(), String> {
        let bytes = self.photos.bytes(number);
        let (hash, size_bytes) = (BlobHash::of(&bytes), bytes.len() as u64);
        if (photo.hash, photo.size_bytes) != (hash, size_bytes) {
            return Err(format!("upload {number} is {hash} of {size_bytes} bytes, its photo says {} of {}", photo.hash, photo.size_bytes));
        }
        if photo.album != self.photos.album(number) {
            return Err(format!("upload {number} went into {}, its photo says {}", self.photos.album(number), photo.album));
        }
        match self.photos.naming(number) {
            Naming::Own(id) if id != photo.id => Err(format!("upload {number} was named {id}, its photo is {}", photo.id)),
            _ => Ok(()),
        }
    }

    async fn download(&self, site: &Site, number: u64, id: PhotoId) -> Result<(), String> {
        match site.original(id).await {
            Ok(bytes) if bytes == self.photos.bytes(number) => Ok(()),
            Ok(bytes) => Err(format!("upload {number} ({id}) comes back as {} other bytes", bytes.len())),
            Err(failure) => Err(format!("upload {number} ({id}) does not come back: {failure:?}")),
        }
    }
}
