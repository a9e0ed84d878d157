//! Logs.

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// `[log]`: what goes to stderr, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives such as `info,halidom::blobs=debug`.
    pub level: String,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event, in colour on a terminal.
    Text,
    /// One JSON object an event.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl LogConfig {
    /// Only what goes wrong.
    pub fn for_testing() -> Self {
        Self { level: "warn".to_owned(), ..Self::default() }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        // `Targets` takes any word for a target's name, so that a misspelt level would silence the log: name levels here.
        let known = |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level);
        let directive = |text: &str| match text.rsplit_once('=') {
            Some((target, level)) => !target.trim().is_empty() && known(level.trim()),
            None => known(text.trim()),
        };
        if !self.level.split(',').all(directive) {
            findings.add(
                "log.level",
                format!(
                    "{:?} is neither off, error, warn, info, debug or trace, nor a list like \"info,halidom::blobs=debug\"",
                    self.level
                ),
            );
        }
    }
}
