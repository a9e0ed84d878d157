//! Settings: one struct a concern, loaded once, checked before a socket opens.
//!
//! Defaults < file (TOML) < environment (`HALIDOM_SECTION__KEY`) < flags. Unknown keys are refused, sizes and times are written with
//! their units, and an error names the key and who set it. No setting holds a secret: those come from files of their own.
//! `docs/examples/halidom.toml` shows every key.

mod auth;
mod blobs;
mod blobs_url;
mod cold;
mod edge;
mod environment;
mod error;
mod import;
mod layers;
mod limits;
mod log;
mod metadata;
mod mirror;
mod nfs;
pub mod percent;
mod public_url;
mod renditions;
mod s3;
mod server;
mod storage;
#[cfg(test)]
mod tests;
mod units;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use auth::AuthConfig;
pub use blobs::BlobsConfig;
pub use blobs_url::{BlobsUrl, S3Location};
pub use cold::{ColdConfig, ColdMode};
pub use edge::{EdgeConfig, SiteUrls};
pub use environment::{Environment, environment, home_directory};
pub use error::{ConfigError, Finding, Source};
pub use import::{Directories, ImportConfig};
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat};
pub use metadata::MetadataConfig;
pub use mirror::{MirrorConfig, MirrorNeeds};
pub use nfs::NfsConfig;
pub use public_url::PublicUrl;
pub use renditions::RenditionsConfig;
pub use s3::{S3Checksum, S3Config};
pub use server::{Role, ServerConfig};
pub use storage::StorageConfig;
pub use units::{ByteSize, Expiry, Listen};

/// All settings of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners and the life of connections.
    pub server: ServerConfig,
    /// Where data lies.
    pub storage: StorageConfig,
    /// What a request may ask for.
    pub limits: LimitsConfig,
    /// The metadata store.
    pub metadata: MetadataConfig,
    /// The blob store.
    pub blobs: BlobsConfig,
    /// A filer.
    pub nfs: NfsConfig,
    /// S3.
    pub s3: S3Config,
    /// A second place for photos.
    pub mirror: MirrorConfig,
    /// Recompressed photos.
    pub cold: ColdConfig,
    /// Renditions.
    pub renditions: RenditionsConfig,
    /// Trees of photos that are taken in.
    pub import: ImportConfig,
    /// Edges.
    pub edge: EdgeConfig,
    /// Tokens.
    pub auth: AuthConfig,
    /// Logs.
    pub log: LogConfig,
}

/// Where settings come from, besides the defaults. The flags are text, so that a wrong one is reported like any other setting.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--config`: the file. Without one none is read.
    pub config: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--admin-listen`
    pub admin_listen: Option<String>,
    /// `--peer-listen`
    pub peer_listen: Option<String>,
    /// `--blobs`
    pub blobs: Option<String>,
    /// `--mirror`
    pub mirror: Option<String>,
    /// `--role`
    pub role: Option<String>,
    /// `--site`, with commas between them.
    pub sites: Option<String>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// The environment: [`environment`], or a test's own.
    pub environment: Environment,
}

impl Config {
    /// Loads and checks the settings.
    ///
    /// # Errors
    /// Where the file cannot be read, or a setting is unknown, of the wrong kind or out of bounds.
    pub fn load(options: LoadOptions) -> Result<Self, ConfigError> {
        let mut layers = layers::Layers::defaults();
        if let Some(path) = &options.config {
            layers.file(path)?;
        }
        layers.environment(&options.environment);
        layers.flags(&options);
        layers.finish()
    }

    /// Settings for a test's own site under `data`: free ports, little memory, small limits.
    pub fn for_testing(data: impl Into<PathBuf>) -> Self {
        Self {
            server: ServerConfig::for_testing(),
            storage: StorageConfig::for_testing(data),
            limits: LimitsConfig::for_testing(),
            metadata: MetadataConfig::for_testing(),
            blobs: BlobsConfig::for_testing(),
            nfs: NfsConfig::for_testing(),
            s3: S3Config::for_testing(),
            mirror: MirrorConfig::for_testing(),
            cold: ColdConfig::for_testing(),
            renditions: RenditionsConfig::for_testing(),
            import: ImportConfig::for_testing(),
            edge: EdgeConfig::for_testing(),
            auth: AuthConfig::for_testing(),
            log: LogConfig::for_testing(),
        }
    }

    /// Checks bounds, each concern its own.
    fn check(&self, findings: &mut error::Findings) {
        self.server.check(findings);
        self.storage.check(findings);
        self.limits.check(findings);
        self.metadata.check(findings);
        self.blobs.check(findings);
        self.nfs.check(findings);
        self.s3.check(findings);
        self.mirror.check(findings, &self.storage.blobs);
        self.cold.check(findings);
        self.renditions.check(findings);
        self.import.check(findings);
        self.edge.check(findings, self.server.role);
        self.auth.check(findings);
        self.log.check(findings);
    }
}
