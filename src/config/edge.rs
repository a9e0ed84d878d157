//! Edges: servers that show renditions of sites, and have no metadata.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::Findings;
use super::{PublicUrl, Role};

/// Sites that an edge may name.
const MAX_SITES: usize = 16;

/// `[edge]`: whom an edge asks. Only where `server.role` is `edge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// The sites, with commas between them, the one that is liked best first. One is asked until it does not answer, then the next that does; those before it are
    /// looked at again every five minutes. All must hold the same photos.
    pub sites: SiteUrls,
    /// The file with the token that the sites gave this edge: one line, of the scope `edge`. It must be good at each of them.
    pub token_file: PathBuf,
    /// How long an edge goes on to serve what it knows when it hears of no site any more; a deletion may be overlooked for so long then.
    #[serde(with = "humantime_serde")]
    pub remember: Duration,
    /// Photos of which it remembers whose they are.
    pub answers: u32,
}

/// URLs of sites: `https://one.example.org, https://other.example.org`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteUrls(Vec<String>);

impl SiteUrls {
    /// Each without a slash at its end.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for SiteUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl FromStr for SiteUrls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut urls = vec![];
        for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match text.parse()? {
                PublicUrl::At(url) if urls.contains(&url) => return Err(format!("{url} stands there twice")),
                PublicUrl::At(url) => urls.push(url),
                PublicUrl::AsAsked => return Err(format!("{text:?} is no URL like \"https://photos.example.org\"")),
            }
        }
        if urls.len() > MAX_SITES {
            return Err(format!("{} sites; at most {MAX_SITES}", urls.len()));
        }
        Ok(Self(urls))
    }
}

impl Serialize for SiteUrls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SiteUrls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self { sites: SiteUrls::default(), token_file: PathBuf::new(), remember: Duration::from_secs(10 * 60), answers: 200_000 }
    }
}

impl EdgeConfig {
    /// The defaults.
    pub fn for_testing() -> Self {
        Self::default()
    }

    pub(super) fn check(&self, findings: &mut Findings, role: Role) {
        if role == Role::Edge {
            if self.sites.0.is_empty() {
                findings.add("edge.sites", "an edge needs a site whose photos it shows".to_owned());
            }
            if self.token_file.as_os_str().is_empty() {
                findings.add("edge.token_file", "an edge needs the token that its sites gave it (scope `edge`)".to_owned());
            }
        }
        findings.time_within("edge.remember", self.remember, Duration::from_secs(30)..=Duration::from_secs(7 * 86_400));
        findings.within("edge.answers", u64::from(self.answers), 1_000..=100_000_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_urls_with_commas_between_them() {
        let sites: SiteUrls = " https://one.example.org/, http://[::1]:8420 ,".parse().unwrap();
        assert_eq!(sites.as_slice(), ["https://one.example.org", "http://[::1]:8420"]);
        assert_eq!(sites.to_string().parse(), Ok(sites));
        assert_eq!("".parse(), Ok(SiteUrls::default()));
        for text in ["host", "ftp://x", "https://a, https://a", "https://a https://b"] {
            assert!(text.parse::<SiteUrls>().is_err(), "{text}");
        }
        let many: Vec<_> = (0..=MAX_SITES).map(|n| format!("https://s{n}.example.org")).collect();
        assert!(many.join(",").parse::<SiteUrls>().is_err());
    }
}
