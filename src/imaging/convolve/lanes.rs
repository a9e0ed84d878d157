//! The arithmetic of resizing, sixteen samples at once where the processor knows AVX2, and one by one where it does not: with equal results.
//!
//! A sample is in parts of 2^7, a weight in parts of 2^14, and their product in parts of 2^6, rounded: sums of any order stay within 16 bits.

use super::weights::Weights;
use super::{Lanes, Plane, Row, WIDE, strips};

/// Rows of the result at a time.
pub(super) const ROWS: usize = 16;
/// Samples of [`ROWS`] rows that stand above each other, in four fours.
pub(super) type Column<T> = [[T; 4]; ROWS / 4];

/// A sample of 255 in parts of 2^6.
const WHITE: i16 = 255 << 6;
/// Half a step.
const HALF: i16 = 1 << 5;

/// See [`super::resized`].
pub(super) fn resized(plane: Plane<'_>, down: &Weights, along: &Weights) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code)] // The only one here: the function is safe but for wanting what was just looked for.
        // SAFETY: this processor knows what the function is compiled for.
        return unsafe { avx2::resized(plane, down, along) };
    }
    strips(plane, down, along, &OneByOne)
}

struct OneByOne;

impl Lanes for OneByOne {
    fn down(&self, rows: &[Row], weights: &[i16]) -> Row {
        let mut sums = [0; WIDE];
        for (row, weight) in rows.iter().zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum = i16::wrapping_add(*sum, times(*sample, *weight));
            }
        }
        sums.map(|sum| sum.clamp(0, WHITE) << 1)
    }

    fn along(&self, columns: &[Column<i16>], weights: &[i16]) -> Column<u8> {
        let mut sums = [[HALF; 4]; ROWS / 4];
        for (column, weight) in columns.iter().zip(weights) {
            for (sum, sample) in sums.as_flattened_mut().iter_mut().zip(column.as_flattened()) {
                *sum = sum.wrapping_add(times(*sample, *weight));
            }
        }
        sums.map(|four| four.map(|sum| (sum >> 6).clamp(0, 255) as u8))
    }
}

/// The product over 2^15, rounded, as `pmulhrsw` has it.
fn times(sample: i16, weight: i16) -> i16 {
    ((((i32::from(sample) * i32::from(weight)) >> 14) + 1) >> 1) as i16
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Column, HALF, Lanes, Plane, ROWS, Row, WHITE, WIDE, Weights, strips};

    #[target_feature(enable = "avx2")]
    pub(super) fn resized(plane: Plane<'_>, down: &Weights, along: &Weights) -> Vec<u8> {
        let sixteen = Sixteen {
            down: |rows: &[Row], weights: &[i16]| down_rows(rows, weights),
            along: |columns: &[Column<i16>], weights: &[i16]| along_columns(columns, weights),
        };
        strips(plane, down, along, &sixteen)
    }

    /// Closures, since those know that there is AVX2 where they were made.
    struct Sixteen<D, A> {
        down: D,
        along: A,
    }

    impl<D: Fn(&[Row], &[i16]) -> Row, A: Fn(&[Column<i16>], &[i16]) -> Column<u8>> Lanes for Sixteen<D, A> {
        #[inline(always)]
        fn down(&self, rows: &[Row], weights: &[i16]) -> Row {
            (self.down)(rows, weights)
        }

        #[inline(always)]
        fn along(&self, columns: &[Column<i16>], weights: &[i16]) -> Column<u8> {
            (self.along)(columns, weights)
        }
    }

    #[target_feature(enable = "avx2")]
    fn down_rows(rows: &[Row], weights: &[i16]) -> Row {
        let mut sums = [_mm256_setzero_si256(); WIDE / ROWS];
        for (row, weight) in rows.iter().zip(weights) {
            let weight = _mm256_set1_epi16(*weight);
            for (sum, samples) in sums.iter_mut().zip(row.as_chunks().0) {
                *sum = _mm256_add_epi16(*sum, _mm256_mulhrs_epi16(loaded(samples), weight));
            }
        }
        let mut made = [0; WIDE];
        for (sum, made) in sums.into_iter().zip(made.as_chunks_mut().0) {
            let within = _mm256_min_epi16(_mm256_max_epi16(sum, _mm256_setzero_si256()), _mm256_set1_epi16(WHITE));
            *made = stored(_mm256_slli_epi16::<1>(within));
        }
        made
    }

    #[target_feature(enable = "avx2")]
    fn along_columns(columns: &[Column<i16>], weights: &[i16]) -> Column<u8> {
        let mut sum = _mm256_set1_epi16(HALF);
        for (column, weight) in columns.iter().zip(weights) {
            sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(loaded_column(column), _mm256_set1_epi16(*weight)));
        }
        let steps = _mm256_srai_epi16::<6>(sum);
        let bytes = _mm256_packus_epi16(steps, steps);
        let [one, other] = [_mm256_extract_epi64::<0>(bytes), _mm256_extract_epi64::<2>(bytes)];
        let four = |bytes: i64| (bytes as u32).to_le_bytes();
        [four(one), four(one >> 32), four(other), four(other >> 32)]
    }

    #[target_feature(enable = "avx2")]
    fn loaded(samples: &[i16; ROWS]) -> __m256i {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *samples;
        _mm256_setr_epi16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    }

    #[target_feature(enable = "avx2")]
    fn loaded_column(column: &Column<i16>) -> __m256i {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = *column;
        _mm256_setr_epi16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
    }

    #[target_feature(enable = "avx2")]
    fn stored(sums: __m256i) -> [i16; ROWS] {
        let fours = [
            _mm256_extract_epi64::<0>(sums),
            _mm256_extract_epi64::<1>(sums),
            _mm256_extract_epi64::<2>(sums),
            _mm256_extract_epi64::<3>(sums),
        ];
        let mut stored = [0; ROWS];
        for (four, into) in fours.into_iter().zip(stored.as_chunks_mut().0) {
            *into = [four as i16, (four >> 16) as i16, (four >> 32) as i16, (four >> 48) as i16];
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is in the plane, both ways give the same.
        #[test]
        fn one_by_one_and_sixteen_at_once_are_the_same(
            (width, height, samples) in (64_usize..200, 1_usize..40).prop_flat_map(|(width, height)| {
                (Just(width), Just(height), prop::collection::vec(prop::sample::select(vec![0_u8, 1, 127, 128, 200, 254, 255]), width * height))
            }),
            across in 0.11..3.0,
            down in 0.11..3.0,
            left in 0.0..30.0,
        ) {
            let target = |side: usize, by: f64| ((side as f64 * by) as u32).max(1);
            let along = Weights::of((left, width as f64 - left), width as u32, target(width, across));
            let down = Weights::of((0.0, height as f64), height as u32, target(height, down));
            if let (Some(down), Some(along)) = (down, along) {
                let plane = Plane { samples: &samples, width };
                prop_assert_eq!(resized(plane, &down, &along), strips(plane, &down, &along, &OneByOne));
            }
        }
    }
}
