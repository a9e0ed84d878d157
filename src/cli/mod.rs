//! The command line: one file a command.
//!
//! Data goes to stdout, everything else to stderr; with `--json` stdout carries JSON alone. Exit codes: 0 done, 1 failed, 2 usage, 3 ran and
//! found problems (refused files, damage).

mod album;
pub mod bench;
mod blobs;
mod check;
mod completions;
mod decode;
mod download;
mod exit;
mod export;
mod global;
mod import;
mod inventory;
mod man;
mod meter;
mod output;
mod photo;
mod profile;
mod resolve;
mod serve;
mod similar;
mod stats;
mod tenant;
mod token;
mod units;
mod upload;
mod url;
mod user;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::exit::Outcome;
use self::global::{GlobalOptions, Session};
use self::output::Output;

/// A content-addressed photo store: every photo is kept once, under the hash of its bytes.
#[derive(Debug, Parser)]
#[command(name = "halidom", version, propagate_version = true, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 ran and found problems (refused files, damage).")]
pub struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeOptions),
    Upload(upload::UploadOptions),
    Download(download::DownloadOptions),
    Import(import::ImportOptions),
    Export(export::ExportOptions),
    Album(album::AlbumOptions),
    Photo(photo::PhotoOptions),
    Url(url::UrlOptions),
    User(user::UserOptions),
    Tenant(tenant::TenantOptions),
    Token(token::TokenOptions),
    Stats(stats::StatsOptions),
    Check(check::CheckOptions),
    Inventory(inventory::InventoryOptions),
    Blobs(blobs::BlobsOptions),
    Bench(bench::BenchOptions),
    Completions(completions::CompletionsOptions),
    Man(man::ManOptions),
    #[command(hide = true)]
    Decode(decode::DecodeOptions),
}

/// Runs the command that the process was started with; says on stderr what failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.json);
    exit::code(run(cli, &output), &output)
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Serve(options) => serve::run(options),
        Command::Completions(options) => completions::run(&options, output),
        Command::Man(options) => man::run(&options, output),
        Command::Decode(options) => decode::run(&options),
        Command::Check(options) if options.is_offline() => check::run_offline(options, output),
        Command::Inventory(options) if options.is_offline() => inventory::run_offline(options, output),
        command => {
            let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the system has no threads to give")?;
            let session = Session::open(&cli.global, output.clone())?;
            let result = threads.block_on(call(command, &session));
            // Blocking work that was given up (a file on a dead mount) must not hold up the end.
            threads.shutdown_background();
            result
        }
    }
}

async fn call(command: Command, session: &Session) -> anyhow::Result<Outcome> {
    match command {
        Command::Upload(options) => upload::run(options, session).await,
        Command::Download(options) => download::run(options, session).await,
        Command::Import(options) => import::run(options, session).await,
        Command::Export(options) => export::run(options, session).await,
        Command::Album(options) => album::run(options, session).await,
        Command::Photo(options) => photo::run(options, session).await,
        Command::Url(options) => url::run(options, session).await,
        Command::User(options) => user::run(options, session).await,
        Command::Tenant(options) => tenant::run(options, session).await,
        Command::Token(options) => token::run(options, session).await,
        Command::Stats(options) => stats::run(options, session).await,
        Command::Check(options) => check::run(options, session).await,
        Command::Inventory(options) => inventory::run(options, session).await,
        Command::Blobs(options) => blobs::run(options, session).await,
        Command::Bench(options) => bench::run(options, session).await,
        Command::Serve(_) | Command::Completions(_) | Command::Man(_) | Command::Decode(_) => unreachable!("these need no server"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path}: {} has no description", argument.get_id());
            }
            command.get_subcommands().for_each(|inner| visit(inner, &path));
        }
        visit(&Cli::command(), "");
    }
}
