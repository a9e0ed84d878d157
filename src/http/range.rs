//! Byte ranges (RFC 9110, section 14) and `If-Range` (section 13.1.5).
//!
//! One part at most is sent. Several ranges that make up one, overlapping or side by side, are answered as that one; others get the
//! whole, as the RFC allows.

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use super::conditional::EntityTag;

/// Ranges in one request; a client that asks for more gets the whole.
const MAX_RANGES: usize = 16;

/// A part of a representation: from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytePart {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte: at least `first`, less than the size.
    pub last: u64,
}

impl BytePart {
    /// Its length in bytes, at least 1.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// The value of `Content-Range` in the 206 that carries the part.
    pub fn content_range(self, size_bytes: u64) -> HeaderValue {
        field(format!("bytes {}-{}/{size_bytes}", self.first, self.last))
    }
}

/// What to send of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Whole,
    /// This part: 206.
    Part(BytePart),
    /// Nothing that was asked for is there: 416 with [`unsatisfied`].
    Unsatisfiable,
}

/// The value of `Content-Range` in a 416.
pub(super) fn unsatisfied(size_bytes: u64) -> HeaderValue {
    field(format!("bytes */{size_bytes}"))
}

fn field(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and punctuation make a field")
}

/// What a request asks for of a representation of `size_bytes` with a strong tag. Only a GET may ask for a part. What is malformed or
/// in another unit is ignored, and so is a range whose `If-Range` is not this very tag (a date never is: none is given out).
pub fn select(method: &Method, headers: &HeaderMap, tag: &EntityTag, size_bytes: u64) -> Selection {
    if *method != Method::GET {
        return Selection::Whole;
    }
    let mut lines = headers.get_all(RANGE).iter();
    let (Some(range), None) = (lines.next(), lines.next()) else { return Selection::Whole };
    let still_the_same = |value| EntityTag::parse(value).is_some_and(|wanted| wanted.matches_strongly(tag));
    if !headers.get_all(IF_RANGE).iter().all(still_the_same) {
        return Selection::Whole;
    }
    match range.to_str().ok().and_then(parse) {
        Some(specs) => resolve(&specs, size_bytes),
        None => Selection::Whole,
    }
}

/// A range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix { length: u64 },
}

/// Reads the field; `None` where it is malformed, has too many ranges, or is in another unit.
fn parse(value: &str) -> Option<Vec<Spec>> {
    let (unit, set) = value.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        let (first, last) = spec.split_once('-')?;
        specs.push(match (first, last) {
            ("", length) => Spec::Suffix { length: number(length)? },
            (first, "") => Spec::From { first: number(first)?, last: None },
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From { first, last: Some(last) })?
            }
        });
        if specs.len() > MAX_RANGES {
            return None;
        }
    }
    (!specs.is_empty()).then_some(specs)
}

/// Digits and nothing else; what is too large to count counts as the largest number.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn resolve(specs: &[Spec], size_bytes: u64) -> Selection {
    // An empty representation has no part that `Content-Range` could name: a suffix of it is all of it.
    if size_bytes == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix { length: 1.. })) {
        return Selection::Whole;
    }
    let mut parts: Vec<_> = specs
        .iter()
        .filter_map(|spec| match *spec {
            Spec::From { first, last } => {
                (first < size_bytes).then(|| BytePart { first, last: last.unwrap_or(u64::MAX).min(size_bytes - 1) })
            }
            Spec::Suffix { length } => {
                (length > 0 && size_bytes > 0).then(|| BytePart { first: size_bytes.saturating_sub(length), last: size_bytes - 1 })
            }
        })
        .collect();
    parts.sort_by_key(|part| part.first);
    let Some((&first, rest)) = parts.split_first() else { return Selection::Unsatisfiable };
    let joined = rest.iter().try_fold(first, |joined, part| {
        // `last` is less than a size, so that one more does not overflow.
        (part.first <= joined.last + 1).then_some(BytePart { first: joined.first, last: joined.last.max(part.last) })
    });
    joined.map_or(Selection::Whole, Selection::Part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag() -> EntityTag {
        EntityTag::strong("a").unwrap()
    }

    fn ask(range: &str, size_bytes: u64) -> Selection {
        let headers = [(RANGE, HeaderValue::from_str(range).unwrap())].into_iter().collect();
        select(&Method::GET, &headers, &tag(), size_bytes)
    }

    fn part(first: u64, last: u64) -> Selection {
        Selection::Part(BytePart { first, last })
    }

    #[test]
    fn ranges_of_a_thousand_bytes() {
        use Selection::*;
        for (range, expected) in [
            ("bytes=0-499", part(0, 499)),
            ("bytes=500-", part(500, 999)),
            ("bytes=-1", part(999, 999)),
            ("bytes=-500", part(500, 999)),
            ("bytes=-5000", part(0, 999)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=999-99999999999999999999999999", part(999, 999)),
            ("Bytes= 0-1 ", part(0, 1)),
            ("bytes=,0-1,", part(0, 1)),
            // Out of reach.
            ("bytes=1000-", Unsatisfiable),
            ("bytes=99999999999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-0,1000-1001", Unsatisfiable),
            // Several.
            ("bytes=0-1,1000-", part(0, 1)),
            ("bytes=0-499,500-599", part(0, 599)),
            ("bytes=500-599, 0-550", part(0, 599)),
            ("bytes=0-999,5-6", part(0, 999)),
            ("bytes=0-1,3-4", Whole),
            ("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", Whole),
            // Malformed, or none of ours.
            ("bytes=", Whole),
            ("bytes", Whole),
            ("bytes=5-4", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1 - 2", Whole),
            ("bytes=1--2", Whole),
            ("bytes=-", Whole),
            ("bytes=0-1,x", Whole),
            ("lines=0-1", Whole),
            ("bytes:0-1", Whole),
        ] {
            assert_eq!(ask(range, 1_000), expected, "{range}");
        }
    }

    #[test]
    fn ranges_of_nothing() {
        assert_eq!(ask("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(ask("bytes=-5", 0), Selection::Whole);
        assert_eq!(ask("bytes=-0", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn only_a_get_with_one_field_and_the_same_tag_gets_a_part() {
        let asking = |method, ranges: &[&str], tags: &[&str]| {
            let ranges = ranges.iter().map(|value| (RANGE, HeaderValue::from_str(value).unwrap()));
            let tags = tags.iter().map(|value| (IF_RANGE, HeaderValue::from_str(value).unwrap()));
            select(&method, &ranges.chain(tags).collect(), &tag(), 10)
        };
        let range = ["bytes=0-0"].as_slice();
        assert_eq!(asking(Method::GET, range, &[]), part(0, 0));
        assert_eq!(asking(Method::GET, range, &["\"a\""]), part(0, 0));
        assert_eq!(asking(Method::GET, range, &["\"b\""]), Selection::Whole);
        assert_eq!(asking(Method::GET, range, &["W/\"a\""]), Selection::Whole, "a weak tag never matches");
        assert_eq!(asking(Method::GET, range, &["Sat, 29 Oct 1994 19:43:31 GMT"]), Selection::Whole, "a date never matches");
        assert_eq!(asking(Method::GET, range, &["\"a\"", "\"b\""]), Selection::Whole);
        assert_eq!(asking(Method::GET, &["bytes=20-"], &["\"b\""]), Selection::Whole, "no 416 for another representation");
        assert_eq!(asking(Method::HEAD, range, &[]), Selection::Whole);
        assert_eq!(asking(Method::GET, &["bytes=0-0", "bytes=1-1"], &[]), Selection::Whole);
        assert_eq!(asking(Method::GET, &[], &["\"a\""]), Selection::Whole);
    }

    #[test]
    fn fields_of_the_answer() {
        assert_eq!(BytePart { first: 0, last: 499 }.content_range(1_000), "bytes 0-499/1000");
        assert_eq!(BytePart { first: 0, last: 499 }.length(), 500);
        assert_eq!(unsatisfied(1_000), "bytes */1000");
    }

    proptest! {
        #[test]
        fn any_field_is_survived_and_a_part_lies_within(range in "(bytes=)?[-0-9, a]{0,40}", size_bytes in prop_oneof![0..50_u64, Just(u64::MAX)]) {
            if let Selection::Part(part) = ask(&range, size_bytes) {
                prop_assert!(part.first <= part.last && part.last < size_bytes, "{part:?}");
                prop_assert!(part.length() <= size_bytes);
            }
        }

        #[test]
        fn a_part_is_what_was_asked_for(sets in prop::collection::vec((0..40_u64, 0..8_u64), 1..6), size_bytes in 1..50_u64) {
            let value = sets.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect::<Vec<_>>().join(",");
            let wanted = |at: u64| sets.iter().any(|(first, more)| (*first..=first + more).contains(&at));
            match ask(&format!("bytes={value}"), size_bytes) {
                Selection::Part(part) => prop_assert!((0..size_bytes).all(|at| wanted(at) == (part.first..=part.last).contains(&at))),
                Selection::Unsatisfiable => prop_assert!(!(0..size_bytes).any(wanted)),
                Selection::Whole => {
                    let edges = (0..size_bytes).filter(|at| wanted(*at) && (*at == 0 || !wanted(at - 1))).count();
                    prop_assert!(edges > 1, "one part would have done");
                }
            }
        }
    }
}
