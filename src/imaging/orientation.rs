//! The eight ways a picture may lie in its file (EXIF 4.6.5, tag Orientation).

use super::framing::Window;
use super::pixels::Pixels;

/// An orientation: which way the stored picture must be turned to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    /// As stored.
    pub(super) const NORMAL: Self = Self(1);

    /// Left and right change places.
    pub(super) const MIRRORED: Self = Self(2);

    /// So many quarters clockwise.
    pub(super) fn of_quarters(quarters: u8) -> Self {
        Self([1, 6, 3, 8][usize::from(quarters % 4)])
    }

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
    pub(super) fn shown<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.0 >= 5 { (height, width) } else { (width, height) }
    }

    /// Where a window of the picture as shown lies in the picture as stored, which reaches so far.
    pub(super) fn stored_window(self, shown: Window, (w, h): (f64, f64)) -> Window {
        let Window { left, top, width, height } = shown;
        let (right, bottom) = (left + width, top + height);
        let upright = |left, top| Window { left, top, width, height };
        let on_its_side = |left, top| Window { left, top, width: height, height: width };
        match self.0 {
            2 => upright(w - right, top),
            3 => upright(w - right, h - bottom),
            4 => upright(left, h - bottom),
            5 => on_its_side(top, left),
            6 => on_its_side(top, h - right),
            7 => on_its_side(w - bottom, h - right),
            8 => on_its_side(w - bottom, left),
            _ => shown,
        }
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
        let (width, height) = self.shown((pixels.width, pixels.height));
        let (source, _) = pixels.data.as_chunks::<N>();
        // Rows as stored end up as rows or as columns, from either end, and so do the pixels in each.
        let (rows_back, pixels_back) = match self.0 {
            2 => (false, true),
            3 => (true, true),
            4 => (true, false),
            6 => (true, false),
            7 => (true, true),
            8 => (false, true),
            _ => (false, false),
        };
        let mut turned = vec![[0; N]; source.len()];
        if self.0 >= 5 {
            transpose(source, (pixels.width as usize, pixels.height as usize), (rows_back, pixels_back), &mut turned);
        } else {
            let length = width.max(1) as usize;
            for (nth, row) in turned.chunks_exact_mut(length).enumerate() {
                let stored = if rows_back { height as usize - 1 - nth } else { nth };
                row.copy_from_slice(&source[stored * length..][..length]);
                if pixels_back {
                    row.reverse();
                }
            }
        }
        Pixels { width, height, data: turned.into_flattened(), layout: pixels.layout }
    }
}

/// Pixels along a side of what is transposed at a time: what is read and what is written stays in the processor's nearest cache.
const TILE: usize = 32;

/// Has the rows of a picture of this size become columns, the last one first where `rows_back`; and the last pixel of each first where `pixels_back`.
fn transpose<const N: usize>(
    source: &[[u8; N]],
    (width, height): (usize, usize),
    (rows_back, pixels_back): (bool, bool),
    turned: &mut [[u8; N]],
) {
    let mut tile = [[[0; N]; TILE]; TILE];
    for (band, rows) in source.chunks(TILE * width.max(1)).enumerate() {
        let (top, count) = (band * TILE, rows.len() / width);
        let column = if rows_back { height - top - count } else { top };
        for left in (0..width).step_by(TILE) {
            for (nth, row) in rows.chunks_exact(width).enumerate() {
                let at = if rows_back { count - 1 - nth } else { nth };
                for (line, pixel) in tile.iter_mut().zip(&row[left..]) {
                    line[at] = *pixel;
                }
            }
            for (x, made) in (left..width).zip(&tile) {
                let line = if pixels_back { width - 1 - x } else { x };
                turned[line * height + column..][..count].copy_from_slice(&made[..count]);
            }
        }
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

    #[test]
    fn pictures_larger_than_a_tile_are_turned_alike() {
        for (width, height) in [(1, 1), (1, 70), (70, 1), (32, 64), (33, 31), (100, 65)] {
            let data: Vec<u8> = (0..width * height).flat_map(|at: usize| [(at % 251) as u8, (at / 251) as u8]).collect();
            let stored = Pixels { width: width as u32, height: height as u32, layout: Layout::GreyAlpha, data: data.clone() };
            for tag in 1..=8 {
                let shown = Orientation::from_tag(tag).apply(stored.clone());
                let (w, h) = (shown.width as usize, shown.height as usize);
                assert_eq!((w, h), if tag >= 5 { (height, width) } else { (width, height) });
                for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
                    let (sx, sy) = match tag {
                        2 => (width - 1 - x, y),
                        3 => (width - 1 - x, height - 1 - y),
                        4 => (x, height - 1 - y),
                        5 => (y, x),
                        6 => (y, height - 1 - x),
                        7 => (width - 1 - y, height - 1 - x),
                        8 => (width - 1 - y, x),
                        _ => (x, y),
                    };
                    let at = |x: usize, y: usize, width: usize| 2 * (y * width + x);
                    assert_eq!(shown.data[at(x, y, w)..][..2], data[at(sx, sy, width)..][..2], "{tag} of {width} x {height}");
                }
            }
        }
    }

    #[test]
    fn a_window_of_what_is_shown_is_what_its_window_shows() {
        let stored = Pixels { width: 7, height: 5, layout: Layout::Grey, data: (0..35).collect() };
        let part = |pixels: &Pixels, window: Window| {
            let side = |side: f64| side as u32;
            let (left, top, width, height) = (side(window.left), side(window.top), side(window.width), side(window.height));
            let data = (top..top + height).flat_map(|y| (left..left + width).map(move |x| (y, x)));
            let data = data.map(|(y, x)| pixels.data[(y * pixels.width + x) as usize]).collect();
            Pixels { width, height, layout: Layout::Grey, data }
        };
        for tag in 1..=8 {
            let orientation = Orientation::from_tag(tag);
            let shown = orientation.apply(stored.clone());
            let window = Window { left: 1.0, top: 2.0, width: 3.0, height: 2.0 };
            let of_stored = part(&stored, orientation.stored_window(window, (7.0, 5.0)));
            assert_eq!(orientation.apply(of_stored).data, part(&shown, window).data, "{tag}");
        }
    }
}
