//! What a peer has to be able to do, and what is measured of it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// A server under measurement. Dropping it ends its processes and removes its data.
#[async_trait]
pub(crate) trait Peer: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// What is on the disk, past a power cut, when it answers an upload.
    fn syncs(&self) -> &'static str;

    /// The request that uploads the object with this number.
    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder;

    /// Where the object of an answered upload can be fetched.
    fn download(&self, client: &reqwest::Client, index: u64, answer: &[u8]) -> anyhow::Result<reqwest::Request>;

    /// CPU time that its processes have used so far.
    fn cpu(&self) -> anyhow::Result<Duration>;
}

/// One measured piece of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Requests answered.
    pub(crate) requests: u64,
    /// Bytes of objects that went in or out.
    pub(crate) bytes: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// CPU time of the server; `None` where there is none.
    pub(crate) cpu: Option<Duration>,
}

impl Work {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// CPU seconds of the server for each gigabyte (1e9 bytes).
    pub(crate) fn cpu_per_gigabyte(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() / (self.bytes as f64 / 1e9))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s", self.rate())?;
        match self.cpu_per_gigabyte() {
            Some(cpu) => write!(f, ", {cpu:.3} CPU s/GB"),
            None => Ok(()),
        }
    }
}
