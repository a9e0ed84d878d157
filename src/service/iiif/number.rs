//! Numbers as requests write them: digits, and for percentages and degrees a point among them (section 4.7).

/// Parts of one, for numbers with a point.
const WHOLE: u64 = 1_000_000_000;
/// Digits behind the point that count; the rest is passed over.
const FRACTION_DIGITS: usize = 9;

/// A whole number of digits alone. One past what fits is as good as the largest that does: no side is that long.
pub(super) fn pixels(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// A number with or without a point, in billionths: exact, so that a request means the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal(u64);

impl Decimal {
    /// Reads `41.6`, `100`, `.5`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // Nine digits in billionths fit well; no percentage needs more.
        if whole.len() > 9 || !digits(whole) || fraction.is_some_and(|fraction| fraction.is_empty() || !digits(fraction)) {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        let counted = &fraction[..fraction.len().min(FRACTION_DIGITS)];
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let billionths: u64 = format!("{counted:0<FRACTION_DIGITS$}").parse().ok()?;
        Some(Self(whole * WHOLE + billionths))
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As a whole number, where it is one.
    pub(super) fn to_whole(self) -> Option<u64> {
        self.0.is_multiple_of(WHOLE).then_some(self.0 / WHOLE)
    }

    /// So many percent of a side, rounded to the nearest pixel.
    pub(super) fn percent_of(self, side: u32) -> u32 {
        let hundred = u128::from(100 * WHOLE);
        let pixels = (u128::from(self.0) * u128::from(side) + hundred / 2) / hundred;
        pixels.try_into().unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        for (text, expected) in
            [("0", Some(0)), ("0150", Some(150)), ("4294967295", Some(u32::MAX)), ("99999999999999999999", Some(u32::MAX))]
        {
            assert_eq!(pixels(text), expected, "{text}");
        }
        for text in ["", "-1", "+1", "1.0", " 1", "1e3", "١"] {
            assert_eq!(pixels(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_are_exact() {
        for (text, side, expected) in [
            ("100", 1_000, 1_000),
            ("41.6", 300, 125),
            ("0.5", 100, 1),
            (".25", 100, 0),
            ("33.3333333333333", 3, 1),
            ("999999999", u32::MAX, u32::MAX),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().percent_of(side), expected, "{text}");
        }
        for text in ["", ".", "5.", "-1", "+1", "1,5", "1.2.3", "1e2", "1234567890", "٤"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        assert_eq!(Decimal::parse("90.000").unwrap().to_whole(), Some(90));
        assert_eq!(Decimal::parse("22.5").unwrap().to_whole(), None);
    }
}
