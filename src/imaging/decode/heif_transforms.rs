//! How the picture of a HEIF file is cropped, turned and mirrored before it is shown: what its item is associated with in `iprp` (ISO/IEC 23008-12, 6.5.9,
//! 6.5.10 and 6.5.12; ISO/IEC 14496-12, 8.11.14). libheif does it to planes with fewer samples of colour, and gets colours wrong at odd edges; and what
//! it crops loses the range of its samples.

use crate::imaging::orientation::Orientation;
use crate::imaging::pixels::Pixels;

/// Properties that an item may have: it has a handful.
const MAX_PROPERTIES: usize = 64;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    Turn(Orientation),
    Crop(Aperture),
}

/// `clap`: width, height, and how far its middle is from the picture's, each as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Aperture {
    width: (u32, u32),
    height: (u32, u32),
    across: (i32, u32),
    down: (i32, u32),
}

/// All of an item's, in the order in which they are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Transforms(Vec<Transform>);

/// A part of a picture: left, top, width and height.
type Part = (u32, u32, u32, u32);

impl Transforms {
    /// Those of this item. `None` where the boxes cannot be read.
    pub(super) fn of(file: &[u8], item: u32) -> Option<Self> {
        let meta = boxes(file).find(|(kind, _)| kind == b"meta")?.1.get(4..)?;
        let Some((_, properties)) = boxes(meta).find(|(kind, _)| kind == b"iprp") else { return Some(Self::default()) };
        let container = boxes(properties).find(|(kind, _)| kind == b"ipco")?.1;
        let mut indices = vec![];
        for (_, body) in boxes(properties).filter(|(kind, _)| kind == b"ipma") {
            associated(body, item, &mut indices)?;
        }
        let transforms = indices.into_iter().filter(|index| *index > 0).filter_map(|index| {
            let (kind, body) = boxes(container).nth(index - 1)?;
            transform(kind, body)
        });
        Some(Self(transforms.collect()))
    }

    /// What a picture of this size is shown as. `None` where nothing of it is.
    pub(super) fn shown(&self, size: (u32, u32)) -> Option<(u32, u32)> {
        self.0.iter().try_fold(size, |size, transform| match transform {
            Transform::Turn(orientation) => Some(orientation.shown(size)),
            Transform::Crop(aperture) => aperture.part(size).map(|(_, _, width, height)| (width, height)),
        })
    }

    /// Does it all. `None` where nothing of the picture is shown.
    pub(super) fn apply(&self, pixels: Pixels) -> Option<Pixels> {
        self.0.iter().try_fold(pixels, |pixels, transform| match transform {
            Transform::Turn(orientation) => Some(orientation.apply(pixels)),
            Transform::Crop(aperture) => {
                let part = aperture.part((pixels.width, pixels.height))?;
                cropped(pixels, part)
            }
        })
    }
}

/// A quantity that a file gives: a whole number of parts, and how many of them are one.
fn fraction((parts, of): (i64, u32)) -> Option<f64> {
    (of != 0).then(|| parts as f64 / f64::from(of))
}

impl Aperture {
    /// The whole pixels of a picture of this size that it shows.
    fn part(&self, (width, height): (u32, u32)) -> Option<Part> {
        let side = |whole: u32, length: (u32, u32), offset: (i32, u32)| {
            let length = fraction((length.0.into(), length.1))?.round();
            // 14496-12, 12.1.4.1: its middle is that of the picture, moved.
            let start = (fraction((offset.0.into(), offset.1))? + (f64::from(whole) - length) / 2.0).round();
            let end = (start + length).min(whole.into());
            let start = start.max(0.0);
            (end - start >= 1.0).then_some((start as u32, (end - start) as u32))
        };
        let ((left, width), (top, height)) = (side(width, self.width, self.across)?, side(height, self.height, self.down)?);
        Some((left, top, width, height))
    }
}

fn cropped(pixels: Pixels, (left, top, width, height): Part) -> Option<Pixels> {
    if (width, height) == (pixels.width, pixels.height) {
        return Some(pixels);
    }
    let channels = pixels.layout.channels();
    let row = pixels.width as usize * channels;
    let mut data = Vec::with_capacity(width as usize * height as usize * channels);
    for line in pixels.data.chunks_exact(row).skip(top as usize).take(height as usize) {
        data.extend_from_slice(line.get(left as usize * channels..)?.get(..width as usize * channels)?);
    }
    Some(Pixels { width, height, layout: pixels.layout, data })
}

fn transform(kind: [u8; 4], body: &[u8]) -> Option<Transform> {
    match &kind {
        // Quarters against the clock.
        b"irot" => Some(Transform::Turn(Orientation::of_quarters(4 - (body.first()? & 3)))),
        // What is above changes places with what is below, or what is left with what is right.
        b"imir" => {
            let upside_down = Orientation::from_tag(4);
            Some(Transform::Turn(if body.first()? & 1 == 0 { upside_down } else { Orientation::MIRRORED }))
        }
        b"clap" => {
            let field = |at: usize| body.get(at * 4..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            let signed = |at: usize| field(at).map(u32::cast_signed);
            Some(Transform::Crop(Aperture {
                width: (field(0)?, field(1)?),
                height: (field(2)?, field(3)?),
                across: (signed(4)?, field(5)?),
                down: (signed(6)?, field(7)?),
            }))
        }
        _ => None,
    }
}

/// Adds the numbers of the properties, from 1, that `ipma` gives this item. `None` where it ends too early.
fn associated(body: &[u8], item: u32, indices: &mut Vec<usize>) -> Option<()> {
    let mut fields = Fields(body);
    let head = fields.number(4)?;
    let (wide_items, wide_indices) = (head >> 24 > 0, head & 1 == 1);
    for _ in 0..fields.number(4)? {
        let of = fields.number(if wide_items { 4 } else { 2 })?;
        for _ in 0..fields.number(1)? {
            // The first bit says that readers must know the property.
            let index = if wide_indices { fields.number(2)? & 0x7FFF } else { fields.number(1)? & 0x7F };
            if of == item && indices.len() < MAX_PROPERTIES {
                indices.push(index as usize);
            }
        }
    }
    Some(())
}

/// Numbers, one after the other, big-endian.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self, bytes: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(number.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}

/// The boxes that lie one after the other, with what is in them (ISO/IEC 14496-12, 4.2); to the first that reaches past the end.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d, kind @ ..] = *rest.first_chunk::<8>()?;
        let (size, head) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (rest.len(), 8),
            1 => (usize::try_from(u64::from_be_bytes(*rest.get(8..)?.first_chunk()?)).ok()?, 16),
            size => (size as usize, 8),
        };
        let body = rest.get(head..size)?;
        rest = &rest[size..];
        Some((kind, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::pixels::Layout;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    /// A file whose item 7 has these properties, behind one that is nothing to us.
    fn file(properties: &[Vec<u8>]) -> Vec<u8> {
        let container = boxed(b"ipco", &[vec![boxed(b"ispe", &[0; 12])], properties.to_vec()].concat().concat());
        let indices: Vec<u8> = (1..=properties.len() as u8 + 1).map(|index| index | 0x80).collect();
        let other = [&[0, 6, 1][..], &[1]].concat();
        let ours = [&[0, 7, indices.len() as u8][..], &indices].concat();
        let associations = boxed(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 2][..], &other, &ours].concat());
        let meta = boxed(b"meta", &[&[0; 4][..], &boxed(b"pitm", &[0; 6]), &boxed(b"iprp", &[container, associations].concat())].concat());
        [boxed(b"ftyp", b"heic"), meta, boxed(b"mdat", &[1; 9])].concat()
    }

    fn aperture(fields: [i32; 8]) -> Vec<u8> {
        boxed(b"clap", &fields.map(i32::to_be_bytes).concat())
    }

    /// Grey, each pixel its own number.
    fn picture(width: u32, height: u32) -> Pixels {
        Pixels { width, height, layout: Layout::Grey, data: (0..width * height).map(|at| at as u8).collect() }
    }

    fn made(properties: &[Vec<u8>], (width, height): (u32, u32)) -> Option<(u32, u32, Vec<u8>)> {
        let transforms = Transforms::of(&file(properties), 7).unwrap();
        let pixels = transforms.apply(picture(width, height));
        assert_eq!(transforms.shown((width, height)), pixels.as_ref().map(|pixels| (pixels.width, pixels.height)));
        pixels.map(|pixels| (pixels.width, pixels.height, pixels.data))
    }

    #[test]
    fn a_picture_is_shown_as_its_properties_say() {
        assert_eq!(made(&[], (3, 2)), Some((3, 2, vec![0, 1, 2, 3, 4, 5])));
        assert_eq!(made(&[boxed(b"irot", &[1])], (3, 2)), Some((2, 3, vec![2, 5, 1, 4, 0, 3])), "a quarter against the clock");
        assert_eq!(made(&[boxed(b"imir", &[0])], (3, 2)), Some((3, 2, vec![3, 4, 5, 0, 1, 2])));
        assert_eq!(made(&[boxed(b"imir", &[1])], (3, 2)), Some((3, 2, vec![2, 1, 0, 5, 4, 3])));
        assert_eq!(
            made(&[aperture([3, 1, 2, 1, 1, 2, 0, 1])], (4, 4)),
            Some((3, 2, vec![5, 6, 7, 9, 10, 11])),
            "half a pixel to the right"
        );
        let both = [aperture([2, 1, 2, 1, -1, 1, -1, 1]), boxed(b"irot", &[2])];
        assert_eq!(made(&both, (4, 4)), Some((2, 2, vec![5, 4, 1, 0])), "in their order");
        assert_eq!(made(&[aperture([9, 1, 1, 1, 0, 1, 0, 1])], (3, 1)), Some((3, 1, vec![0, 1, 2])), "no more than there is");
        for nothing in [[1, 1, 1, 1, 50, 1, 0, 1], [0, 1, 1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 1, 0, 1]] {
            assert_eq!(made(&[aperture(nothing)], (3, 1)), None, "{nothing:?}");
        }
        assert_eq!(Transforms::of(&file(&[boxed(b"irot", &[1])]), 6), Some(Transforms::default()), "another's");
    }

    #[test]
    fn no_prefix_of_a_file_does_harm() {
        let whole = file(&[boxed(b"irot", &[1]), aperture([2, 1, 2, 1, -1, 1, -1, 1])]);
        for end in 0..whole.len() {
            let _ = Transforms::of(&whole[..end], 7);
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[end] ^= 1 << bit;
                let _ = Transforms::of(&flipped, 7).map(|transforms| transforms.apply(picture(5, 4)));
            }
        }
    }
}
