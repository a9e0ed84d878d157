//! The stored and sent forms: one value of each is held to its bytes, so that no form changes unseen.

use halidom::model::Gps;
use halidom::model::album::NewAlbum;
use halidom::model::change::Seen;
use halidom::model::entry::{ChainHash, Entry, Predecessor};
use halidom::model::erasure::Erasure;
use halidom::model::journal::Record;
use halidom::model::photo::NewPhoto;
use halidom::model::row::{Births, Delta, Live, Register, Row};
use halidom::model::set_hash::{Bucket, SetHash, SetKey, row_hash};
use halidom::model::tenant::{self, NewTenant, SigningKey, TenantEdit};
use halidom::model::token::{NewToken, Scope};
use halidom::model::user::{self, NewUser, UserEdit};
use halidom::model::vector::{Head, VersionVector};
use halidom::model::{
    AlbumId, BlobHash, DecodeError, Hlc, Origin, Owner, PhotoId, RowKey, Seq, Sha256, Stamp, TenantId, TokenId, UserId, WallMs,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stamp(seq: u64) -> Stamp {
    Stamp { hlc: Hlc(0x0193_5d5b_0000_0000 + seq), origin: Origin([0xee; 16]), seq: Seq(seq) }
}

fn photo() -> Delta {
    let photo = NewPhoto {
        hash: BlobHash::from_bytes([0x11; 32]),
        size_bytes: 2_900_000,
        format: "jpeg".to_owned(),
        width: 4000,
        height: 3000,
        orientation: 6,
        sha256: Sha256::from_bytes([0x22; 32]),
        crc32: 0xdead_beef,
        taken_at: Some("2012-07-14T16:30:12".to_owned()),
        camera_make: Some("Canon".to_owned()),
        camera_model: Some("EOS 5D".to_owned()),
        lens: Some("50mm".to_owned()),
        gps: Some(Gps { latitude_e7: 515_000_000, longitude_e7: -1_250_000, altitude_mm: Some(11_000) }),
        placeholder: Some(vec![0x33; 5]),
        perceptual_hash: None,
    };
    photo.create(Owner::DEFAULT, PhotoId::from_bytes([0x44; 16]), stamp(1), AlbumId::from_bytes([0x55; 16]), "p.jpg", Some("a cat"))
}

fn deltas() -> Vec<(&'static str, Delta)> {
    let tenant = NewTenant { name: "mypix".to_owned(), signing_keys: vec![SigningKey { key: vec![1; 4], salt: vec![2; 3] }] };
    let made = tenant.create(TenantId::DEFAULT, stamp(1));
    let mut tenant_births = Births::default();
    tenant_births.join(made.birth, &made.row, false);
    let settings = TenantEdit {
        presets: Some([("thumb".to_owned(), "w:5".to_owned()), ("a".to_owned(), "q:9".to_owned())].into()),
        presets_only: Some(true),
        max_age_seconds: Some(3_600),
        ..TenantEdit::default()
    };
    let shown = tenant::view(&made.key, &tenant_births).expect("just created");
    let settings = shown.edit(stamp(2), &settings).expect("nothing newer").remove(0);
    let token = NewToken {
        secret_hash: [0x66; 32],
        scopes: [Scope::User, Scope::Read].into_iter().collect(),
        expires: Some(WallMs(0x0200)),
        label: "phone".to_owned(),
    };
    let user = NewUser { name: "ann".to_owned() };
    let mut births = Births::default();
    let created = user.create(Owner::DEFAULT, stamp(1));
    births.join(created.birth, &created.row, false);
    let off = UserEdit { disabled: Some(true), ..UserEdit::default() };
    let off = user::view(&created.key, &births).expect("just created").edit(stamp(2), &off).remove(0);
    vec![
        ("photo", photo()),
        (
            "album",
            NewAlbum { name: "a".to_owned(), description: "d".to_owned() }.create(Owner::DEFAULT, AlbumId::from_bytes([7; 16]), stamp(1)),
        ),
        ("tenant", made),
        ("tenant's renditions set", settings),
        ("user", created),
        ("user switched off", off),
        ("token", token.create(Owner::DEFAULT, TokenId::from_bytes([8; 16]), stamp(1))),
    ]
}

fn births() -> Births {
    let mut births = Births::default();
    births.join(stamp(1), &photo().row, false);
    let removed = Live { removed: Some(stamp(1)), ..Live::default() };
    births.join(stamp(1), &Row::Live(removed), false);
    births.join(stamp(2), &Row::Dead, false);
    births
}

fn entry() -> Entry {
    Entry {
        origin: Origin([0xee; 16]),
        seq: Seq(1),
        hlc: stamp(1).hlc,
        previous: ChainHash::ROOT,
        predecessor: Some(Predecessor { origin: Origin([0xdd; 16]), seq: Seq(300), chain: ChainHash([0xcc; 32]) }),
        deltas: vec![Delta { key: RowKey::photo(Owner::DEFAULT, PhotoId::from_bytes([4; 16])), birth: stamp(1), row: Row::Dead }],
        erasures: vec![
            Erasure::Owner(Owner { tenant: TenantId::DEFAULT, user: UserId::from_bytes([3; 16]) }),
            Erasure::Row(RowKey::album(Owner::DEFAULT, AlbumId::from_bytes([2; 16]))),
        ],
    }
}

fn vector() -> VersionVector {
    let mut vector = VersionVector::default();
    vector.set(Origin([1; 16]), Head { seq: Seq(5), chain: Some(ChainHash([9; 32])) });
    vector.set(Origin([2; 16]), Head { seq: Seq(300), chain: None });
    vector
}

#[test]
fn every_form_has_its_bytes() {
    let mut forms = vec![];
    for (name, delta) in deltas() {
        let mut births = Births::default();
        births.join(delta.birth, &delta.row, false);
        forms.push(format!("{name}: {} {}", hex(&delta.key.to_bytes()), hex(&births.encode())));
    }
    forms.push(format!("births: {}", hex(&births().encode())));
    forms.push(format!("entry: {}", hex(&entry().encode())));
    forms.push(format!("journal, entry: {}", hex(&Record::Entry(vec![1, 2, 3].into()).encode())));
    let reconciled = Record::Reconciled { erasures: entry().erasures, deltas: entry().deltas };
    forms.push(format!("journal, reconciled: {}", hex(&reconciled.encode())));
    forms.push(format!("journal, vector: {}", hex(&Record::Vector(vector()).encode())));
    let key = RowKey::photo(Owner::DEFAULT, PhotoId::from_bytes([0x44; 16]));
    let hash = row_hash(&SetKey([5; 32]), &key, &births()).unwrap();
    let mut sum = SetHash::default();
    sum.add(&hash);
    sum.add(&hash);
    forms.push(format!("row hash: {}", hex(&hash.0)));
    forms.push(format!("set hash: {}", hex(&sum.to_bytes())));
    forms.push(format!("bucket: {:04x}", Bucket::of(&Owner::DEFAULT).0));
    forms.push(format!("stamp: {}", hex(&stamp(1).to_bytes())));
    insta::assert_snapshot!("forms", forms.join("\n"));
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(Births::decode(&births().encode()), Ok(births()));
    assert_eq!(Entry::decode(&entry().encode()), Ok(entry()));
    for record in [Record::of_entry(&entry()), Record::Reconciled { erasures: vec![], deltas: vec![photo()] }, Record::Vector(vector())] {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
    assert_eq!(Stamp::from_bytes(stamp(7).to_bytes()), stamp(7));
    let key = photo().key;
    assert_eq!(RowKey::from_bytes(&key.to_bytes()), Some(key));
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    type Refusal = fn(&[u8]) -> Option<DecodeError>;
    let forms: [(&str, Vec<u8>, Refusal); 3] = [
        ("a row", births().encode(), |bytes| Births::decode(bytes).err()),
        ("a log entry", entry().encode(), |bytes| Entry::decode(bytes).err()),
        ("a journal record", Record::Vector(vector()).encode(), |bytes| Record::decode(bytes).err()),
    ];
    for (what, bytes, decode) in forms {
        assert_eq!(decode(&bytes), None);
        let mut newer = bytes.clone();
        newer[0] += 1;
        assert_eq!(decode(&newer), Some(DecodeError::Newer { what, found: 2, known: 1 }));
        newer.truncate(1);
        assert_eq!(decode(&newer), Some(DecodeError::Newer { what, found: 2, known: 1 }), "whatever follows");
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Some(DecodeError::Malformed { what }), "cut after {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode(&longer), Some(DecodeError::Malformed { what }), "bytes left over");
    }
}

/// Fields, registers and kinds of a newer version are kept, merged, summed, and come along when a row is put back.
#[test]
fn what_is_not_known_is_kept() {
    use halidom::model::photo as photos;
    use halidom::model::row::Field;
    let Delta { key, birth, row: Row::Live(mut live) } = photo() else { unreachable!() };
    live.fixed.as_mut().unwrap().insert(Field(900), vec![1, 2].into());
    live.registers.insert(Field(901), Register { stamp: stamp(1), value: vec![3] });
    let mut births = Births::default();
    births.join(birth, &Row::Live(live), false);
    let newer = Live { registers: [(Field(901), Register { stamp: stamp(2), value: vec![4] })].into(), ..Live::default() };
    births.join(birth, &Row::Live(newer), false);
    let births = Births::decode(&births.encode()).unwrap();

    let hash = BlobHash::from_bytes([0x11; 32]);
    let deltas = photos::put_back(key, stamp(3), &hash, &births, &births, None);
    let mut again = births.clone();
    deltas.iter().for_each(|delta| again.join(delta.birth, &delta.row, delta.birth != stamp(3)));
    let (reborn, live) = again.live().next().unwrap();
    assert_eq!((*reborn, again.live().count()), (stamp(3), 1));
    assert_eq!(live.fixed.as_ref().unwrap()[&Field(900)].as_slice(), [1, 2]);
    assert_eq!(live.registers[&Field(901)], Register { stamp: stamp(3), value: vec![4] });
    let view = photos::view(&key, &again).remove(0);
    assert_eq!(view.births, [Seen { birth: stamp(3), place: Some(stamp(3)) }]);
    assert_eq!(view.first_created, stamp(1).hlc.wall(), "what is put back does not look new");

    let unknown = RowKey { kind: halidom::model::Kind(200), ..key };
    assert!(row_hash(&SetKey([0; 32]), &unknown, &births).is_some());
}
