//! Where the blobs lie: `file:///dir`, `nfs:///mountpoint` or `s3://bucket/prefix?endpoint=http://…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::percent;

/// The place of a site's blobs. Holds no secret: a URL with credentials in it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobsUrl {
    /// `default`: the directory `blobs` under the data directory.
    UnderData,
    /// `file:///dir`: a directory on a local file system.
    File(PathBuf),
    /// `nfs:///mountpoint`: a directory on a hard NFS mount.
    Nfs(PathBuf),
    /// `s3://bucket/prefix?endpoint=URL&region=NAME`.
    S3(S3Location),
}

/// A place in an S3 service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The service, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region, where one is needed.
    pub region: Option<String>,
}

impl BlobsUrl {
    /// The directory of blobs on a local disk or a filer, where they lie on one.
    pub fn directory(&self, data: &Path) -> Option<PathBuf> {
        match self {
            Self::UnderData => Some(data.join("blobs")),
            Self::File(directory) | Self::Nfs(directory) => Some(directory.clone()),
            Self::S3(_) => None,
        }
    }
}

impl fmt::Display for BlobsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnderData => f.write_str("default"),
            Self::File(path) => write!(f, "file://{}", encode(path)),
            Self::Nfs(path) => write!(f, "nfs://{}", encode(path)),
            Self::S3(S3Location { bucket, prefix, endpoint, region }) => {
                write!(f, "s3://{bucket}/{prefix}")?;
                let query = [("endpoint", endpoint), ("region", region)];
                for (n, (name, value)) in query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).enumerate() {
                    write!(f, "{}{name}={}", if n == 0 { '?' } else { '&' }, value)?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for BlobsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self::UnderData);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("{text:?} is not a URL; for a directory write \"file:///dir\""));
        };
        match scheme {
            "file" => directory(scheme, rest).map(Self::File),
            "nfs" => directory(scheme, rest).map(Self::Nfs),
            "s3" => s3(rest).map(Self::S3),
            _ => Err(format!("{scheme}:// is not known; there are file:///dir, nfs:///mountpoint and s3://bucket/prefix")),
        }
    }
}

/// The absolute path of `file://` and `nfs://`, which name no host.
fn directory(scheme: &str, rest: &str) -> Result<PathBuf, String> {
    if !rest.starts_with('/') {
        return Err(format!("{scheme}:// takes an absolute path and no host: write \"{scheme}:///dir\""));
    }
    if rest.contains(['?', '#']) {
        return Err(format!("{scheme}:// takes no query or fragment (write ? as %3F and # as %23)"));
    }
    let path = percent::decoded(rest).ok_or_else(|| format!("{rest:?} has a % that two hex digits of UTF-8 text do not follow"))?;
    if path.contains('\0') {
        return Err("a path holds no zero byte".to_owned());
    }
    let path = PathBuf::from(path);
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err("a path of blobs holds no \"..\"".to_owned());
    }
    if path == Path::new("/") {
        return Err("the root of a file system is no place for blobs: name a directory in it".to_owned());
    }
    Ok(path)
}

fn s3(rest: &str) -> Result<S3Location, String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if place.contains('@') || bucket.contains(':') {
        return Err("credentials do not belong into a URL: they come from a file".to_owned());
    }
    if bucket.is_empty() {
        return Err("no bucket is named: write \"s3://bucket/prefix\"".to_owned());
    }
    if prefix.split('/').any(|part| [".", ".."].contains(&part))
        || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.=".contains(&byte))
    {
        return Err("a prefix is of letters, digits, - _ . = and slashes".to_owned());
    }
    let mut location = S3Location { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned(), endpoint: None, region: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() {
            return Err(format!("{name} has no value"));
        }
        match name {
            "endpoint" if value.contains('@') => return Err("credentials do not belong into a URL: they come from a file".to_owned()),
            "endpoint" if !value.starts_with("http://") && !value.starts_with("https://") => {
                return Err("endpoint is a URL that begins with http:// or https://".to_owned());
            }
            "endpoint" => location.endpoint = Some(value.to_owned()),
            "region" => location.region = Some(value.to_owned()),
            _ => return Err(format!("{name:?} is not known; there are endpoint and region")),
        }
    }
    Ok(location)
}

/// The inverse of [`percent::decoded`], for what a URL would misread.
fn encode(path: &Path) -> String {
    let mut out = String::new();
    for c in path.to_string_lossy().chars() {
        match c {
            '%' | '?' | '#' | ' ' | '\u{0}'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("%{:02X}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

impl Serialize for BlobsUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobsUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_scheme_is_understood() {
        let s3 = |endpoint: Option<&str>, region: Option<&str>| {
            BlobsUrl::S3(S3Location {
                bucket: "photos".into(),
                prefix: "site/a".into(),
                endpoint: endpoint.map(Into::into),
                region: region.map(Into::into),
            })
        };
        for (text, expected) in [
            ("default", BlobsUrl::UnderData),
            ("file:///srv/blobs", BlobsUrl::File("/srv/blobs".into())),
            ("file:///srv/with%20space", BlobsUrl::File("/srv/with space".into())),
            ("nfs:///mnt/filer", BlobsUrl::Nfs("/mnt/filer".into())),
            ("s3://photos/site/a/", s3(None, None)),
            ("s3://photos/site/a?endpoint=http://127.0.0.1:8333&region=eu-west-2", s3(Some("http://127.0.0.1:8333"), Some("eu-west-2"))),
        ] {
            let url: BlobsUrl = text.parse().unwrap();
            assert_eq!(url, expected);
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("", "file:///dir"),
            ("/srv/blobs", "file:///dir"),
            ("file://srv/blobs", "absolute"),
            ("file://./blobs", "absolute"),
            ("file:///", "root"),
            ("file:///srv/../etc", "\"..\""),
            ("file:///srv/%2e%2e/etc", "\"..\""),
            ("file:///srv/%zz", "%"),
            ("file:///srv/%ff", "UTF-8"),
            ("file:///srv/%00", "zero"),
            ("file:///srv?x=1", "query"),
            ("gopher://x", "not known"),
            ("s3://", "bucket"),
            ("s3://key:secret@photos/x", "credentials"),
            ("s3://photos/x?endpoint=http://key:secret@host", "credentials"),
            ("s3://photos/x?endpoint=host", "http://"),
            ("s3://photos/x?sekrit=1", "not known"),
            ("s3://photos/a b", "prefix"),
            ("s3://photos/a/../b", "prefix"),
            ("s3://photos/x?region", "no value"),
        ] {
            let error = text.parse::<BlobsUrl>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_writing_loses_nothing(text in "((file|nfs|s3)://)?/?[ -~é%?#&=/.@]{0,24}") {
            if let Ok(url) = text.parse::<BlobsUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
