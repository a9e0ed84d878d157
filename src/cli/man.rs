use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory};

use super::Cli;
use super::exit::Outcome;
use super::output::Output;

/// Print the manual page, or write all of them
///
/// Read it with `halidom man | man -l -`.
#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// Write a page for each command into this directory instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &ManOptions, output: &Output) -> anyhow::Result<Outcome> {
    match &options.out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output.raw(&page)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
                .with_context(|| format!("could not write manual pages into `{}`", folder.display()))?;
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_gets_a_page() {
        let folder = tempfile::tempdir().unwrap();
        run(&ManOptions { out: Some(folder.path().to_owned()) }, &Output::new(true)).unwrap();
        for page in ["halidom.1", "halidom-upload.1", "halidom-album-list.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains(".TH"), "{page}");
        }
    }
}
