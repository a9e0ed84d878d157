//! How people write and read sizes and times.

use std::time::Duration;

use bytesize::ByteSize;

/// `3.1 MB`: decimal units, as file managers show them.
pub(super) fn bytes(count: u64) -> String {
    ByteSize(count).display().si().to_string()
}

/// `1 photo`, `2 photos`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Reads `30s`, `10m`, `1h 30m`, `90d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a duration such as 30s, 10m, 12h or 90d");
    let span: jiff::Span = text.parse().map_err(|_| expected())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    Duration::try_from(duration).map_err(|_| expected())
}

/// `30d`, `12h`, `90s`: in the largest unit of which it is a whole number.
pub(super) fn seconds(count: u32) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| count > 0 && count.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{count}s"), |(unit, name)| format!("{}{name}", count / unit))
}

/// Reads `3MB`, `64KiB`, `1000`: at least one byte.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(count)) if count > 0 => Ok(count),
        _ => Err(format!("`{text}` is not a size such as 50KB, 3MB or 64KiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert!(parse_duration("-5s").is_err() && parse_duration("soon").is_err());
        assert_eq!(parse_bytes("3MB"), Ok(3_000_000));
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert!(parse_bytes("0").is_err() && parse_bytes("much").is_err());
        for (number, text) in [(0, "0s"), (59, "59s"), (120, "2m"), (90 * 60, "90m"), (7_200, "2h"), (31_536_000, "365d")] {
            assert_eq!(seconds(number), text);
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(number.into())));
        }
        assert_eq!((count(1, "file"), count(2, "file")), ("1 file".into(), "2 files".into()));
    }
}
