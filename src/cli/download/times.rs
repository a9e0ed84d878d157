//! The time of a file: that at which its photo was taken.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::model::TakenAt;

/// Sets when the file was last written to. A photo without an offset from UTC counts as taken in UTC; what is no time, or none that a
/// file can have, changes nothing.
pub(super) fn set(path: &Path, taken_at: &str) -> io::Result<()> {
    let Some(seconds) = taken_at.parse::<TakenAt>().ok().and_then(unix_seconds) else { return Ok(()) };
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    let Some(time) = time else { return Ok(()) };
    let file = File::options().write(true).open(path)?;
    file.set_modified(time)?;
    file.sync_all()
}

fn unix_seconds(taken_at: TakenAt) -> Option<i64> {
    let utc = jiff::tz::Offset::UTC.to_timestamp(taken_at.local()).ok()?;
    Some(utc.as_second() - i64::from(taken_at.offset_minutes().unwrap_or(0)) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_the_time_of_their_photo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo");
        std::fs::write(&path, "photo").unwrap();
        let written = || path.metadata().unwrap().modified().unwrap();
        for (taken_at, seconds) in [("2019-07-14T12:00:00", 1_563_105_600), ("2019-07-14T12:00:00+02:00", 1_563_098_400)] {
            set(&path, taken_at).unwrap();
            assert_eq!(written(), UNIX_EPOCH + Duration::from_secs(seconds), "{taken_at}");
        }
        set(&path, "1969-12-31T23:00:00Z").unwrap();
        assert_eq!(written(), UNIX_EPOCH - Duration::from_secs(3_600));
        let before = written();
        set(&path, "soon").unwrap();
        assert_eq!(written(), before);
    }
}
