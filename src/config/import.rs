//! Coming in from trees of photos that lie on the server's own disks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::Findings;

/// Directories that may be named.
const MAX_DIRECTORIES: usize = 64;

/// `[import]`: what `halidom import` may read, and how much of the server it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// Directories whose trees administrators may have imported, with colons between them. None: nothing is.
    pub directories: Directories,
    /// Files of an import that are on their way at once. What decodes them lets everything else go first.
    pub concurrency: u32,
}

/// Absolute paths with colons between them: `/srv/filer:/mnt/takeout`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories(Vec<PathBuf>);

impl Directories {
    /// Each of them.
    pub fn as_slice(&self) -> &[PathBuf] {
        &self.0
    }

    /// The one that a path lies in, and the way from there: the nearest, where several lie in one another.
    pub fn holding<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
        let holding = self.0.iter().filter_map(|directory| Some((directory.as_path(), path.strip_prefix(directory).ok()?)));
        holding.max_by_key(|(directory, _)| directory.components().count())
    }
}

impl fmt::Display for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&texts.join(":"))
    }
}

impl FromStr for Directories {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let paths: Vec<_> = text.split(':').map(str::trim).filter(|text| !text.is_empty()).map(PathBuf::from).collect();
        if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
            return Err(format!("{path:?} does not begin with /"));
        }
        if paths.len() > MAX_DIRECTORIES {
            return Err(format!("{} directories; at most {MAX_DIRECTORIES}", paths.len()));
        }
        Ok(Self(paths))
    }
}

impl Serialize for Directories {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Directories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Default for ImportConfig {
    fn default() -> Self {
        Self { directories: Directories::default(), concurrency: 8 }
    }
}

impl ImportConfig {
    /// From nowhere, two at a time.
    pub fn for_testing() -> Self {
        Self { concurrency: 2, ..Self::default() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        findings.within("import.concurrency", u64::from(self.concurrency), 1..=256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_absolute_and_the_nearest_holds() {
        let directories: Directories = " /srv/filer:/srv/filer/old:".parse().unwrap();
        assert_eq!(directories.to_string().parse(), Ok(directories.clone()));
        let holding = |path| directories.holding(Path::new(path)).map(|(at, below)| (at.to_str().unwrap(), below.to_str().unwrap()));
        assert_eq!(holding("/srv/filer/a/b"), Some(("/srv/filer", "a/b")));
        assert_eq!(holding("/srv/filer/old/b"), Some(("/srv/filer/old", "b")));
        assert_eq!(holding("/srv/filer"), Some(("/srv/filer", "")));
        assert_eq!(holding("/srv/filer2"), None);
        assert!("srv".parse::<Directories>().is_err());
        assert!(vec!["/a"; MAX_DIRECTORIES + 1].join(":").parse::<Directories>().is_err());
    }
}
