//! When and where a photo was taken, as its file says.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

/// The furthest that a local time may lie from UTC: the clocks of the world reach from -12:00 to +14:00.
const MAX_OFFSET_MINUTES: i16 = 15 * 60;

/// The moment a photo was taken: the wall clock where the camera stood, with the offset from UTC only where the file tells it.
///
/// Ordered by the wall clock, which is how people sort an album; two photos of different zones are not compared as instants.
/// Written as RFC 3339, without an offset where none is known: `2012-07-14T16:30:12`, `2021-05-16T12:27:36.107-07:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TakenAt {
    local: DateTime,
    offset_minutes: Option<i16>,
}

impl TakenAt {
    /// `None` where the offset is further from UTC than any clock of the world.
    pub fn new(local: DateTime, offset_minutes: Option<i16>) -> Option<Self> {
        offset_minutes.is_none_or(|offset| offset.abs() <= MAX_OFFSET_MINUTES).then_some(Self { local, offset_minutes })
    }

    /// The wall clock where the camera stood.
    pub fn local(&self) -> DateTime {
        self.local
    }

    /// Minutes east of UTC, where the file says.
    pub fn offset_minutes(&self) -> Option<i16> {
        self.offset_minutes
    }

    /// Reads the three texts of EXIF: `DateTimeOriginal`, `SubSecTimeOriginal`, `OffsetTimeOriginal`.
    ///
    /// `None` for what is no date, such as blanks and the `0000:00:00 00:00:00` of cameras whose clock was never set. Wrong subseconds
    /// or a wrong offset are left out; the date stands. A fraction or an offset in the date's own text (against the standard, but
    /// written) counts where the other texts are absent. The separators may be those of ISO 8601.
    pub fn from_exif(date: &str, subseconds: Option<&str>, offset: Option<&str>) -> Option<Self> {
        let text = trim(date);
        let (head, mut rest) = text.split_at_checked(19)?;
        let separated = |at: usize, allowed: &[u8]| allowed.contains(&head.as_bytes()[at]);
        if !(separated(4, b":-/.") && separated(7, b":-/.") && separated(10, b" T") && separated(13, b":") && separated(16, b":")) {
            return None;
        }
        let year = i16::try_from(digits(head, 0, 4)?).ok().filter(|year| *year > 0)?;
        let date = Date::new(year, part(head, 5)?, part(head, 8)?).ok()?;

        let mut nanoseconds = subseconds.and_then(fraction);
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            nanoseconds = nanoseconds.or_else(|| fraction(&after[..end]));
            rest = &after[end..];
        }
        let time = Time::new(part(head, 11)?, part(head, 14)?, part(head, 17)?, nanoseconds.unwrap_or(0)).ok()?;
        let offset = offset.and_then(parse_offset).or_else(|| parse_offset(rest));
        Self::new(DateTime::from_parts(date, time), offset)
    }
}

/// Blanks and the zero bytes that end EXIF's texts.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
}

fn digits(text: &str, from: usize, to: usize) -> Option<u32> {
    let text = text.get(from..to)?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn part(text: &str, from: usize) -> Option<i8> {
    digits(text, from, from + 2)?.try_into().ok()
}

/// Decimal digits after the point, as nanoseconds.
fn fraction(text: &str) -> Option<i32> {
    let text = trim(text);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = &text[..text.len().min(9)];
    let scale = 10_i32.pow(9 - u32::try_from(kept.len()).ok()?);
    Some(kept.parse::<i32>().ok()? * scale)
}

/// `Z`, `+09:00`, `-0700`.
fn parse_offset(text: &str) -> Option<i16> {
    let text = trim(text);
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text[1..];
    let minutes_at = match rest.len() {
        5 if rest.as_bytes()[2] == b':' => 3,
        4 => 2,
        _ => return None,
    };
    let (hours, minutes) = (digits(rest, 0, 2)?, digits(rest, minutes_at, minutes_at + 2)?);
    let offset = i16::try_from(hours * 60 + minutes).ok().filter(|offset| minutes < 60 && *offset <= MAX_OFFSET_MINUTES)?;
    Some(sign * offset)
}

impl fmt::Display for TakenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.local)?;
        match self.offset_minutes {
            None => Ok(()),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
            }
        }
    }
}

/// The text is no date and time as [`TakenAt`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time")]
pub struct NotATime;

impl FromStr for TakenAt {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let tail_at = text.len().checked_sub(6).filter(|at| *at >= 19 && text.is_char_boundary(*at));
        let (local, offset) = match tail_at.map(|at| text.split_at(at)) {
            Some((local, offset)) if offset.starts_with(['+', '-']) => (local, Some(parse_offset(offset).ok_or(NotATime)?)),
            _ => match text.strip_suffix('Z') {
                Some(local) => (local, Some(0)),
                None => (text, None),
            },
        };
        Self::new(local.parse().map_err(|_| NotATime)?, offset).ok_or(NotATime)
    }
}

impl Serialize for TakenAt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TakenAt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A place on earth (WGS 84), in whole numbers so that equal places are equal bytes everywhere. A private thing: who took a photo at
/// home has written their address here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gps {
    /// Ten-millionths of a degree, north positive; at most 900,000,000 either way.
    pub latitude_e7: i32,
    /// Ten-millionths of a degree, east positive; at most 1,800,000,000 either way.
    pub longitude_e7: i32,
    /// Millimetres above the sea, where the file says.
    pub altitude_mm: Option<i32>,
}

impl Gps {
    /// `None` where the degrees are no place on earth.
    pub fn from_degrees(latitude: f64, longitude: f64, altitude_m: Option<f64>) -> Option<Self> {
        let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        #[allow(clippy::cast_possible_truncation)] // Both are within i32 by the check above; the altitude by its own.
        on_earth.then(|| Self {
            latitude_e7: (latitude * 1e7).round() as i32,
            longitude_e7: (longitude * 1e7).round() as i32,
            altitude_mm: altitude_m.filter(|metres| metres.abs() <= 1e6).map(|metres| (metres * 1e3).round() as i32),
        })
    }

    /// Whether there is such a place, for one that came from elsewhere.
    pub fn is_on_earth(&self) -> bool {
        self.latitude_e7.unsigned_abs() <= 900_000_000 && self.longitude_e7.unsigned_abs() <= 1_800_000_000
    }

    /// Degrees, north positive.
    pub fn latitude(&self) -> f64 {
        f64::from(self.latitude_e7) / 1e7
    }

    /// Degrees, east positive.
    pub fn longitude(&self) -> f64 {
        f64::from(self.longitude_e7) / 1e7
    }

    /// Metres above the sea, where known.
    pub fn altitude_m(&self) -> Option<f64> {
        self.altitude_mm.map(|mm| f64::from(mm) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(date: &str, subseconds: Option<&str>, offset: Option<&str>) -> Option<String> {
        TakenAt::from_exif(date, subseconds, offset).map(|taken| taken.to_string())
    }

    #[test]
    fn exif_texts_become_rfc_3339() {
        let cases = [
            (("2012:07:14 16:30:12", None, None), Some("2012-07-14T16:30:12")),
            (("2020:02:29 23:59:59\0", Some("987"), Some("+05:30")), Some("2020-02-29T23:59:59.987+05:30")),
            (("2021:05:16 12:27:36", Some("107 "), Some("-07:00\0")), Some("2021-05-16T12:27:36.107-07:00")),
            (("2019:09:26 16:38:00", Some("0532"), None), Some("2019-09-26T16:38:00.0532")),
            (("2013-07-05T03:18:27Z", None, None), Some("2013-07-05T03:18:27+00:00")),
            (("2013-07-05T03:18:27.5-0330", None, None), Some("2013-07-05T03:18:27.5-03:30")),
            (("2012:07:14 16:30:12", Some("abc"), Some("   :  ")), Some("2012-07-14T16:30:12")),
            (("2012:07:14 16:30:12", None, Some("+99:00")), Some("2012-07-14T16:30:12")),
            (("0000:00:00 00:00:00", None, None), None),
            (("    :  :     :  :  ", None, None), None),
            (("2019:02:29 10:00:00", None, None), None),
            (("2019:13:01 10:00:00", None, None), None),
            (("2019:12:01 24:00:00", None, None), None),
            (("2019:12:01", None, None), None),
            (("20é9:12:01 10:00:000", None, None), None),
            (("", None, None), None),
        ];
        for ((date, subseconds, offset), expected) in cases {
            assert_eq!(read(date, subseconds, offset).as_deref(), expected, "{date:?} {subseconds:?} {offset:?}");
        }
    }

    #[test]
    fn places_on_earth_only() {
        let gps = Gps::from_degrees(52.2053, -0.1218, Some(6.4)).unwrap();
        assert_eq!((gps.latitude_e7, gps.longitude_e7, gps.altitude_mm), (522_053_000, -1_218_000, Some(6400)));
        assert!((gps.latitude() - 52.2053).abs() < 1e-9 && (gps.longitude() + 0.1218).abs() < 1e-9);
        assert!(Gps::from_degrees(90.0, 180.0, None).is_some());
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Gps::from_degrees(latitude, longitude, None), None);
        }
        assert_eq!(Gps::from_degrees(0.0, 0.0, Some(f64::NAN)).unwrap().altitude_mm, None);
    }

    proptest! {
        #[test]
        fn never_panics_on_any_text(date in "\\PC{0,30}", sub in proptest::option::of("\\PC{0,12}"), offset in proptest::option::of("\\PC{0,8}")) {
            let _ = TakenAt::from_exif(&date, sub.as_deref(), offset.as_deref());
            let _ = date.parse::<TakenAt>();
        }

        #[test]
        fn what_is_written_reads_back(
            year in 1_i16..=9999, month in 1_i8..=12, day in 1_i8..=28, hour in 0_i8..24, minute in 0_i8..60, second in 0_i8..60,
            nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_i32], offset in proptest::option::of(-900_i16..=900),
        ) {
            let local = DateTime::new(year, month, day, hour, minute, second, nanoseconds).unwrap();
            let taken = TakenAt::new(local, offset).unwrap();
            prop_assert_eq!(taken.to_string().parse::<TakenAt>().unwrap(), taken);
            prop_assert_eq!(serde_json::from_str::<TakenAt>(&serde_json::to_string(&taken).unwrap()).unwrap(), taken);
            prop_assert_eq!(postcard::from_bytes::<TakenAt>(&postcard::to_stdvec(&taken).unwrap()).unwrap(), taken);
        }
    }
}
