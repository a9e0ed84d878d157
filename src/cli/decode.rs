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
    /// Work when nothing else does
    #[arg(long)]
    low_priority: bool,
}

pub(super) fn run(options: &DecodeOptions) -> anyhow::Result<Outcome> {
    server::decode_for_others(options.memory_bytes, options.output_bytes, options.low_priority)?;
    Ok(Outcome::Done)
}
