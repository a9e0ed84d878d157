use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use super::exit::{Hinted, UsageError};

/// A server and how to speak to it, as a section of the profile file:
///
/// ```toml
/// [default]
/// server = "https://photos.example.org"
/// token_file = "/home/ann/.config/halidom/token"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Where the server is.
    pub(super) server: Option<String>,
    /// The token itself.
    pub(super) token: Option<String>,
    /// A file that holds the token and nothing else.
    pub(super) token_file: Option<PathBuf>,
}

/// The section of the file that is used where none is named.
const DEFAULT: &str = "default";

impl Profile {
    /// The profile of this name; where none is named, the default one, or an empty one where there is none.
    pub(super) fn load(file: Option<&Path>, name: Option<&str>) -> anyhow::Result<Self> {
        let Some(file) = file.filter(|file| file.exists()) else {
            return match name {
                None => Ok(Self::default()),
                Some(name) => Err(UsageError(format!("there is no profile `{name}`: there is no profile file")).into()),
            };
        };
        let mut profiles: BTreeMap<String, Self> = Figment::from(Toml::file_exact(file))
            .extract()
            .with_context(|| format!("could not read the profiles in `{}`", file.display()))?;
        match (profiles.remove(name.unwrap_or(DEFAULT)), name) {
            (Some(profile), _) => Ok(profile),
            (None, None) => Ok(Self::default()),
            (None, Some(name)) => {
                let known = profiles.into_keys().collect::<Vec<_>>().join(", ");
                Err(UsageError(format!("there is no profile `{name}` in `{}`; it has: {known}", file.display())).into())
            }
        }
    }

    /// The token, read from its file where that is named.
    pub(super) fn token(&self) -> anyhow::Result<Option<String>> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(file)) => read_token(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The token that a file holds, without the white space around it.
pub(super) fn read_token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("could not read the token in `{}`", file.display()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Hinted {
            what: format!("`{}` holds no token", file.display()),
            hint: "write one into it, or name another file".into(),
        }
        .into());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, name: Option<&str>) -> anyhow::Result<Profile> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        Profile::load(Some(&file), name)
    }

    const TWO: &str = "[default]\nserver = 'http://a'\n[work]\nserver = 'http://b'\ntoken = 't'\n";

    #[test]
    fn a_profile_is_found_by_its_name() {
        assert_eq!(load(TWO, None).unwrap().server.as_deref(), Some("http://a"));
        assert_eq!(load(TWO, Some("work")).unwrap().token().unwrap().as_deref(), Some("t"));
        assert!(load(TWO, Some("home")).unwrap_err().is::<UsageError>());
        assert_eq!(load("", None).unwrap(), Profile::default());
        assert_eq!(Profile::load(None, None).unwrap(), Profile::default());
    }

    #[test]
    fn what_nobody_would_read_is_refused() {
        assert!(load("[default]\nsever = 'http://a'\n", None).is_err());
    }
}
