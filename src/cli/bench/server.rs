//! What the server says of itself at `/metrics`, before and after.

use std::time::Duration;

use anyhow::Context as _;

use crate::client::{Client, ClientError, ClientSettings, RetrySettings};
use crate::runtime::Runtime;

/// A larger page is none of ours.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server's page of metrics.
#[derive(Debug, Clone)]
pub(super) struct Metrics(Client);

/// What the server has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Used {
    /// CPU time in user and system mode.
    pub(super) cpu_seconds: f64,
}

impl Metrics {
    /// The page of the server whose admin listener is at `url` (`http://127.0.0.1:8421`).
    ///
    /// # Errors
    /// Where nothing answers there, or something else.
    pub(super) async fn at(url: &str, runtime: &Runtime) -> anyhow::Result<Self> {
        let once = RetrySettings { attempts: 1, turn: Duration::ZERO, ..RetrySettings::default() };
        let settings = ClientSettings { retry: once, idle_timeout: PATIENCE, connect_timeout: PATIENCE, ..ClientSettings::default() };
        // Without a token: the page needs none, and another server must not learn ours.
        let metrics = Self(Client::new(url, None, settings, runtime.clone())?);
        metrics.used().await.with_context(|| format!("could not read the server's metrics at `{url}`"))?;
        Ok(metrics)
    }

    /// Reads the page.
    pub(super) async fn used(&self) -> anyhow::Result<Used> {
        let mut page = Vec::new();
        let read: Result<u64, ClientError> = self
            .0
            .get_once("/metrics", |chunk| {
                if page.len() < MAX_PAGE_BYTES {
                    page.extend_from_slice(&chunk);
                }
            })
            .await;
        read?;
        Used::read(&String::from_utf8_lossy(&page)).context("what answers is no Halidom server")
    }
}

impl Used {
    fn read(page: &str) -> Option<Self> {
        page.contains("halidom_build_info{").then_some(())?;
        let line = page.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "))?;
        Some(Self { cpu_seconds: line.trim().parse().ok()? })
    }

    /// CPU time since.
    pub(super) fn since(self, before: Self) -> Option<Duration> {
        // Less than before: it was started anew in between.
        Duration::try_from_secs_f64(self.cpu_seconds - before.cpu_seconds).ok()
    }
}

/// Where a server's metrics stand by themselves: at the port after its own.
pub(super) fn default_address(server: &str) -> Option<String> {
    let mut url = reqwest::Url::parse(server).ok().filter(|url| url.scheme() == "http")?;
    let port = url.port()?.checked_add(1)?;
    url.set_port(Some(port)).ok()?;
    url.set_path("");
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let page = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\nhalidom_build_info{version=\"1\"} 1\n";
        let (before, after) = (Used::read(page).unwrap(), Used { cpu_seconds: 4.0 });
        assert_eq!(after.since(before), Some(Duration::from_millis(2_500)));
        assert_eq!(before.since(after), None);
        assert_eq!(Used::read("process_cpu_seconds_total 1.5\n"), None, "another program's");
    }

    #[test]
    fn metrics_stand_beside_the_server() {
        assert_eq!(default_address("http://127.0.0.1:8420").as_deref(), Some("http://127.0.0.1:8421/"));
        assert_eq!(default_address("https://photos.example.org"), None);
        assert_eq!(default_address("http://photos.example.org"), None, "behind something else");
    }
}
