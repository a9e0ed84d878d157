//! What is written: users with albums of 12 to 200 photos, as people upload them.

use std::time::Duration;

use futures_util::future::join_all;
use halidom::metadata::{Metadata, MetadataError, NewBlob, PlaceError};
use halidom::model::album::NewAlbum;
use halidom::model::photo::NewPhoto;
use halidom::model::user::NewUser;
use halidom::model::{AlbumId, BlobHash, Gps, Owner, PerceptualHash, PhotoId, Sha256, TenantId, UserId};
use halidom::runtime::Runtime;

/// Albums that are uploaded at the same time.
const AT_ONCE: usize = 32;
/// Photos of each that wait for the writer at once.
const EACH: u64 = 8;
/// Milliseconds from one photo to the next.
const PAUSE_MS: u64 = 10;

/// Make, model, lens.
const CAMERAS: [(&str, &str, &str); 8] = [
    ("Apple", "iPhone 15 Pro", "iPhone 15 Pro back triple camera 6.765mm f/1.78"),
    ("Apple", "iPhone 12", "iPhone 12 back dual wide camera 4.2mm f/1.6"),
    ("samsung", "SM-S918B", ""),
    ("samsung", "SM-A536B", ""),
    ("Google", "Pixel 8", "Pixel 8 back camera 6.9mm f/1.68"),
    ("Canon", "Canon EOS R6", "RF24-105mm F4 L IS USM"),
    ("NIKON CORPORATION", "NIKON D750", "24.0-120.0 mm f/4.0"),
    ("SONY", "ILCE-7M4", "FE 24-70mm F2.8 GM II"),
];

/// What was written.
pub struct Loaded {
    pub photos: u64,
    pub users: u64,
    pub albums: u64,
}

/// An album on its way in.
struct Sending {
    owner: Owner,
    album: AlbumId,
    camera: usize,
    first_number: u64,
    sent: u64,
    size: u64,
}

/// One number that follows from the seed.
fn draw(runtime: &Runtime, below: u64) -> u64 {
    u64::from_be_bytes(runtime.random.bytes()) % below
}

/// Writes `photos` photos, each in a commit of its own, in groups as the writer makes them.
pub async fn load(metadata: &Metadata, runtime: &Runtime, photos: u64) -> Loaded {
    let users = (photos / 500).max(100);
    let mut owners = vec![];
    for n in 0..users {
        let now = runtime.clock.unix_ms();
        let owner = Owner { tenant: TenantId::DEFAULT, user: UserId::new(now, runtime.random.bytes()) };
        let new = NewUser { name: format!("customer{n:06}@mail.example") };
        metadata.write("user", move |tx| tx.apply(new.create(owner, tx.stamp()))).await.expect("a user is made");
        owners.push(owner);
    }
    let mut loaded = Loaded { photos: 0, users, albums: 0 };
    let mut sending: Vec<Sending> = vec![];
    while loaded.photos < photos {
        while sending.len() < AT_ONCE {
            let owner = owners[draw(runtime, users) as usize];
            sending.push(begin(metadata, runtime, owner, loaded.albums).await);
            loaded.albums += 1;
        }
        let mut writes = vec![];
        for album in &mut sending {
            for _ in 0..EACH.min(album.size - album.sent).min(photos - loaded.photos) {
                writes.push(upload(metadata, runtime, album));
                loaded.photos += 1;
            }
        }
        join_all(writes).await;
        sending.retain(|album| album.sent < album.size);
        if loaded.photos % 50_000 < 256 {
            eprintln!("{} photos", loaded.photos);
        }
    }
    loaded
}

async fn begin(metadata: &Metadata, runtime: &Runtime, owner: Owner, number: u64) -> Sending {
    let album = AlbumId::new(runtime.clock.unix_ms(), runtime.random.bytes());
    let new = NewAlbum { name: format!("Holiday {number}"), description: String::new() };
    metadata.write("album", move |tx| tx.apply(new.create(owner, album, tx.stamp()))).await.expect("an album is made");
    let camera = draw(runtime, CAMERAS.len() as u64) as usize;
    Sending { owner, album, camera, first_number: draw(runtime, 9_000), sent: 0, size: 12 + draw(runtime, 189) }
}

/// One upload's commit: the copy is placed, the photo made.
fn upload(metadata: &Metadata, runtime: &Runtime, album: &mut Sending) -> impl Future<Output = ()> + use<> {
    runtime.clock.advance(Duration::from_millis(PAUSE_MS));
    let number = album.first_number + album.sent;
    album.sent += 1;
    let hash = BlobHash::from_bytes(runtime.random.bytes());
    let id = PhotoId::new(runtime.clock.unix_ms(), runtime.random.bytes());
    let (new, name) = photo(runtime, album.camera, hash, number);
    let in_flight = metadata.begin_copy(hash);
    let (owner, to, metadata) = (album.owner, album.album, metadata.clone());
    async move {
        let written = metadata.write("upload", move |tx| -> Result<(), MetadataError> {
            let blob = NewBlob::raw(in_flight.key(), new.size_bytes, new.sha256, new.crc32);
            match tx.place_blob(&in_flight, blob, None) {
                Ok(_) => {}
                Err(PlaceError::Failed(error)) => return Err(error),
                Err(PlaceError::Recheck { .. }) => unreachable!("every hash is new"),
            }
            tx.apply(new.create(owner, id, tx.stamp(), to, &name, None))
        });
        written.await.expect("a photo is made");
    }
}

fn photo(runtime: &Runtime, camera: usize, hash: BlobHash, number: u64) -> (NewPhoto, String) {
    let (make, model, lens) = CAMERAS[camera];
    let name = match make {
        "samsung" | "Google" => format!("2026{:02}{:02}_{:06}.jpg", 1 + number % 12, 1 + number % 28, number % 240_000),
        "SONY" => format!("DSC{number:05}.JPG"),
        _ => format!("IMG_{number:04}.JPG"),
    };
    let (day, hour, minute, second) = (1 + number % 28, draw(runtime, 24), draw(runtime, 60), draw(runtime, 60));
    // Telephones know the offset and the place; of the others, hardly any.
    let phone = camera < 5;
    let offset = if phone { "+02:00" } else { "" };
    let gps = (phone && draw(runtime, 100) < 53).then(|| Gps {
        latitude_e7: draw(runtime, 1_800_000_000) as i32 - 900_000_000,
        longitude_e7: draw(runtime, 3_600_000_000) as u32 as i32,
        altitude_mm: Some(draw(runtime, 3_000_000) as i32),
    });
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let wide = draw(runtime, 4) > 0;
    let new = NewPhoto {
        hash,
        size_bytes: 1_500_000 + draw(runtime, 5_000_000),
        format: "jpeg".to_owned(),
        width: if wide { 4032 } else { 3024 },
        height: if wide { 3024 } else { 4032 },
        orientation: if wide { 1 } else { 6 },
        sha256: Sha256::from_bytes(runtime.random.bytes()),
        crc32: draw(runtime, 1 << 32) as u32,
        taken_at: Some(format!("2026-07-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}")),
        camera_make: text(make),
        camera_model: text(model),
        lens: text(lens),
        gps,
        // A ThumbHash of an opaque photo has 21 to 25 bytes.
        placeholder: Some(runtime.random.bytes::<23>().to_vec()),
        perceptual_hash: Some(PerceptualHash::from_bytes(runtime.random.bytes())),
    };
    (new, name)
}
