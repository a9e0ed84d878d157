//! The one place that reads the process's environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// Environment variables, as they were when they were read.
#[derive(Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

/// The environment of this process.
#[allow(clippy::disallowed_methods)] // The one place that reads the environment; everything else is handed what it gives.
pub fn environment() -> Environment {
    Environment(std::env::vars_os().collect())
}

/// The user's home directory: `HOME`, or what the system knows of the user; `None` where neither says.
#[allow(clippy::disallowed_methods)] // As above.
pub fn home_directory() -> Option<PathBuf> {
    std::env::home_dir()
}

impl Environment {
    /// The value of a variable that is set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }

    /// Whether people ask for no colour: `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub fn no_color(&self) -> bool {
        self.get("NO_COLOR").is_some_and(|value| !value.is_empty())
    }

    /// All variables.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    /// Names alone: values may be secrets, such as `HALIDOM_TOKEN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_logged() {
        let environment: Environment = [("HALIDOM_TOKEN", "secret"), ("NO_COLOR", "1")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "[\"HALIDOM_TOKEN\", \"NO_COLOR\"]");
        assert_eq!(environment.get("HALIDOM_TOKEN"), Some("secret".as_ref()));
        assert!(environment.no_color());
        assert!(!Environment::from_iter([("NO_COLOR", "")]).no_color());
    }
}
