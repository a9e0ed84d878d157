use clap::{Args, CommandFactory};

use super::Cli;
use super::exit::Outcome;
use super::output::Output;

/// Print a completion script for a shell
///
/// For bash: `halidom completions bash > ~/.local/share/bash-completion/completions/halidom`.
#[derive(Debug, Args)]
pub(super) struct CompletionsOptions {
    /// For which shell
    shell: clap_complete::Shell,
}

pub(super) fn run(options: &CompletionsOptions, output: &Output) -> anyhow::Result<Outcome> {
    // Into memory first: clap_complete panics where its writer fails, as a closed pipe does.
    output.raw(&script(options.shell))?;
    Ok(Outcome::Done)
}

fn script(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "halidom", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in clap_complete::Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            assert!(script.contains("upload") && script.contains("download"), "{shell}");
        }
    }
}
