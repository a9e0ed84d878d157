use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::measure::Measured;
use crate::cli::output::fields;
use crate::cli::units;

/// What a bench found, as `--json` says it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// What was measured.
    what: String,
    concurrency: usize,
    object_bytes: u64,
    seed: u64,
    /// Requests that succeeded.
    requests: u64,
    /// Requests that failed.
    pub(super) errors: u64,
    /// Those by their code.
    errors_by_code: BTreeMap<String, u64>,
    /// Bytes of bodies.
    bytes: u64,
    seconds: f64,
    requests_per_second: f64,
    bytes_per_second: f64,
    /// From the begin of a request to its last byte.
    latency_seconds: Latency,
    /// CPU time of the client, not of the server.
    client_cpu_seconds: Option<f64>,
    /// CPU time of the server meanwhile, all that it did.
    server_cpu_seconds: Option<f64>,
}

/// Percentiles: the smallest value that so many of a hundred did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(what: String, concurrency: usize, object_bytes: u64, seed: u64, measured: Measured) -> Self {
        let Measured { latencies, bytes, errors, elapsed, cpu, server_cpu } = measured;
        let (requests, seconds) = (latencies.len() as u64, elapsed.as_secs_f64());
        let per_second = |amount: u64| if seconds > 0.0 { amount as f64 / seconds } else { 0.0 };
        let at = |percent| percentile(&latencies, percent).as_secs_f64();
        Self {
            what,
            concurrency,
            object_bytes,
            seed,
            requests,
            errors: errors.values().sum(),
            errors_by_code: errors,
            bytes,
            seconds,
            requests_per_second: per_second(requests),
            bytes_per_second: per_second(bytes),
            latency_seconds: Latency { p50: at(50), p90: at(90), p99: at(99), max: at(100) },
            client_cpu_seconds: cpu.map(|cpu| cpu.as_secs_f64()),
            server_cpu_seconds: server_cpu.map(|cpu| cpu.as_secs_f64()),
        }
    }

    /// The same for people.
    pub(super) fn text(&self) -> String {
        let Latency { p50, p90, p99, max } = self.latency_seconds;
        let ms = |seconds: f64| format!("{:.1} ms", seconds * 1_000.0);
        let errors = self.errors_by_code.iter().map(|(code, count)| format!("{count} {code}")).collect::<Vec<_>>();
        fields([
            ("measured", Some(format!("{}, {} at once, {} each", self.what, self.concurrency, units::bytes(self.object_bytes)))),
            ("requests", Some(format!("{} in {:.2} s, {:.1} a second", self.requests, self.seconds, self.requests_per_second))),
            ("bytes", Some(format!("{}, {:.1} MB a second", units::bytes(self.bytes), self.bytes_per_second / 1e6))),
            ("errors", Some(if errors.is_empty() { "0".into() } else { errors.join(", ") })),
            ("latency", Some(format!("p50 {}, p90 {}, p99 {}, max {}", ms(p50), ms(p90), ms(p99), ms(max)))),
            ("server CPU", self.server_cpu_seconds.map(|seconds| self.server_cpu(seconds))),
            ("client CPU", self.client_cpu_seconds.map(|seconds| format!("{seconds:.2} s"))),
            ("seed", Some(self.seed.to_string())),
        ])
    }

    fn server_cpu(&self, seconds: f64) -> String {
        let mut text = format!("{seconds:.2} s");
        if self.requests > 0 {
            text += &format!(", {:.2} ms a request", seconds * 1_000.0 / self.requests as f64);
        }
        if self.bytes > 0 {
            text += &format!(", {:.2} s a GB", seconds * 1e9 / self.bytes as f64);
        }
        text
    }
}

/// By nearest rank, of sorted values; zero where there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let at = |percent| percentile(&sorted, percent).as_millis();
        assert_eq!((at(50), at(90), at(99), at(100)), (100, 180, 198, 200));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_millis(1));
    }

    #[test]
    fn rates_follow_from_counts_and_time() {
        let measured = Measured {
            latencies: vec![Duration::from_millis(5); 10],
            bytes: 4_000,
            errors: BTreeMap::from([("no_space".to_owned(), 2)]),
            elapsed: Duration::from_secs(2),
            cpu: None,
            server_cpu: Some(Duration::from_millis(50)),
        };
        let report = Report::new("upload".into(), 1, 400, 7, measured);
        assert_eq!((report.requests, report.errors, report.requests_per_second, report.bytes_per_second), (10, 2, 5.0, 2_000.0));
        assert!(report.text().contains("2 no_space"), "{}", report.text());
        assert!(report.text().contains("0.05 s, 5.00 ms a request, 12500.00 s a GB"), "{}", report.text());
    }
}
