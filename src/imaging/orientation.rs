//! The eight ways a picture may lie in its file (EXIF 4.6.5, tag Orientation).

use super::pixels::Pixels;

/// An orientation: which way the stored picture must be turned to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    /// As stored.
    pub(super) const NORMAL: Self = Self(1);

    /// From the tag's value; what is out of range counts as 1, as every viewer takes it.
    pub(super) fn from_tag(value: u32) -> Self {
        match u8::try_from(value) {
            Ok(value @ 1..=8) => Self(value),
            _ => Self::NORMAL,
        }
    }

    /// The tag's value, 1 to 8.
    pub(super) fn tag(self) -> u8 {
        self.0
    }

    /// Width and height as shown, from those as stored. Its own inverse.
    pub(super) fn shown(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.0 >= 5 { (height, width) } else { (width, height) }
    }

    /// Turns a picture the way it is shown.
    pub(super) fn apply(self, pixels: Pixels) -> Pixels {
        if self == Self::NORMAL {
            return pixels;
        }
        match pixels.layout.channels() {
            1 => self.turn::<1>(pixels),
            2 => self.turn::<2>(pixels),
            3 => self.turn::<3>(pixels),
            _ => self.turn::<4>(pixels),
        }
    }

    fn turn<const N: usize>(self, pixels: Pixels) -> Pixels {
        let (w, h) = (pixels.width as usize, pixels.height as usize);
        let (width, height) = self.shown((pixels.width, pixels.height));
        let (source, _) = pixels.data.as_chunks::<N>();
        let mut data = Vec::with_capacity(pixels.data.len());
        for y in 0..height as usize {
            for x in 0..width as usize {
                let (sx, sy) = match self.0 {
                    2 => (w - 1 - x, y),
                    3 => (w - 1 - x, h - 1 - y),
                    4 => (x, h - 1 - y),
                    5 => (y, x),
                    6 => (y, h - 1 - x),
                    7 => (w - 1 - y, h - 1 - x),
                    8 => (w - 1 - y, x),
                    _ => (x, y),
                };
                data.extend_from_slice(&source[sy * w + sx]);
            }
        }
        Pixels { width, height, data, layout: pixels.layout }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pixels::Layout;
    use super::*;

    /// `abc/def` as stored, and how it is shown.
    #[test]
    fn all_eight() {
        for (tag, expected, size) in [
            (1, "abcdef", (3, 2)),
            (2, "cbafed", (3, 2)),
            (3, "fedcba", (3, 2)),
            (4, "defabc", (3, 2)),
            (5, "adbecf", (2, 3)),
            (6, "daebfc", (2, 3)),
            (7, "fcebda", (2, 3)),
            (8, "cfbead", (2, 3)),
            (0, "abcdef", (3, 2)),
            (9, "abcdef", (3, 2)),
            (70_000, "abcdef", (3, 2)),
        ] {
            for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba] {
                let spread = |text: &str| text.bytes().flat_map(|b| std::iter::repeat_n(b, layout.channels())).collect::<Vec<_>>();
                let stored = Pixels { width: 3, height: 2, layout, data: spread("abcdef") };
                let shown = Orientation::from_tag(tag).apply(stored);
                assert_eq!(shown.data, spread(expected), "orientation {tag}, {layout:?}");
                assert_eq!((shown.width, shown.height), size);
            }
        }
    }
}
