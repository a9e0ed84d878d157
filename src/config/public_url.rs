//! What clients reach the service by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Length of the URL in bytes.
const MAX_BYTES: usize = 1_024;

/// Scheme, host and maybe a path, as clients see them: `https://photos.example.org`; or `host`, which is as each request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicUrl {
    /// `http`, and the host that a request names.
    AsAsked,
    /// This one, without a slash at its end.
    At(String),
}

impl PublicUrl {
    /// The URL, where there is one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::AsAsked => None,
            Self::At(url) => Some(url),
        }
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url().unwrap_or("host"))
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "host" {
            return Ok(Self::AsAsked);
        }
        let url = text.trim_end_matches('/');
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let host = rest.split('/').next().unwrap_or_default();
        // What stands in it is sent in header fields, between angle brackets.
        let sound = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%+,;=!$&'()*".contains(&byte));
        let named = host.bytes().any(|byte| byte.is_ascii_alphanumeric()) && !host.starts_with(':');
        if !sound || !named || url.len() > MAX_BYTES {
            return Err(format!("{text:?} is neither a URL like \"https://photos.example.org\" nor \"host\""));
        }
        Ok(Self::At(url.to_owned()))
    }
}

impl Serialize for PublicUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_url_of_a_server_or_none() {
        for (text, expected) in [
            ("host", None),
            ("https://photos.example.org", Some("https://photos.example.org")),
            ("http://[::1]:8420/", Some("http://[::1]:8420")),
            (" https://example.org/photos/ ", Some("https://example.org/photos")),
        ] {
            let read: PublicUrl = text.parse().unwrap();
            assert_eq!(read.url(), expected, "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for text in [
            "",
            "off",
            "photos.example.org",
            "ftp://example.org",
            "https://",
            "https:///x",
            "https://:80",
            "https://u@example.org",
            "https://a b",
            "https://a?b",
            "https://a#b",
            "https://a>",
            "https://é",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
