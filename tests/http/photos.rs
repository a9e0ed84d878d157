//! Photos to send: the fixtures with what is known of them, and small ones made here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use turbojpeg::{Image, PixelFormat, Subsamp};

/// A fixture and its line of `fixtures/photos.tsv`.
pub struct Fixture {
    pub name: String,
    pub bytes: Vec<u8>,
    facts: HashMap<String, String>,
}

impl Fixture {
    /// What the table says, empty where it says nothing.
    pub fn fact(&self, column: &str) -> &str {
        &self.facts[column]
    }
}

/// Every fixture, in the table's order.
pub fn fixtures() -> Vec<Fixture> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let table = std::fs::read_to_string(folder.join("photos.tsv")).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    lines
        .map(|cells| {
            let bytes = std::fs::read(folder.join("photos").join(&cells[0])).unwrap();
            Fixture { name: cells[0].clone(), bytes, facts: columns.iter().cloned().zip(cells).collect() }
        })
        .collect()
}

/// The bytes of one fixture.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap()
}

/// A JPEG of 24 by 16 pixels, another one for every number; `comment_bytes` of ballast in it.
pub fn small_with(number: u8, comment_bytes: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..24 * 16 * 3).map(|at| (at * 5 % 251) as u8 ^ number).collect();
    let image = Image { pixels: pixels.as_slice(), width: 24, pitch: 24 * 3, height: 16, format: PixelFormat::RGB };
    let jpeg = turbojpeg::compress(image, 90, Subsamp::Sub2x2).unwrap();
    let mut out = jpeg[..2].to_vec();
    for piece in vec![number; comment_bytes].chunks(65_000) {
        out.extend([0xff, 0xfe]);
        out.extend(u16::try_from(piece.len() + 2).unwrap().to_be_bytes());
        out.extend(piece);
    }
    out.extend(&jpeg[2..]);
    out
}

/// The same without ballast.
pub fn small(number: u8) -> Vec<u8> {
    small_with(number, 0)
}

/// The pixels of an image in any format that is served, by decoders that know nothing of metadata: as stored, not turned.
pub fn decoded(bytes: &[u8]) -> RgbImage {
    if bytes.starts_with(&[0xff, 0xd8]) {
        let image = turbojpeg::decompress(bytes, PixelFormat::RGB).unwrap();
        RgbImage::from_raw(image.width as u32, image.height as u32, image.pixels).unwrap()
    } else {
        image::load_from_memory(bytes).unwrap().to_rgb8()
    }
}
