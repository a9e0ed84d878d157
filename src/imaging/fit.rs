//! Arithmetic of sizes.

/// The largest size of the same shape as `source` that fits into `bounds`, both as (width, height) in pixels. A bound of 0 is none.
/// Without `enlarge` never larger than the source. At least one pixel each way, however thin the source; otherwise each side is within
/// half a pixel of the exact one.
///
/// `source` must not be empty.
pub fn fit(source: (u32, u32), bounds: (u32, u32), enlarge: bool) -> (u32, u32) {
    let (width, height) = (u64::from(source.0.max(1)), u64::from(source.1.max(1)));
    let unbounded = |bound: u32| if bound == 0 { u64::from(u32::MAX) } else { u64::from(bound) };
    let (mut max_width, mut max_height) = (unbounded(bounds.0), unbounded(bounds.1));
    if bounds == (0, 0) {
        return (source.0.max(1), source.1.max(1));
    }
    if !enlarge {
        max_width = max_width.min(width);
        max_height = max_height.min(height);
    }
    // The width binds where max_width / width <= max_height / height. Rounded half up, then held within the bounds.
    let scaled = |of: u64, to: u64, from: u64, at_most: u64| ((of * to * 2 + from) / (from * 2)).clamp(1, at_most);
    let (fit_width, fit_height) = if max_width * height <= max_height * width {
        (max_width, scaled(height, max_width, width, max_height))
    } else {
        (scaled(width, max_height, height, max_width), max_height)
    };
    (narrowed(fit_width), narrowed(fit_height))
}

fn narrowed(side: u64) -> u32 {
    side.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples() {
        for (source, bounds, enlarge, expected) in [
            ((4000, 3000), (320, 320), false, (320, 240)),
            ((3000, 4000), (320, 320), false, (240, 320)),
            ((4000, 3000), (320, 0), false, (320, 240)),
            ((4000, 3000), (0, 300), false, (400, 300)),
            ((4000, 3000), (0, 0), true, (4000, 3000)),
            ((100, 50), (320, 320), false, (100, 50)),
            ((100, 50), (320, 320), true, (320, 160)),
            ((100, 50), (320, 0), true, (320, 160)),
            ((1, 1), (320, 320), false, (1, 1)),
            ((65_500, 1), (320, 320), false, (320, 1)),
            ((1, 65_500), (10, 10), false, (1, 10)),
            ((3, 2), (2, 2), false, (2, 1)),
            ((600, 400), (599, 399), false, (599, 399)),
        ] {
            assert_eq!(fit(source, bounds, enlarge), expected, "{source:?} into {bounds:?}");
        }
    }

    proptest! {
        #[test]
        fn fits_and_keeps_the_shape(
            source in (1_u32..=65_500, 1_u32..=65_500), bounds in (0_u32..=9000, 0_u32..=9000), enlarge: bool,
        ) {
            let (width, height) = fit(source, bounds, enlarge);
            prop_assert!(width >= 1 && height >= 1);
            prop_assert!(bounds.0 == 0 || width <= bounds.0);
            prop_assert!(bounds.1 == 0 || height <= bounds.1);
            if !enlarge {
                prop_assert!(width <= source.0 && height <= source.1);
            }
            // Within a pixel of the source's shape.
            let exact_height = f64::from(width) * f64::from(source.1) / f64::from(source.0);
            let exact_width = f64::from(height) * f64::from(source.0) / f64::from(source.1);
            prop_assert!((exact_height - f64::from(height)).abs() <= 1.0 || (exact_width - f64::from(width)).abs() <= 1.0);
            // As large as it may be: one side touches its bound.
            let touches = |side: u32, bound: u32, whole: u32| bound != 0 && side == bound || !enlarge && side == whole;
            prop_assert!(bounds == (0, 0) || touches(width, bounds.0, source.0) || touches(height, bounds.1, source.1));
        }
    }
}
