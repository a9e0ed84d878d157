use std::error::Error as _;
use std::fmt::Write as _;
use std::io;

use crate::api::Problem;
use crate::model::BlobHash;

/// Why a call gave no answer. The kinds say what the caller can do next.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server understood and said no. Retried already where a retry is allowed; the code says what to change.
    #[error("{}", describe(.0))]
    Refused(Box<Problem>),
    /// No answer came: nothing listens there, the connection broke, or it stayed silent for too long. Retried already; worth trying again later.
    #[error("could not reach the server at {server}: {detail}")]
    Unreachable {
        /// Where the request went.
        server: String,
        /// What happened, with the causes below it.
        detail: String,
    },
    /// Something answered, but not as Halidom answers: another program, a proxy, or another version. A retry does not help.
    #[error("the answer of {server} is not Halidom's: {detail}")]
    Protocol {
        /// Where the request went.
        server: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The file to send could not be read.
    #[error("could not read the file: {0}")]
    Source(#[source] io::Error),
    /// The file to send is no longer the one that was hashed: hash it again and send that.
    #[error("the file changed while it was being sent")]
    Changed,
    /// What arrived does not hash to its name, twice: the server's copy or the way to it is damaged. Nothing of it was kept.
    #[error("what arrived hashes to {found}, not to {expected}")]
    Damaged {
        /// What was asked for.
        expected: BlobHash,
        /// What came.
        found: BlobHash,
    },
    /// Another process is receiving the same file at the same place: wait for it.
    #[error("another download is writing this file")]
    Busy,
    /// The file to receive into could not be written. What arrived so far stays, so that a repetition goes on from there.
    #[error("could not write the file: {0}")]
    Target(#[source] io::Error),
    /// The client cannot be made of these settings.
    #[error("{0}")]
    Settings(String),
}

impl ClientError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// A stable word for programs: the server's own code of a refusal, else one of this client's.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(problem) => &problem.code,
            Self::Unreachable { .. } => "unreachable",
            Self::Protocol { .. } => "protocol",
            Self::Source(_) => "unreadable",
            Self::Changed => "changed",
            Self::Damaged { .. } => "damaged",
            Self::Busy => "busy",
            Self::Target(_) => "unwritable",
            Self::Settings(_) => "settings",
        }
    }

    /// Whether the server is of no use, and another of the same kind may answer: not where it is busy, or something is wrong with what was
    /// asked for.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => match problem.status {
                401 | 403 | 502 | 504 => true,
                503 => !self.is_busy(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the server does not know the caller, or not for this.
    pub fn is_refused_token(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Whether the server has too much to do: come again.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 429 || problem.status == 503 && problem.code == "busy")
    }

    /// Whether there is no such thing, as far as the caller may know.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the same call for another photo would fail in the same way, so that going on is pointless: the server is away, does not
    /// know the caller, or has no space; or the local disk is full.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::Refused(problem) => matches!(problem.status, 401 | 403 | 429 | 503 | 504 | 507),
            Self::Unreachable { .. } | Self::Protocol { .. } | Self::Settings(_) => true,
            Self::Target(error) => matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            Self::Source(_) | Self::Changed | Self::Damaged { .. } | Self::Busy => false,
        }
    }
}

fn describe(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    // Writing to a string cannot fail.
    let _ = write!(text, " ({} {}", problem.status, problem.code);
    if let Some(id) = &problem.request_id {
        let _ = write!(text, ", request {id}");
    }
    text.push(')');
    text
}

/// An error of reqwest with all that lies beneath it: its own text only says "error sending request".
pub(super) fn explain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.ends_with(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = cause.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> ClientError {
        let problem = serde_json::json!({ "type": "about:blank", "title": "t", "status": status, "code": code });
        ClientError::Refused(Box::new(serde_json::from_value(problem).unwrap()))
    }

    #[test]
    fn a_server_is_away_where_another_may_answer() {
        for (error, expected) in [
            (ClientError::Unreachable { server: String::new(), detail: String::new() }, true),
            // Whatever stands between may say so of one thing.
            (ClientError::Protocol { server: String::new(), detail: String::new() }, false),
            (refused(401, "unauthenticated"), true),
            (refused(404, "not_found"), false),
            (refused(429, "too_many_downloads"), false),
            (refused(500, "damaged"), false),
            (refused(503, "busy"), false),
            (refused(503, "unavailable"), true),
        ] {
            assert_eq!(error.is_away(), expected, "{error}");
        }
    }
}
