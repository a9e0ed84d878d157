//! Rules of the protocol that random tests rarely hit, each by hand; the numbers are those of the protocol's simulation. Every test
//! here was seen to fail with its rule broken.

use std::sync::Arc;

use halidom::model::album::NewAlbum;
use halidom::model::change;
use halidom::model::entry::Entry;
use halidom::model::photo::{self, NewPhoto, PhotoEdit, PhotoView};
use halidom::model::replica::Replica;
use halidom::model::row::Delta;
use halidom::model::set_hash::SetKey;
use halidom::model::vector::Arrival;
use halidom::model::{AlbumId, BlobHash, Origin, Owner, PhotoId, RowKey, Sha256, Stamp, TenantId, UserId, WallMs};

const ALBUM: AlbumId = AlbumId::from_bytes([9; 16]);
const PHOTO: PhotoId = PhotoId::from_bytes([5; 16]);

fn owner(number: u8) -> Owner {
    Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([number; 16]) }
}

fn site(origin: u8) -> Replica {
    Replica::new(SetKey([1; 32]), Origin([origin; 16]))
}

fn commit(site: &mut Replica, wall: u64, deltas: impl FnOnce(Stamp) -> Vec<Delta>) -> Arc<Entry> {
    let at = site.next_stamp(WallMs(wall));
    site.commit(at, deltas(at), vec![])
}

fn new_photo() -> NewPhoto {
    NewPhoto {
        hash: BlobHash::of(b"photo"),
        size_bytes: 5,
        format: "jpeg".to_owned(),
        width: 4,
        height: 3,
        orientation: 1,
        sha256: Sha256::from_bytes([1; 32]),
        crc32: 1,
        taken_at: None,
        camera_make: None,
        camera_model: None,
        lens: None,
        gps: None,
        placeholder: None,
        perceptual_hash: None,
    }
}

fn create_photo(site: &mut Replica, wall: u64, owner: Owner) -> Arc<Entry> {
    commit(site, wall, |at| vec![new_photo().create(owner, PHOTO, at, ALBUM, "name", None)])
}

fn create_album(site: &mut Replica, wall: u64, owner: Owner, id: u8) -> Arc<Entry> {
    commit(site, wall, |at| {
        vec![NewAlbum { name: "album".to_owned(), ..NewAlbum::default() }.create(owner, AlbumId::from_bytes([id; 16]), at)]
    })
}

fn photos(site: &Replica, owner: Owner) -> Vec<PhotoView> {
    let key = RowKey::photo(owner, PHOTO);
    photo::view(&key, &site.state().births(&key))
}

fn caption(site: &mut Replica, wall: u64, owner: Owner, text: &str) -> Arc<Entry> {
    let photo = photos(site, owner).pop().expect("a photo to edit");
    commit(site, wall, |at| photo.edit(at, &PhotoEdit { name: None, caption: Some(text.to_owned()) }))
}

fn purge(site: &mut Replica, wall: u64, owner: Owner) -> Arc<Entry> {
    let photo = photos(site, owner).pop().expect("a photo to purge");
    commit(site, wall, |_| change::purge(photo.key, &photo.births))
}

#[track_caller]
fn receive(site: &mut Replica, entries: &[&Arc<Entry>]) {
    for entry in entries {
        assert_eq!(site.receive(entry), Arrival::Next, "{:?}", entry.stamp());
    }
}

#[track_caller]
fn assert_same(a: &Replica, b: &Replica) {
    assert_eq!(a.state().rows(), b.state().rows());
    assert_eq!(a.state().tables(), b.state().tables());
    assert_eq!(*a.state().tables(), a.state().recomputed());
}

/// Rule 4: equal times are told apart by origin, not by site. A site was rolled back together with its clock, and edits the same
/// register at the very time at which its former life did.
#[test]
fn rule_4_two_lives_of_a_site_may_pass_the_same_time() {
    for (first, second) in [(10, 20), (20, 10)] {
        let (mut rolled_back, mut forth, mut back) = (site(first), site(1), site(2));
        let created = create_photo(&mut rolled_back, 1_000, owner(1));
        let copy = rolled_back.clone();
        let former = caption(&mut rolled_back, 2_000, owner(1), "former life");

        let mut rolled_back = copy;
        assert!(rolled_back.open(Origin([second; 16]), &Default::default(), WallMs(1_500)).is_none());
        let present = caption(&mut rolled_back, 2_000, owner(1), "present life");
        assert_eq!(former.hlc, present.hlc, "the same time, in two lives");

        receive(&mut forth, &[&created, &former, &present]);
        receive(&mut back, &[&created, &present, &former]);
        receive(&mut rolled_back, &[&former]);
        assert_same(&forth, &back);
        assert_same(&forth, &rolled_back);
        let winner = if first > second { "former life" } else { "present life" };
        assert_eq!(photos(&forth, owner(1))[0].caption.as_deref(), Some(winner));
    }
}

/// Rule 20: a deletion whose birth has not arrived waits for it for as long as it takes.
#[test]
fn rule_20_a_deletion_waits_for_its_birth_however_long() {
    let (mut author, mut deleter, mut late, mut stranger) = (site(1), site(2), site(3), site(4));
    let created = create_photo(&mut author, 1_000, owner(1));
    receive(&mut deleter, &[&created]);
    let deleted = purge(&mut deleter, 2_000, owner(1));

    receive(&mut late, &[&deleted]);
    // A long time passes: hundreds of commits of everybody who is there, logs are cut, the site is opened anew, reconciled.
    for number in 0..100 {
        let entry = create_album(&mut deleter, 10_000_000 + number, owner(2), number as u8);
        receive(&mut late, &[&entry]);
        create_album(&mut late, 20_000_000 + number, owner(3), number as u8);
    }
    late.cut(|_, _| true);
    late.open(Origin([5; 16]), &Default::default(), WallMs(30_000_000));
    create_album(&mut stranger, 30_000_000, owner(4), 1);
    late.start_reconciliation(stranger.offer());
    while late.step_reconciliation() {}

    receive(&mut late, &[&created]);
    assert!(photos(&late, owner(1)).is_empty(), "a deleted photo came back");
    assert!(late.state().births(&RowKey::photo(owner(1), PHOTO)).is_empty());
    assert!(late.state().stubs().is_empty(), "the birth is covered now: nothing is left to wait for");
}

/// Rule 21: while a reconciliation runs, entries up to the sender's vector wait. What deleted their births is covered by that vector,
/// and will never be sent.
#[test]
fn rule_21_entries_that_a_running_reconciliation_covers_wait() {
    let (mut author, mut sender, mut receiver) = (site(1), site(2), site(3));
    let both = commit(&mut author, 1_000, |at| {
        let album = |owner| NewAlbum::default().create(owner, ALBUM, at);
        vec![album(owner(1)), album(owner(2))]
    });
    let created = create_photo(&mut author, 1_001, owner(2));
    receive(&mut sender, &[&both, &created]);
    purge(&mut sender, 2_000, owner(2));

    receiver.start_reconciliation(sender.offer());
    assert!(receiver.step_reconciliation(), "one owner's rows are done, the other's are not");
    let arrivals = [receiver.receive(&both), receiver.receive(&created)];
    while receiver.step_reconciliation() {}

    assert!(photos(&receiver, owner(2)).is_empty(), "a deleted photo came back");
    assert_same(&receiver, &sender);
    assert_eq!(arrivals, [Arrival::Waits; 2]);
    assert_eq!(receiver.receive(&created), Arrival::Known, "the reconciliation brought it");
}

/// Rule 22: an edit that stands there without its creation goes when the birth becomes covered: the birth was deleted.
#[test]
fn rule_22_an_edit_without_its_creation_goes_when_its_birth_is_covered() {
    let (mut author, mut editor, mut sender, mut receiver) = (site(1), site(2), site(3), site(4));
    let created = create_photo(&mut author, 1_000, owner(2));
    receive(&mut editor, &[&created]);
    receive(&mut sender, &[&created]);
    let album = create_album(&mut sender, 1_500, owner(2), 1);
    let deleted = purge(&mut sender, 2_000, owner(2));
    let edited = caption(&mut editor, 2_000, owner(2), "an edit of what is deleted elsewhere");

    receiver.start_reconciliation(sender.offer());
    assert!(receiver.step_reconciliation());
    // Not covered by the sender's vector, so it does not wait; the birth that it edits is neither here nor covered yet.
    receive(&mut receiver, &[&edited]);
    while receiver.step_reconciliation() {}

    receive(&mut sender, &[&edited]);
    assert!(receiver.state().stubs().is_empty());
    assert_same(&receiver, &sender);
    receive(&mut editor, &[&album, &deleted]);
    assert_same(&receiver, &editor);
}

/// Equal sums do not mean that there is nothing to take over: a deletion that waits for its birth is in no sum.
#[test]
fn a_reconciliation_takes_over_deletions_that_wait_though_sums_are_equal() {
    let (mut author, mut deleter, mut sender, mut receiver) = (site(1), site(2), site(3), site(4));
    let created = create_photo(&mut author, 1_000, owner(1));
    receive(&mut deleter, &[&created]);
    let album = create_album(&mut deleter, 1_500, owner(1), 1);
    let deleted = purge(&mut deleter, 2_000, owner(1));
    receive(&mut sender, &[&album, &deleted]);
    receive(&mut receiver, &[&album]);
    assert_eq!(sender.state().tables().root, receiver.state().tables().root);

    receiver.start_reconciliation(sender.offer());
    while receiver.step_reconciliation() {}
    assert_eq!(receiver.receive(&deleted), Arrival::Known, "it is covered, so it will never be sent again");
    receive(&mut receiver, &[&created]);
    assert!(photos(&receiver, owner(1)).is_empty(), "a deleted photo came back");
}

/// Rule 3: a reconciliation that is interrupted claims nothing: the vector comes last.
#[test]
fn an_interrupted_reconciliation_starts_again() {
    let (mut sender, mut receiver) = (site(1), site(2));
    create_photo(&mut sender, 1_000, owner(1));
    create_photo(&mut sender, 1_001, owner(2));
    receiver.start_reconciliation(sender.offer());
    assert!(receiver.step_reconciliation());
    receiver.open(Origin([3; 16]), &Default::default(), WallMs(2_000));
    assert!(!receiver.is_reconciling());
    assert_eq!(receiver.state().vector().iter().count(), 0);

    receiver.start_reconciliation(sender.offer());
    while receiver.step_reconciliation() {}
    assert_same(&receiver, &sender);
    let next = create_album(&mut sender, 3_000, owner(1), 1);
    receive(&mut receiver, &[&next]);
}

#[test]
fn entries_come_in_order_and_unforged() {
    let (mut author, mut reader) = (site(1), site(2));
    let entries: Vec<_> = (0..3).map(|number| create_album(&mut author, 1_000 + number, owner(1), number as u8)).collect();
    assert_eq!(reader.receive(&entries[1]), Arrival::Gap);
    receive(&mut reader, &[&entries[0], &entries[1]]);
    assert_eq!(reader.receive(&entries[0]), Arrival::Known);
    let forged = Arc::new(Entry { previous: entries[0].previous, ..(*entries[2]).clone() });
    assert_eq!(reader.receive(&forged), Arrival::Broken);
    receive(&mut reader, &[&entries[2]]);
    assert_eq!(author.receive(&entries[2]), Arrival::Known, "own entries never come back in");
    let orphan = Arc::new(Entry { origin: Origin([9; 16]), seq: halidom::model::Seq(1), ..(*entries[1]).clone() });
    assert_eq!(reader.receive(&orphan), Arrival::Broken, "the first of an origin follows nothing");
}
