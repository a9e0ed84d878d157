use std::io;
use std::process::ExitCode;

use super::output::Output;
use crate::client::ClientError;

/// How a command that ran to its end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was done.
    Done,
    /// It ran, and found problems: refused files, damage.
    Problems,
}

impl Outcome {
    pub(super) fn of_problems(problems: impl TryInto<u64>) -> Self {
        if problems.try_into().is_ok_and(|count| count == 0) { Self::Done } else { Self::Problems }
    }
}

/// The command was called wrongly: like clap's own refusals it ends with code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// Something that could be done about a failure stands with it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Hinted {
    pub(super) what: String,
    pub(super) hint: String,
}

/// Says what failed, why, and what to do; gives the process's exit code.
pub(super) fn code(result: anyhow::Result<Outcome>, output: &Output) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Problems) => return ExitCode::from(3),
        Err(error) => error,
    };
    if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let mut said = error.to_string();
    output.note(&format!("error: {said}"));
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !said.contains(&text) {
            output.note(&format!("  cause: {text}"));
        }
        said = text;
    }
    if let Some(hint) = hint(&error) {
        output.note(&format!("hint: {hint}"));
    }
    ExitCode::from(if error.chain().any(|cause| cause.is::<UsageError>()) { 2 } else { 1 })
}

fn hint(error: &anyhow::Error) -> Option<String> {
    for cause in error.chain() {
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            return Some(hinted.hint.clone());
        }
        if let Some(error) = cause.downcast_ref::<ClientError>() {
            return Some(match (error, error.status()) {
                (ClientError::Unreachable { .. }, _) => {
                    "check that the server runs (`halidom serve`) and that `--server` or HALIDOM_SERVER names it".into()
                }
                (ClientError::Protocol { .. }, _) => {
                    "check that `--server` or HALIDOM_SERVER names a Halidom server of this version".into()
                }
                (_, Some(401)) => "give a valid token with `--token`, HALIDOM_TOKEN or a profile".into(),
                (_, Some(403)) => "use a token with the scope that this needs (see `halidom token create --help`)".into(),
                (_, Some(429 | 503 | 504)) => "the server is busy or its storage is away: run the command again later".into(),
                (_, Some(507)) => "the server has no space left: free some, then run the command again".into(),
                _ => return None,
            });
        }
    }
    None
}
