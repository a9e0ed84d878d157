//! Reads the options of a URL, segment by segment of its path, presets included.

use super::options::Options;
use super::presets::{self, Presets};
use super::{MAX_OPTIONS, UrlError};

/// What was read so far.
pub(super) struct Reader<'a> {
    pub(super) options: Options,
    presets: &'a Presets,
    /// Whether a preset of the tenant's had a say.
    pub(super) by_preset: bool,
    /// Options and presets.
    count: usize,
    /// Whether a preset was named.
    named: bool,
}

impl<'a> Reader<'a> {
    /// Begins with the tenant's default.
    pub(super) fn new(presets: &'a Presets) -> Result<Self, UrlError> {
        let mut options = Options::NONE;
        let by_preset = presets.apply_default(&mut options)?;
        Ok(Self { options, presets, by_preset, count: 0, named: false })
    }

    /// Reads a segment; `false` where the source begins with it.
    pub(super) fn read(&mut self, segment: &str) -> Result<bool, UrlError> {
        if self.presets.only() {
            return self.read_names(segment);
        }
        // Options hold a colon; the source, which holds none, follows the last of them.
        match segment.split_once(':') {
            None => Ok(false),
            Some(("pr" | "preset", names)) => self.name_all(names),
            Some(_) => self.option(segment),
        }
    }

    /// The end of the options.
    pub(super) fn end(&self) -> Result<(), UrlError> {
        if self.presets.only() && !self.named { Err(UrlError::NoPreset) } else { Ok(()) }
    }

    /// Where presets only are taken: `pr:` with names or these alone, once, and what says nothing of the picture.
    fn read_names(&mut self, segment: &str) -> Result<bool, UrlError> {
        match segment.split_once(':') {
            Some(("pr" | "preset", names)) => self.name_all(names),
            Some(("exp" | "expires" | "cb" | "cachebuster", _)) => self.option(segment),
            None if self.named || segment == "plain" => Ok(false),
            None => self.name_all(segment),
            Some((first, _)) => match presets::own_size(segment) {
                Some(name) => self.name_all(&name),
                None if self.named || !self.presets.has(first) => Err(UrlError::PresetsOnly { option: first.to_owned() }),
                None => self.name_all(segment),
            },
        }
    }

    fn name_all(&mut self, names: &str) -> Result<bool, UrlError> {
        for name in names.split(':') {
            self.count()?;
            self.by_preset |= self.presets.apply(name, &mut self.options)?;
            self.named = true;
        }
        Ok(true)
    }

    fn option(&mut self, segment: &str) -> Result<bool, UrlError> {
        self.count()?;
        self.options.read(segment).map(|()| true)
    }

    fn count(&mut self) -> Result<(), UrlError> {
        self.count += 1;
        if self.count > MAX_OPTIONS { Err(UrlError::NotARendition) } else { Ok(()) }
    }
}
