//! Which samples a sample of the result is made of, and in which parts.

/// Of the filter, on each side.
const LOBES: f64 = 3.0;
/// The most samples that one is made of: sums of more, each product rounded, would show.
const LONGEST: usize = 63;
/// Weights are in parts of 2^14.
const WHOLE: i32 = 1 << 14;
/// Makes what is rounded positive.
const OFFSET: i32 = 1 << 16;

/// Lanczos of three lobes along one side.
pub(super) struct Weights {
    taps: Vec<Tap>,
    weights: Vec<i16>,
}

/// What one sample of the result is made of.
#[derive(Clone, Copy)]
struct Tap {
    /// The first sample.
    first: usize,
    count: usize,
}

impl Weights {
    /// For so many samples of a part of a side; `None` where one would be made of too many.
    pub(super) fn of((start, length): (f64, f64), side: u32, target: u32) -> Option<Self> {
        let ratio = length / f64::from(target);
        let scale = ratio.max(1.0);
        let reach = LOBES * scale;
        let mut all = Self {
            taps: Vec::with_capacity(target as usize),
            weights: Vec::with_capacity(target as usize * ((2.0 * reach + 2.0) as usize).min(LONGEST)),
        };
        let mut parts = [0.0; LONGEST];
        let filter = Filter::with(1.0 / scale);
        for at in 0..target {
            let centre = start + (f64::from(at) + 0.5) * ratio;
            let first = (centre - reach).floor().max(0.0);
            let count = ((centre + reach).ceil().min(side.into()) - first).max(0.0) as usize;
            let parts = parts.get_mut(..count)?;
            filter.from((first + 0.5 - centre) / scale, parts);
            all.taps.push(Tap { first: first as usize, count });
            all.push(parts)?;
        }
        Some(all)
    }

    /// Adds the weights of a sample. They sum to 2^14, and without their signs to at most twice that: else `None`.
    fn push(&mut self, parts: &[f64]) -> Option<()> {
        let whole = f64::from(WHOLE) / parts.iter().sum::<f64>();
        let begun = self.weights.len();
        // To the nearest.
        let rounded = |part: &f64| ((part * whole + f64::from(OFFSET) + 0.5) as i32 - OFFSET) as i16;
        self.weights.extend(parts.iter().map(rounded));
        let weights = self.weights.get_mut(begun..)?;
        // What rounding has taken goes to the largest.
        let left = WHOLE - weights.iter().copied().map(i32::from).sum::<i32>();
        let largest = weights.iter_mut().max_by_key(|weight| **weight)?;
        *largest = i16::try_from(i32::from(*largest) + left).ok()?;
        let size: i32 = weights.iter().map(|weight| i32::from(*weight).abs()).sum();
        (size <= 2 * WHOLE).then_some(())
    }

    /// How many samples there will be.
    pub(super) fn len(&self) -> usize {
        self.taps.len()
    }

    /// Of each sample the first one that it is made of, and the weights of that and those that follow it.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &[i16])> {
        let mut rest = self.weights.as_slice();
        self.taps.iter().map(move |tap| {
            let (weights, after) = rest.split_at_checked(tap.count).unwrap_or_default();
            rest = after;
            (tap.first, weights)
        })
    }

    /// The samples that any is made of: from the first to behind the last.
    pub(super) fn reach(&self) -> (usize, usize) {
        let first = self.taps.iter().map(|tap| tap.first).min().unwrap_or_default();
        (first, self.taps.iter().map(|tap| tap.first + tap.count).max().unwrap_or(first))
    }
}

/// The filter at places that are `step` apart. One sine follows from the two before it, and that of three times an angle from that of the angle:
/// computing each by itself took a third of the time of resizing.
struct Filter {
    step: f64,
    /// Of the angle of a step, twice the cosine.
    twice: f64,
}

impl Filter {
    fn with(step: f64) -> Self {
        Self { step, twice: 2.0 * third(step).cos() }
    }

    /// From `x` on.
    fn from(&self, x: f64, values: &mut [f64]) {
        /// Within this the filter is 1, but for rounding, and the quotient below is not good.
        const MIDDLE: f64 = 1e-4;
        let (mut before, mut sine) = (third(x - self.step).sin(), third(x).sin());
        for (at, value) in values.iter_mut().enumerate() {
            let x = x + self.step * at as f64;
            let angle = std::f64::consts::PI * x;
            let of_three = sine * (3.0 - 4.0 * sine * sine);
            *value = match x.abs() {
                x if x < MIDDLE => 1.0,
                x if x < LOBES => LOBES * of_three * sine / (angle * angle),
                _ => 0.0,
            };
            (before, sine) = (sine, self.twice * sine - before);
        }
    }
}

fn third(x: f64) -> f64 {
    std::f64::consts::PI / LOBES * x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_what_it_says() {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        for (from, step) in [(-3.0, 0.25), (-2.97, 0.2003), (-0.00005, 0.5), (-2.0, 1.0), (-1.5, 0.9999)] {
            let mut values = [0.0; LONGEST];
            Filter::with(step).from(from, &mut values);
            for (at, value) in values.iter().enumerate() {
                let x: f64 = from + step * at as f64;
                let wanted = if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 };
                assert!((value - wanted).abs() < 1e-6, "{x}: {value} for {wanted}");
            }
        }
    }

    #[test]
    fn weights_are_a_whole() {
        for (part, side, target) in
            [((0.0, 100.0), 100, 37), ((3.5, 20.25), 40, 20), ((0.0, 64.0), 64, 64), ((0.0, 64.0), 64, 400), ((99.0, 1.0), 100, 1)]
        {
            let weights = Weights::of(part, side, target).unwrap();
            assert_eq!(weights.all().count(), target as usize);
            for (first, weights) in weights.all() {
                assert_eq!(weights.iter().copied().map(i32::from).sum::<i32>(), WHOLE, "{part:?} of {side} to {target}");
                assert!(first + weights.len() <= side as usize && !weights.is_empty());
            }
        }
        assert!(Weights::of((0.0, 1_000.0), 1_000, 90).is_none());
    }
}
