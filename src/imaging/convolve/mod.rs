//! Planes of samples, resized: 16 rows of the result at a time, down the columns of the plane and then along the rows (decision 0027).
//!
//! All is in whole numbers, and the same on every processor.

mod lanes;
mod weights;

use self::lanes::{Column, ROWS};
use self::weights::Weights;
use super::framing::Window;

/// Columns at a time: no plane is narrower.
const WIDE: usize = 64;

/// A window of a plane of this size, resized by Lanczos of three lobes. `None` where it would be made of too many samples or of too few: more than
/// ten for one along a side, or less than [`WIDE`] columns. The window must lie within the plane.
pub(super) fn resized(plane: &[u8], (width, height): (u32, u32), window: Window, target: (u32, u32)) -> Option<Vec<u8>> {
    if (width as usize) < WIDE || plane.len() != width as usize * height as usize {
        return None;
    }
    let down = Weights::of((window.top, window.height), height, target.1)?;
    let along = Weights::of((window.left, window.width), width, target.0)?;
    Some(lanes::resized(Plane { samples: plane, width: width as usize }, &down, &along))
}

/// Rows without padding.
#[derive(Clone, Copy)]
struct Plane<'a> {
    samples: &'a [u8],
    width: usize,
}

/// What does the arithmetic. Samples come in parts of 2^7.
trait Lanes {
    /// Sums rows.
    fn down(&self, rows: &[Row], weights: &[i16]) -> Row;
    /// Sums columns.
    fn along(&self, columns: &[Column<i16>], weights: &[i16]) -> Column<u8>;
}

/// A part of a row.
type Row = [i16; WIDE];

/// So many rows of the result at a time, and of those so many columns that what they are made of stays in the processor's nearest cache.
#[inline(always)]
fn strips(plane: Plane<'_>, down: &Weights, along: &Weights, lanes: &impl Lanes) -> Vec<u8> {
    let (first, end) = along.reach();
    let first = first.min(plane.width - WIDE);
    let width = end.max(first + WIDE) - first;
    let (target, height) = (along.len(), down.len());
    let taps: Vec<_> = down.all().collect();
    let mut rows = vec![];
    let mut columns = vec![[[0; 4]; 4]; width];
    let mut made = vec![[[0; 4]; 4]; target];
    let mut fours = vec![[0; 4]; target * 4];
    let mut result = vec![0; target * height.next_multiple_of(ROWS)];
    for (taps, result) in taps.chunks(ROWS).zip(result.chunks_exact_mut(target * ROWS)) {
        let top = taps.iter().map(|(first, _)| *first).min().unwrap_or_default();
        let bottom = taps.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or_default();
        rows.resize(bottom - top, [0; WIDE]);
        // The last tile overlaps the one before.
        for at in (0..width - WIDE).step_by(WIDE).chain([width - WIDE]) {
            widen(&plane.samples[top * plane.width + first + at..], plane.width, &mut rows);
            let mut tile = [[0; WIDE]; ROWS];
            for ((first, weights), row) in taps.iter().zip(&mut tile) {
                *row = lanes.down(&rows[first - top..][..weights.len()], weights);
            }
            let mut fours = [[[0; 4]; WIDE]; 4];
            for (rows, four) in tile.as_chunks::<4>().0.iter().zip(&mut fours) {
                weave(rows.each_ref().map(|row| row.as_slice()), four);
            }
            weave(fours.each_ref().map(|four| four.as_slice()), &mut columns[at..at + WIDE]);
        }
        for ((start, weights), made) in along.all().zip(&mut made) {
            *made = lanes.along(&columns[start - first..][..weights.len()], weights);
        }
        unweave(&made, &mut fours);
        for (four, rows) in fours.chunks_exact(target).zip(result.chunks_exact_mut(4 * target)) {
            unweave_bytes(four, rows);
        }
    }
    result.truncate(target * height);
    result
}

/// Samples in parts of 2^7, of rows that are `width` long.
#[inline(always)]
fn widen(samples: &[u8], width: usize, rows: &mut [Row]) {
    for (samples, row) in samples.chunks(width).zip(rows) {
        for (wide, sample) in row.iter_mut().zip(samples) {
            *wide = i16::from(*sample) << 7;
        }
    }
}

/// Four rows as one, whose every pixel is one sample of each.
#[inline(always)]
fn weave<T: Copy>([a, b, c, d]: [&[T]; 4], into: &mut [[T; 4]]) {
    for ((((pixel, a), b), c), d) in into.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *pixel = [*a, *b, *c, *d];
    }
}

/// Four rows, one by one again.
#[inline(always)]
fn unweave<T: Copy>(woven: &[[T; 4]], rows: &mut [T]) {
    let (ab, cd) = rows.split_at_mut(2 * woven.len());
    let ((a, b), (c, d)) = (ab.split_at_mut(woven.len()), cd.split_at_mut(woven.len()));
    for ((((pixel, a), b), c), d) in woven.iter().zip(a).zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = *pixel;
    }
}

/// The same of bytes, in the way that compilers have a processor do many at once.
#[inline(always)]
fn unweave_bytes(woven: &[[u8; 4]], rows: &mut [u8]) {
    for (nth, row) in rows.chunks_exact_mut(woven.len()).enumerate() {
        for (sample, four) in row.iter_mut().zip(woven) {
            *sample = (u32::from_le_bytes(*four) >> (8 * nth)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_woven_and_come_back() {
        for width in [1, 3, 16, 31] {
            let rows: Vec<u8> = (0..4 * width).map(|at| (at * 7) as u8).collect();
            let (mut woven, mut back) = (vec![[0; 4]; width], vec![0; rows.len()]);
            let (ab, cd) = rows.split_at(2 * width);
            let ((a, b), (c, d)) = (ab.split_at(width), cd.split_at(width));
            weave([a, b, c, d], &mut woven);
            assert_eq!(woven[width - 1], [0, 1, 2, 3].map(|row: usize| rows[row * width + width - 1]));
            unweave(&woven, &mut back);
            assert_eq!(back, rows);
            back.fill(0);
            unweave_bytes(&woven, &mut back);
            assert_eq!(back, rows);
        }
    }

    #[test]
    fn one_value_stays_that() {
        let (width, height) = (200, 190);
        for value in [0, 1, 15, 127, 128, 200, 254, 255] {
            let plane = vec![value; (width * height) as usize];
            for target in [(21, 20), (41, 39), (64, 17 * 4), (100, 190), (200, 190), (333, 401), (199, 189)] {
                let made = resized(&plane, (width, height), Window::whole((width, height)), target).unwrap();
                assert_eq!(made, vec![value; (target.0 * target.1) as usize], "{target:?}");
            }
        }
    }

    #[test]
    fn what_is_too_much_for_it_is_left() {
        let plane = vec![9; 1_000 * 70];
        let made = |size: (u32, u32), target| resized(&plane, size, Window::whole(size), target);
        assert!(made((1_000, 70), (90, 40)).is_none());
        assert!(made((70, 1_000), (40, 90)).is_none());
        assert!(made((63, 70), (40, 40)).is_none());
        assert!(made((1_000, 70), (110, 40)).is_some());
    }
}
