//! Connecting to a service. The only file that knows which it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::list::PaginatedListStore;
use object_store::{Attribute, Attributes, BackoffConfig, ClientOptions, RetryConfig};

use crate::blobs::BlobError;

/// Attempts after the first. Little: whoever waits for the call has a deadline, and the breaker sees to the rest.
const MAX_RETRIES: usize = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
const CONNECTING: Duration = Duration::from_secs(3);
/// Connections that are kept for the next calls.
const IDLE_CONNECTIONS: usize = 64;

/// What the service is told of an upload's bytes, so that it refuses them where they were changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UploadChecksum {
    /// CRC-64/NVME: AWS's own default, and next to free.
    #[default]
    Crc64Nvme,
    /// SHA-256, which is signed as well: for services that check no other.
    Sha256,
    /// None: for services that refuse what they do not know.
    None,
}

/// An S3 service and how it is spoken to. Holds secrets only as files.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// The service, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region, where one is needed.
    pub region: Option<String>,
    /// Access key and secret, in the form of AWS's `credentials` file, its profile `default`. Without: the usual chain of AWS's tools (environment,
    /// web identity, container, instance).
    pub credentials_file: Option<PathBuf>,
    /// What uploads are checked by.
    pub checksum: UploadChecksum,
    /// `x-amz-storage-class` of copies.
    pub storage_class: Option<String>,
    /// `x-amz-server-side-encryption`: `AES256` or `aws:kms`.
    pub encryption: Option<String>,
    /// The key for `aws:kms`.
    pub kms_key: Option<String>,
    /// The longest that a call may take, repetitions and all.
    pub deadline: Duration,
}

/// A service, as far as the store needs it.
#[derive(Clone)]
pub struct Connection {
    pub(super) objects: Arc<dyn object_store::ObjectStore>,
    pub(super) lists: Arc<dyn PaginatedListStore>,
    /// What copies are put with.
    pub(super) attributes: Attributes,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.objects)
    }
}

impl Connection {
    /// Takes down how the service is spoken to; nothing is sent yet. Reads the credentials' file: not for async threads.
    ///
    /// # Errors
    /// [`BlobError::Refused`] where a setting cannot be, or the credentials' file cannot be read.
    pub fn s3(settings: &S3Settings) -> Result<Self, BlobError> {
        let s3 = Arc::new(builder(settings)?.build().map_err(refused)?);
        let mut attributes = Attributes::new();
        if let Some(class) = &settings.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        Ok(Self::new::<AmazonS3>(s3, attributes))
    }

    pub(super) fn new<S: object_store::ObjectStore + PaginatedListStore>(service: Arc<S>, attributes: Attributes) -> Self {
        Self { objects: service.clone(), lists: service, attributes }
    }
}

fn refused(error: object_store::Error) -> BlobError {
    BlobError::Refused { reason: format!("the S3 service cannot be spoken to: {error}") }
}

fn builder(settings: &S3Settings) -> Result<AmazonS3Builder, BlobError> {
    let mut builder = match &settings.credentials_file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| BlobError::Refused { reason: format!("the file of credentials {}: {error}", file.display()) })?;
            let Credentials { key, secret, token } = Credentials::parse(&text)
                .map_err(|reason| BlobError::Refused { reason: format!("the file of credentials {}: {reason}", file.display()) })?;
            let builder = AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret);
            if let Some(token) = token { builder.with_token(token) } else { builder }
        }
        None => AmazonS3Builder::from_env(),
    };
    let backoff = BackoffConfig { init_backoff: FIRST_BACKOFF, max_backoff: LONGEST_BACKOFF, base: 2.0 };
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECTING)
        .with_timeout_disabled()
        // Between two pieces of an answer. Our own deadlines bound the whole.
        .with_read_timeout(settings.deadline)
        .with_pool_max_idle_per_host(IDLE_CONNECTIONS)
        .with_allow_http(settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")));
    builder = builder
        .with_bucket_name(&settings.bucket)
        .with_retry(RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: settings.deadline })
        .with_client_options(options)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One at a time: not every service knows the other way.
        .with_disable_bulk_delete(true)
        .with_unsigned_payload(settings.checksum != UploadChecksum::Sha256);
    builder = match settings.checksum {
        UploadChecksum::Crc64Nvme => builder.with_checksum_algorithm(Checksum::CRC64NVME),
        UploadChecksum::Sha256 => builder.with_checksum_algorithm(Checksum::SHA256),
        UploadChecksum::None => builder,
    };
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_virtual_hosted_style_request(false);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    for (name, value) in [("aws_server_side_encryption", &settings.encryption), ("aws_sse_kms_key_id", &settings.kms_key)] {
        if let Some(value) = value {
            let key = name.parse::<AmazonS3ConfigKey>().map_err(refused)?;
            builder = builder.with_config(key, if value == "aws:kms" { "sse:kms" } else { value });
        }
    }
    Ok(builder)
}

/// What AWS's `credentials` file says of a profile.
#[derive(PartialEq, Eq)]
struct Credentials {
    key: String,
    secret: String,
    token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the credentials of {}", self.key)
    }
}

impl Credentials {
    /// Reads the profile `default`, or what stands before any. The form: AWS CLI User Guide, "Configuration and credential file settings".
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut key, mut secret, mut token) = (None, None, None);
        let mut applies = true;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
            if let Some(profile) = line.strip_prefix('[') {
                applies = profile.trim_end_matches(']').trim() == "default";
                continue;
            }
            let Some((name, value)) = line.split_once('=').filter(|_| applies) else { continue };
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => key = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
        match (key, secret) {
            (Some(key), Some(secret)) if !key.is_empty() && !secret.is_empty() => Ok(Self { key, secret, token }),
            _ => Err("its profile `default` has no aws_access_key_id and aws_secret_access_key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_awss_tools_do() {
        let read = |text: &str| Credentials::parse(text).map(|found| (found.key, found.secret, found.token));
        let both = Ok(("AK".to_owned(), "S=1".to_owned(), None));
        assert_eq!(read("aws_access_key_id=AK\naws_secret_access_key=S=1\n"), both);
        assert_eq!(
            read("# mine\n[other]\naws_access_key_id = no\n[default]\n aws_access_key_id = AK\naws_secret_access_key = S=1\nregion = x\n"),
            both
        );
        let with_token =
            read("[default]\naws_access_key_id=AK\naws_secret_access_key=S\naws_session_token=T\n[more]\naws_session_token=U\n");
        assert_eq!(with_token.unwrap().2.as_deref(), Some("T"));
        for wrong in [
            "",
            "[other]\naws_access_key_id=AK\naws_secret_access_key=S\n",
            "aws_access_key_id=AK\n",
            "aws_access_key_id=\naws_secret_access_key=\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{:?}", Credentials::parse("aws_access_key_id=AK\naws_secret_access_key=secret").unwrap()).contains("secret"));
    }

    #[test]
    fn what_cannot_be_spoken_to_is_said() {
        let settings =
            S3Settings { bucket: "photos".into(), credentials_file: Some("/nowhere/credentials".into()), ..S3Settings::default() };
        let error = Connection::s3(&settings).unwrap_err();
        assert!(matches!(&error, BlobError::Refused { reason } if reason.contains("/nowhere/credentials")), "{error}");
    }
}
