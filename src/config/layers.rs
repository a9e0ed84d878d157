//! Defaults, file, environment and flags laid over one another, remembering who said what.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::error::{ConfigError, Finding, Findings, Source};
use super::{Config, Environment, LoadOptions};

/// What names of environment variables begin with.
const PREFIX: &str = "HALIDOM_";
/// What stands between section and key in the name of an environment variable.
const SEPARATOR: &str = "__";
/// Size of a settings file; a larger one is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings so far: every key has a value, from the start.
pub(super) struct Layers {
    values: Dict,
    sources: BTreeMap<String, Source>,
    findings: Vec<Finding>,
}

impl Layers {
    /// The defaults alone.
    pub(super) fn defaults() -> Self {
        let values = match Value::serialize(Config::default()) {
            Ok(Value::Dict(_, values)) => values,
            other => unreachable!("settings are a table: {other:?}"),
        };
        Self { values, sources: BTreeMap::new(), findings: Vec::new() }
    }

    /// Every key there is: `section.key`, sorted.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<String> {
        let sections = self.values.iter().filter_map(|(section, value)| Some((section, value.as_dict()?)));
        sections.flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}"))).collect()
    }

    /// Who gave `key` its value.
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Lays a TOML file over what there is.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read(path).map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })?;
        let syntax = |reason: String| ConfigError::Syntax { path: path.to_owned(), reason };
        let tables = Toml::string(&text).data().map_err(|error| syntax(error.to_string()))?;
        let source = Source::File(path.to_owned());
        for (section, value) in tables.into_values().flatten() {
            match value {
                Value::Dict(_, keys) => keys.into_iter().for_each(|(key, value)| self.set(&section, &key, value, source.clone())),
                _ => self.unknown(section, &source, "stands outside of a section such as [server]".to_owned()),
            }
        }
        Ok(())
    }

    /// Lays `HALIDOM_SECTION__KEY=value` over what there is.
    ///
    /// Names without the separator belong to the command line (`HALIDOM_SERVER`, `HALIDOM_TOKEN`), but one underscore where two
    /// were meant is refused rather than passed over.
    pub(super) fn environment(&mut self, environment: &Environment) {
        for (name, value) in environment.iter() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let source = Source::Environment(name.to_owned());
            let path = name[PREFIX.len()..].to_ascii_lowercase();
            let Some((section, key)) = path.split_once(SEPARATOR) else {
                let meant = path.split_once('_').filter(|(section, key)| self.default(section, key).is_some());
                if let Some((section, key)) = meant {
                    let meant = format!("{PREFIX}{}{SEPARATOR}{}", section.to_ascii_uppercase(), key.to_ascii_uppercase());
                    self.unknown(format!("{section}.{key}"), &source, format!("two underscores part section and key: {meant}"));
                }
                continue;
            };
            match value.to_str() {
                Some(value) => self.set_text(section, key, value, source),
                None => self.unknown(format!("{section}.{key}"), &source, "the value is not UTF-8".to_owned()),
            }
        }
    }

    /// Lays the flags over what there is.
    pub(super) fn flags(&mut self, options: &LoadOptions) {
        let paths = [("storage", "data", &options.data, "--data"), ("edge", "token_file", &options.token_file, "--token-file")];
        for (section, key, path, flag) in paths {
            let (Some(path), source) = (path, Source::Flag(flag)) else { continue };
            match path.to_str() {
                Some(path) => self.set_text(section, key, path, source),
                None => self.unknown(format!("{section}.{key}"), &source, "the path is not UTF-8".to_owned()),
            }
        }
        let flags = [
            ("server", "listen", &options.listen, "--listen"),
            ("server", "admin_listen", &options.admin_listen, "--admin-listen"),
            ("server", "peer_listen", &options.peer_listen, "--peer-listen"),
            ("storage", "blobs", &options.blobs, "--blobs"),
            ("mirror", "url", &options.mirror, "--mirror"),
            ("server", "role", &options.role, "--role"),
            ("edge", "sites", &options.sites, "--site"),
        ];
        for (section, key, value, flag) in flags {
            if let Some(value) = value {
                self.set_text(section, key, value, Source::Flag(flag));
            }
        }
    }

    /// Sets a key to a value that came as text.
    fn set_text(&mut self, section: &str, key: &str, text: &str, source: Source) {
        let value = match self.default(section, key) {
            // What is no number, or neither true nor false, stays text, and is refused as such.
            Some(Value::Num(..)) => text.trim().parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
            Some(Value::Bool(..)) => text.trim().parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
            _ => Value::from(text),
        };
        self.set(section, key, value, source);
    }

    fn set(&mut self, section: &str, key: &str, value: Value, source: Source) {
        let Some(keys) = self.values.get_mut(section) else {
            let known = self.values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return self.unknown(format!("{section}.{key}"), &source, format!("there is no section {section:?}; there are {known}"));
        };
        let Value::Dict(_, keys) = keys else { unreachable!("sections are tables") };
        let Some(slot) = keys.get_mut(key) else {
            let known = keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return self.unknown(format!("{section}.{key}"), &source, format!("there is no such key in [{section}]; there are {known}"));
        };
        *slot = value;
        self.sources.insert(format!("{section}.{key}"), source);
    }

    fn default(&self, section: &str, key: &str) -> Option<&Value> {
        self.values.get(section)?.as_dict()?.get(key)
    }

    fn unknown(&mut self, key: String, source: &Source, reason: String) {
        self.findings.push(Finding { key, source: source.clone(), reason });
    }

    /// The settings, checked.
    pub(super) fn finish(mut self) -> Result<Config, ConfigError> {
        let values = std::mem::take(&mut self.values);
        let config: Result<Config, _> = Value::from(values).deserialize();
        let config = config.map_err(|error| {
            let key = error.path.join(".");
            Finding { source: self.source(&key), key, reason: error.kind.to_string() }
        });
        let config = match config {
            Ok(config) if self.findings.is_empty() => config,
            Ok(_) => return Err(ConfigError::Invalid { findings: self.findings }),
            Err(finding) => {
                self.findings.push(finding);
                return Err(ConfigError::Invalid { findings: self.findings });
            }
        };
        let mut findings = Findings::default();
        config.check(&mut findings);
        findings.into_result(|key| self.source(key))?;
        Ok(config)
    }
}

/// Reads a settings file whole.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB is no settings file"));
    }
    Ok(text)
}
