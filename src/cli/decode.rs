use clap::Args;

use super::exit::Outcome;
use crate::server;

/// Decode photos for a server, on its standard input and output (`halidom serve` starts these)
#[derive(Debug, Args)]
pub struct DecodeOptions {
    /// Memory that it may have, in bytes
    memory_bytes: u64,
    /// The largest picture, in bytes
    output_bytes: u64,
    /// How much nicer than the server it is
    nice: u8,
}

pub(super) fn run(options: &DecodeOptions) -> anyhow::Result<Outcome> {
    server::decode_for_others(options.memory_bytes, options.output_bytes, options.nice)?;
    Ok(Outcome::Done)
}
