//! The one place that reads the process's environment.

use std::ffi::{OsStr, OsString};

/// Environment variables, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

/// The environment of this process.
#[allow(clippy::disallowed_methods)] // The one place that reads the environment; everything else is handed what it gives.
pub fn environment() -> Environment {
    Environment(std::env::vars_os().collect())
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
