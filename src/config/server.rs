//! Listeners and the life of connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Findings;
use super::units::deserialize_address;
use super::{ByteSize, Listen, PublicUrl};

/// What a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It has metadata and blobs.
    #[default]
    Site,
    /// It shows renditions of a site.
    Edge,
}

/// `[server]`: where the service listens, and how long it waits for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// What this server is: `site`, or `edge` of one, which shows renditions and has no metadata.
    pub role: Role,
    /// Where clients come in.
    #[serde(deserialize_with = "deserialize_address")]
    pub listen: SocketAddr,
    /// Where `/metrics` stands; not for the public.
    pub admin_listen: Listen,
    /// Where other sites come in.
    pub peer_listen: Listen,
    /// What clients reach the service by, for answers that need absolute URLs (IIIF).
    pub public_url: PublicUrl,
    /// After SIGTERM: how long `/readyz` says no before the listener closes, so that load balancers notice.
    #[serde(with = "humantime_serde")]
    pub shutdown_delay: Duration,
    /// How long running requests may go on after the stop has begun.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// How long a call that carries no photo may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a client may take to send the head of a request.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a body may stand still, either way (an answer over HTTP/2 four times as long), and be slower than `limits.min_upload_bytes_per_second` at first.
    #[serde(with = "humantime_serde")]
    pub stall_timeout: Duration,
    /// How long a connection may stay open between requests.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Connections of clients at once; more wait in the kernel's queue. The admin listener has some of its own.
    pub max_connections: u32,
    /// Size of a request's head: its line and all its fields.
    pub max_header_bytes: ByteSize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            role: Role::Site,
            listen: (Ipv4Addr::LOCALHOST, 8420).into(),
            admin_listen: Listen::At((Ipv4Addr::LOCALHOST, 8421).into()),
            peer_listen: Listen::Off,
            public_url: PublicUrl::AsAsked,
            shutdown_delay: Duration::from_secs(1),
            shutdown_grace: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            max_header_bytes: ByteSize::kib(32),
        }
    }
}

impl ServerConfig {
    /// Free ports on the loopback, no peer listener, a short grace.
    pub fn for_testing() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            admin_listen: Listen::At((Ipv4Addr::LOCALHOST, 0).into()),
            shutdown_delay: Duration::ZERO,
            shutdown_grace: Duration::from_secs(5),
            ..Self::default()
        }
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        let listeners = [
            ("server.listen", Some(self.listen)),
            ("server.admin_listen", self.admin_listen.address()),
            ("server.peer_listen", self.peer_listen.address()),
        ];
        for (n, (key, address)) in listeners.iter().enumerate() {
            let Some(address) = address.filter(|address| address.port() != 0) else { continue };
            if let Some((other, _)) = listeners[..n].iter().find(|(_, taken)| taken.is_some_and(|taken| overlap(taken, address))) {
                findings.add(key, format!("{address} is already taken by {other}"));
            }
        }
        findings.time_within("server.shutdown_delay", self.shutdown_delay, Duration::ZERO..=Duration::from_secs(5 * 60));
        findings.time_within("server.shutdown_grace", self.shutdown_grace, Duration::ZERO..=Duration::from_secs(60 * 60));
        findings.some_time("server.request_timeout", self.request_timeout);
        findings.some_time("server.header_timeout", self.header_timeout);
        findings.some_time("server.stall_timeout", self.stall_timeout);
        findings.some_time("server.idle_timeout", self.idle_timeout);
        findings.within("server.max_connections", u64::from(self.max_connections), 1..=1_000_000);
        // hyper refuses to read into less than 8 KiB.
        findings.size_within("server.max_header_bytes", self.max_header_bytes, ByteSize::kib(8)..=ByteSize::mib(1));
    }
}

/// Whether both cannot be listened on at once: the same port, of the same address or of all.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || all)
}
