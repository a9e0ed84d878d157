//! What users see of rows, and what their changes do and do not touch.

use halidom::model::Gps;
use halidom::model::album::{self, NewAlbum};
use halidom::model::change;
use halidom::model::derive::{Derived, derive};
use halidom::model::photo::{self, NewPhoto, PhotoEdit};
use halidom::model::row::{Births, Delta, Field, Live, Row};
use halidom::model::set_hash::SetKey;
use halidom::model::tenant::{self, NewTenant, RenditionSettings, SigningKey, TenantEdit};
use halidom::model::token::{self, NewToken, Scope, Scopes};
use halidom::model::user::{self, NewUser, UserEdit};
use halidom::model::{
    AlbumId, BlobHash, Hlc, Origin, Owner, PerceptualHash, PhotoId, RowKey, Seq, Sha256, Stamp, TenantId, TokenId, WallMs,
};

const A: AlbumId = AlbumId::from_bytes([0xa; 16]);
const B: AlbumId = AlbumId::from_bytes([0xb; 16]);
const PHOTO: PhotoId = PhotoId::from_bytes([5; 16]);

/// The commit of a site at a time; times are told apart, so the origin hardly matters.
fn at(time: u64) -> Stamp {
    Stamp { hlc: Hlc(time << 16), origin: Origin([1; 16]), seq: Seq(time) }
}

fn photo_key() -> RowKey {
    RowKey::photo(Owner::DEFAULT, PHOTO)
}

fn joined<'a>(deltas: impl IntoIterator<Item = &'a Delta>) -> Births {
    let mut births = Births::default();
    deltas.into_iter().for_each(|delta| births.join(delta.birth, &delta.row, false));
    births
}

fn and(births: &Births, deltas: &[Delta]) -> Births {
    let mut births = births.clone();
    deltas.iter().for_each(|delta| births.join(delta.birth, &delta.row, false));
    births
}

fn new_photo(bytes: u8) -> NewPhoto {
    NewPhoto {
        hash: BlobHash::of(&[bytes]),
        size_bytes: 7,
        format: "jpeg".to_owned(),
        width: 4,
        height: 3,
        orientation: 6,
        sha256: Sha256::from_bytes([bytes; 32]),
        crc32: 8,
        taken_at: Some("2012-07-14T16:30:12".to_owned()),
        camera_make: Some("make".to_owned()),
        camera_model: Some("model".to_owned()),
        lens: Some("lens".to_owned()),
        gps: Some(Gps { latitude_e7: -338_500_000, longitude_e7: 1_512_000_000, altitude_mm: None }),
        placeholder: Some(vec![1, 2, 3]),
        perceptual_hash: Some(PerceptualHash(0x0123_4567_89ab_cdef)),
    }
}

fn created(bytes: u8, time: u64, name: &str) -> Delta {
    new_photo(bytes).create(Owner::DEFAULT, PHOTO, at(time), A, name, None)
}

fn view(births: &Births) -> Vec<photo::PhotoView> {
    photo::view(&photo_key(), births)
}

fn derived(key: &RowKey, births: &Births) -> Derived {
    derive(&SetKey([0; 32]), key, births)
}

#[test]
fn a_photo_shows_what_it_was_created_with() {
    let new = new_photo(1);
    let births = joined(&[new.create(Owner::DEFAULT, PHOTO, at(1), A, "p.jpg", Some("a cat"))]);
    let shown = view(&births).remove(0);
    assert_eq!((shown.id, shown.hash, shown.size_bytes, shown.format.as_str()), (PHOTO, new.hash, 7, "jpeg"));
    assert_eq!((shown.width, shown.height, shown.orientation, shown.crc32, shown.sha256), (4, 3, 6, 8, new.sha256));
    assert_eq!((shown.name.as_str(), shown.caption.as_deref(), shown.album), ("p.jpg", Some("a cat"), A));
    assert_eq!((shown.taken_at, shown.camera_make, shown.camera_model), (new.taken_at, new.camera_make, new.camera_model));
    assert_eq!((shown.lens, shown.gps, shown.placeholder), (new.lens, new.gps, new.placeholder));
    assert_eq!(shown.perceptual_hash, new.perceptual_hash);
    assert_eq!((shown.created, shown.first_created, shown.trashed), (at(1), WallMs(1), false));
}

#[test]
fn one_id_and_the_same_bytes_from_two_sites_are_one_photo() {
    let births = joined(&[created(1, 1, "older"), created(1, 2, "newer")]);
    let shown = view(&births);
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].id, shown[0].name.as_str(), shown[0].created), (PHOTO, "newer", at(1)));
    let derived_rows = derived(&photo_key(), &births);
    assert_eq!((derived_rows.refs.len(), derived_rows.placements.len(), derived_rows.other_ids.len()), (1, 1, 0));

    let trashed = and(&births, &shown[0].trash());
    assert!(view(&trashed).is_empty(), "both births were seen");
    assert_eq!(photo::view_trashed(&photo_key(), &trashed).len(), 1);
    assert_eq!(derived(&photo_key(), &trashed).refs, derived_rows.refs, "the trash keeps the bytes");
    assert!(derived(&photo_key(), &trashed).placements.is_empty());
    assert!(and(&trashed, &shown[0].purge()).live().next().is_none());
}

#[test]
fn other_bytes_under_one_id_show_under_an_id_of_their_own() {
    let births = joined(&[created(2, 2, "second"), created(1, 1, "first")]);
    let shown = view(&births);
    let other = PHOTO.of_other_bytes(&BlobHash::of(&[2]));
    assert_eq!(shown.iter().map(|photo| (photo.id, photo.name.as_str())).collect::<Vec<_>>(), [(PHOTO, "first"), (other, "second")]);
    let rows = derived(&photo_key(), &births);
    assert_eq!((rows.refs.len(), rows.other_ids), (2, vec![other]));

    // An edit of one is none of the other; trashing the first renames nothing.
    let births = and(&births, &shown[1].edit(at(3), &PhotoEdit { name: Some("renamed".to_owned()), caption: None }));
    let births = and(&births, &shown[0].trash());
    let names: Vec<_> = view(&births).into_iter().map(|photo| (photo.id, photo.name)).collect();
    assert_eq!(names, [(other, "renamed".to_owned())]);
    assert_eq!(photo::view_trashed(&photo_key(), &births)[0].id, PHOTO);
    assert_eq!(derived(&photo_key(), &births).other_ids, [other]);
    // Once it is deleted, the other is the oldest.
    let births = and(&births, &shown[0].purge());
    assert_eq!(view(&births)[0].id, PHOTO);
}

#[test]
fn a_concurrent_move_wins_over_the_trash() {
    let births = joined(&[created(1, 1, "p")]);
    let seen = view(&births).remove(0);
    let moved = and(&and(&births, &seen.trash()), &seen.move_to(at(2), B));
    assert_eq!(view(&moved)[0].album, B);
    let again = and(&moved, &view(&moved)[0].trash());
    assert!(view(&again).is_empty());
    assert_eq!(photo::view_trashed(&photo_key(), &again)[0].album, B, "where it stood");
}

#[test]
fn a_purge_does_not_hit_what_was_put_back_meanwhile() {
    let births = joined(&[created(1, 1, "p")]);
    let births = and(&births, &view(&births)[0].trash());
    let trashed = photo::view_trashed(&photo_key(), &births).remove(0);
    let purge = trashed.purge();
    let put_back = photo::put_back(photo_key(), at(3), &trashed.hash, &births, &births, Some(B));
    let both = and(&and(&births, &purge), &put_back);
    let shown = view(&both).remove(0);
    assert_eq!((shown.name.as_str(), shown.album, shown.created, shown.first_created), ("p", B, at(3), WallMs(1)));
    assert_eq!(shown.births, [change::Seen { birth: at(3), place: Some(at(3)) }]);
    // Again, from the past, where nothing of it is left: the first creation is not forgotten.
    let restored = joined(&photo::put_back(photo_key(), at(9), &shown.hash, &Births::default(), &both, None));
    assert_eq!((view(&restored)[0].created, view(&restored)[0].first_created), (at(9), WallMs(1)));
    assert!(photo::put_back(photo_key(), at(9), &BlobHash::of(b"other"), &both, &both, None).is_empty());
}

#[test]
fn a_trashed_album_takes_along_what_was_seen_in_it() {
    let new = NewAlbum { name: "album".to_owned(), description: String::new() };
    let album_row = new.create(Owner::DEFAULT, A, at(1));
    let (album_births, photo_births) = (joined([&album_row]), joined(&[created(1, 2, "p")]));
    let seen = album::view(&album_row.key, &album_births).unwrap();
    let deltas = seen.trash_with(&view(&photo_births));
    assert_eq!(deltas.last().unwrap().key, album_row.key, "the album goes last");
    let of = |key: RowKey| deltas.iter().filter(move |delta| delta.key == key).cloned().collect::<Vec<_>>();
    let (album_births, photo_births) = (and(&album_births, &of(album_row.key)), and(&photo_births, &of(photo_key())));
    assert_eq!(album::view(&album_row.key, &album_births), None);
    assert!(view(&photo_births).is_empty());
    assert_eq!(derived(&album_row.key, &album_births).album, None);

    let back = album::put_back(album_row.key, at(5), &album_births, &album_births);
    let shown = album::view(&album_row.key, &and(&album_births, &back)).unwrap();
    assert_eq!((shown.name.as_str(), shown.created, shown.first_created), ("album", at(5), WallMs(1)));
}

#[test]
fn switched_off_wins_over_a_switching_on_that_did_not_see_it() {
    let row = NewUser { name: "ann".to_owned() }.create(Owner::DEFAULT, at(1));
    let shown = |births: &Births| user::view(&row.key, births).unwrap();
    let switch = |births: &Births, time, disabled| shown(births).edit(at(time), &UserEdit { name: None, disabled: Some(disabled) });
    let on = joined([&row]);
    assert!(switch(&on, 2, false).is_empty(), "it is on");
    let off = and(&on, &switch(&on, 2, true));
    assert!(shown(&off).disabled);
    let on_again = switch(&off, 5, false);
    assert!(!shown(&and(&off, &on_again)).disabled);
    // Another site switched off meanwhile, at an earlier time than the switching on.
    let off_elsewhere = switch(&off, 4, true);
    let both = and(&and(&off, &on_again), &off_elsewhere);
    assert!(shown(&both).disabled);
    assert_eq!(both, and(&and(&off, &off_elsewhere), &on_again));
    assert!(!shown(&and(&both, &switch(&both, 6, false))).disabled);
}

#[test]
fn the_keys_of_a_tenant_made_at_two_sites_all_verify_until_changed() {
    let key = |byte| SigningKey { key: vec![byte; 8], salt: vec![byte; 4] };
    let new = |byte| NewTenant { name: "mypix".to_owned(), signing_keys: vec![key(byte)] };
    let births = joined(&[new(1).create(TenantId::DEFAULT, at(1)), new(2).create(TenantId::DEFAULT, at(2))]);
    let row = RowKey::tenant(TenantId::DEFAULT);
    let shown = tenant::view(&row, &births).unwrap();
    assert_eq!(shown.signing_keys, [key(2), key(1)]);
    assert_eq!(format!("{shown:?}").matches("secret").count(), 2, "keys are not written into logs");
    let edit = TenantEdit { signing_keys: Some(vec![key(3), key(2)]), ..TenantEdit::default() };
    let births = and(&births, &shown.edit(at(3), &edit).unwrap());
    assert_eq!(tenant::view(&row, &births).unwrap().signing_keys, [key(3), key(2)], "1 was left out");
}

#[test]
fn what_two_sites_set_of_a_tenants_renditions_stands_side_by_side() {
    let row = RowKey::tenant(TenantId::DEFAULT);
    let made = joined(&[NewTenant { name: "mypix".to_owned(), signing_keys: vec![] }.create(TenantId::DEFAULT, at(1))]);
    let shown = tenant::view(&row, &made).unwrap();
    assert_eq!(shown.renditions, RenditionSettings::default(), "a row from before there were any reads as ever");
    assert_eq!((shown.renditions.presets_only, shown.renditions.max_age_seconds), (false, 31_536_000));
    let presets = |options: &str| [("thumb".to_owned(), options.to_owned())].into_iter().collect();
    let edited = |time, edit| shown.edit(at(time), &edit).unwrap();
    let one = edited(2, TenantEdit { presets: Some(presets("w:5")), max_age_seconds: Some(0), ..TenantEdit::default() });
    let other = edited(3, TenantEdit { presets_only: Some(true), ..TenantEdit::default() });
    let later = edited(4, TenantEdit { presets: Some(presets("w:6")), ..TenantEdit::default() });
    let both = and(&and(&made, &one), &other);
    let settings = |births: &Births| tenant::view(&row, births).unwrap().renditions;
    assert_eq!(settings(&both), RenditionSettings { presets: presets("w:5"), presets_only: true, max_age_seconds: 0 });
    assert_eq!(settings(&and(&both, &later)), RenditionSettings { presets: presets("w:6"), ..settings(&both) }, "of two the later");
    assert_eq!(and(&and(&and(&made, &later), &other), &one), and(&both, &later), "whatever comes first");
    let back = tenant::view(&row, &both).unwrap().edit(at(5), &TenantEdit { presets_only: Some(false), ..TenantEdit::default() });
    assert!(!settings(&and(&both, &back.unwrap())).presets_only);
    assert_eq!(tenant::view(&row, &both).unwrap().name, "mypix");
}

#[test]
fn of_two_rows_with_one_name_the_older_holds_it() {
    let of = |user: u8, time| {
        let owner = Owner { tenant: TenantId::DEFAULT, user: halidom::model::UserId::from_bytes([user; 16]) };
        let row = NewUser { name: "ann".to_owned() }.create(owner, at(time));
        derived(&row.key, &joined([&row])).name.unwrap()
    };
    assert!(of(9, 1) < of(1, 2), "names sort by scope, name, age");
}

#[test]
fn a_token_is_what_it_was_created_as_until_revoked() {
    let scopes: Scopes = [Scope::User, Scope::Read].into_iter().collect();
    let new = NewToken { secret_hash: [7; 32], scopes, expires: Some(WallMs(99)), label: "phone".to_owned() };
    let row = new.create(Owner::DEFAULT, TokenId::from_bytes([3; 16]), at(1));
    let births = joined([&row]);
    let shown = token::view(&row.key, &births).unwrap();
    assert_eq!((shown.owner, shown.secret_hash, shown.expires, shown.label.as_str()), (Owner::DEFAULT, [7; 32], Some(WallMs(99)), "phone"));
    assert_eq!(shown.scopes.iter().collect::<Vec<_>>(), [Scope::User, Scope::Read]);
    assert!(!shown.scopes.contains(Scope::Admin));
    assert_eq!(derived(&row.key, &births).token_secret, Some([7; 32]));
    let revoked = and(&births, &shown.revoke());
    assert_eq!(token::view(&row.key, &revoked), None);
    assert_eq!(derived(&row.key, &revoked), Derived::default());

    // An expiry that cannot be read is not "never".
    let Row::Live(mut live) = row.row else { unreachable!() };
    live.fixed.as_mut().unwrap().insert(Field(3), vec![1; 9].into());
    assert_eq!(token::view(&row.key, &joined(&[Delta { row: Row::Live(live), ..row }])), None);
}

#[test]
fn a_photo_that_cannot_be_read_is_not_shown_but_keeps_its_bytes() {
    let Delta { key, birth, row: Row::Live(mut live) } = created(1, 1, "p") else { unreachable!() };
    live.fixed.as_mut().unwrap().insert(Field(4), vec![1; 5].into());
    let births = joined(&[Delta { key, birth, row: Row::Live(live) }]);
    assert!(photo::all(&key, &births).is_empty());
    assert_eq!(derived(&key, &births).refs, [BlobHash::of(&[1])]);
}

#[test]
fn an_edit_before_its_creation_shows_nothing() {
    let live = Live { removed: Some(at(1)), ..Live::default() };
    let births = joined(&[Delta { key: photo_key(), birth: at(1), row: Row::Live(live) }]);
    let rows = derived(&photo_key(), &births);
    assert!(photo::all(&photo_key(), &births).is_empty());
    assert_eq!((rows.refs.len(), rows.placements.len(), rows.row_hash.is_some()), (0, 0, true));
}

#[test]
fn a_commit_says_one_thing_only_of_a_row() {
    let seen = view(&joined(&[created(1, 1, "p")])).remove(0);
    let edit = |name: &str| seen.edit(at(2), &PhotoEdit { name: Some(name.to_owned()), caption: None });
    let caption = seen.edit(at(2), &PhotoEdit { name: None, caption: Some("c".to_owned()) });
    let fine = [edit("a"), caption, edit("a"), seen.move_to(at(2), B), seen.trash(), seen.purge()].concat();
    assert_eq!(change::contradiction(at(2), &fine), None);
    for wrong in [[edit("a"), edit("b")].concat(), [seen.move_to(at(2), A), seen.move_to(at(2), B)].concat()] {
        assert_eq!(change::contradiction(at(2), &wrong), Some(&wrong[1]));
    }
    let twice = [created(1, 2, "p"), created(2, 2, "p")];
    assert_eq!(change::contradiction(at(2), &twice), Some(&twice[1]));
}
