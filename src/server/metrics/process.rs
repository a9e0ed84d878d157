//! What the system says of this process, under the names that Prometheus' own libraries use. Read at each scrape (proc(5)).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::runtime;

/// The process. What the system does not say is left out.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(used) = runtime::cpu_time() {
            let counter = ConstCounter::new(used.as_secs_f64());
            let help = "CPU time in user and system mode";
            counter.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), counter.metric_type())?)?;
        }
        if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes) {
            let gauge = ConstGauge::new(bytes);
            let help = "Memory that the process has in use";
            gauge.encode(encoder.encode_descriptor("process_resident_memory", help, Some(&Unit::Bytes), gauge.metric_type())?)?;
        }
        if let Some(open) = std::fs::read_dir("/proc/self/fd").ok().and_then(|open| i64::try_from(open.count()).ok()) {
            let gauge = ConstGauge::new(open);
            gauge.encode(encoder.encode_descriptor("process_open_fds", "Files and sockets open", None, gauge.metric_type())?)?;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if let Some(limit) = limit.and_then(|limit| i64::try_from(limit).ok()) {
            let gauge = ConstGauge::new(limit);
            gauge.encode(encoder.encode_descriptor(
                "process_max_fds",
                "Files and sockets that may be open",
                None,
                gauge.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// `VmRSS` of `/proc/self/status`, which is in kB.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
