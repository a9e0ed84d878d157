//! What is wrong with the settings: always with the key, and with who said it.

use std::fmt::{self, Display};
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::ByteSize;

/// Who gave a setting its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody: it is the default.
    Default,
    /// This file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag of the command line.
    Flag(&'static str),
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::Flag(flag) => write!(f, "the flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which setting: `limits.max_page`.
    pub key: String,
    /// Who gave it its value.
    pub source: Source,
    /// What is wrong with it.
    pub reason: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (from {})", self.key, self.reason, self.source)
    }
}

/// The settings cannot be used: the operator has to change them.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings in {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        reason: io::Error,
    },
    /// The file is not TOML.
    #[error("the settings in {} are not TOML: {reason}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// Settings are unknown, of the wrong kind, or out of bounds. Never empty.
    #[error("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// All that was found.
        findings: Vec<Finding>,
    },
}

/// Gathers what is wrong while all concerns are checked; the sources are looked up afterwards.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<(String, String)>);

impl Findings {
    /// Something is wrong with `key`.
    pub(super) fn add(&mut self, key: &str, reason: String) {
        self.0.push((key.to_owned(), reason));
    }

    /// Demands a number within bounds.
    pub(super) fn within(&mut self, key: &str, value: u64, bounds: RangeInclusive<u64>) {
        self.demand(key, value, &bounds);
    }

    /// Demands a size within bounds.
    pub(super) fn size_within(&mut self, key: &str, value: ByteSize, bounds: RangeInclusive<ByteSize>) {
        self.demand(key, value, &bounds);
    }

    /// Demands a duration within bounds.
    pub(super) fn time_within(&mut self, key: &str, value: Duration, bounds: RangeInclusive<Duration>) {
        let format = humantime_serde::re::humantime::format_duration;
        if !bounds.contains(&value) {
            self.add(key, format!("{} is not within {} and {}", format(value), format(*bounds.start()), format(*bounds.end())));
        }
    }

    /// Demands a duration of at least a millisecond and at most a hundred years (timers overflow beyond).
    pub(super) fn some_time(&mut self, key: &str, value: Duration) {
        self.time_within(key, value, Duration::from_millis(1)..=Duration::from_secs(100 * 365 * 24 * 60 * 60));
    }

    fn demand<T: PartialOrd + Display>(&mut self, key: &str, value: T, bounds: &RangeInclusive<T>) {
        if !bounds.contains(&value) {
            self.add(key, format!("{value} is not within {} and {}", bounds.start(), bounds.end()));
        }
    }

    /// The findings with their sources; an error unless there are none.
    pub(super) fn into_result(self, source: impl Fn(&str) -> Source) -> Result<(), ConfigError> {
        let findings: Vec<_> = self.0.into_iter().map(|(key, reason)| Finding { source: source(&key), key, reason }).collect();
        if findings.is_empty() { Ok(()) } else { Err(ConfigError::Invalid { findings }) }
    }
}
