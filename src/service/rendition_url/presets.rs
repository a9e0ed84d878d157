//! Presets: options that a tenant keeps under a name, and that its URLs ask for by it, as imgproxy's do
//! (<https://docs.imgproxy.net/configuration/presets>).

use std::collections::BTreeMap;

use super::UrlError;
use super::options::Options;
use super::recipe::RecipeRequest;
use crate::model::BlobHash;
use crate::model::tenant::RenditionSettings;

/// The sides of the squares that a photo's sizes for pages fit into, in pixels. Each is a preset that every tenant has.
pub const LADDER: [u32; 5] = [160, 320, 640, 1_280, 2_048];
/// What the names of these begin with; their side follows.
const BUILT_IN: &str = "halidom-";
/// The preset that is applied to every URL of its tenant, before all that the URL says.
const DEFAULT: &str = "default";
/// What a URL of names alone would be misread at, were a preset called so.
const RESERVED: [&str; 7] = ["plain", "pr", "preset", "exp", "expires", "cb", "cachebuster"];

/// Presets of one tenant.
pub const MAX_PRESETS: usize = 64;
/// Length of a preset's name in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Length of a preset's options in bytes.
const MAX_OPTIONS_BYTES: usize = 512;

/// A preset that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// It cannot be called so.
    #[error("a preset's name is 1 to {MAX_NAME_BYTES} of A-Z, a-z, 0-9, _ and -, not {name:?}")]
    Name {
        /// What it would be called.
        name: String,
    },
    /// The name means something else in a URL.
    #[error("no preset can be called {name:?}: it means something else in a URL")]
    Reserved {
        /// What it would be called.
        name: String,
    },
    /// Its options are too long.
    #[error("the options of the preset {name:?} have more than {MAX_OPTIONS_BYTES} bytes")]
    TooLong {
        /// Its name.
        name: String,
    },
    /// An option that only a URL can have.
    #[error("the preset {name:?} holds {option:?}, which only a URL can")]
    OfUrls {
        /// Its name.
        name: String,
        /// The option.
        option: String,
    },
    /// An option that is not understood.
    #[error("the preset {name:?}: {error}")]
    Options {
        /// Its name.
        name: String,
        /// What is wrong.
        error: UrlError,
    },
}

/// What a tenant's URLs may ask for by name, and whether by name only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presets {
    named: BTreeMap<String, String>,
    only: bool,
}

impl Presets {
    /// Those of a tenant.
    pub fn of(settings: &RenditionSettings) -> Self {
        Self { named: settings.presets.clone(), only: settings.presets_only }
    }

    /// Whether a preset can be kept: its name, and options with slashes between them, as in a URL. One names no other, so that none that is
    /// changed or removed changes or breaks another.
    ///
    /// # Errors
    /// [`PresetError`], naming what is wrong.
    pub fn check(name: &str, options: &str) -> Result<(), PresetError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(known) {
            return Err(PresetError::Name { name: name.to_owned() });
        }
        let name = || name.to_owned();
        if RESERVED.contains(&name().as_str()) || name().starts_with(BUILT_IN) {
            return Err(PresetError::Reserved { name: name() });
        }
        if options.len() > MAX_OPTIONS_BYTES {
            return Err(PresetError::TooLong { name: name() });
        }
        let mut read = Options::NONE;
        for option in options.split('/') {
            let kind = option.split_once(':').map(|(kind, _)| kind);
            if let Some(kind @ ("pr" | "preset" | "exp" | "expires")) = kind {
                return Err(PresetError::OfUrls { name: name(), option: kind.to_owned() });
            }
            // Without a colon it would be no option in a URL.
            let read = kind.map_or_else(|| Err(UrlError::UnknownOption { option: option.to_owned() }), |_| read.read(option));
            read.map_err(|error| PresetError::Options { name: name(), error })?;
        }
        Ok(())
    }

    /// What these options ask for, where nothing else does.
    ///
    /// # Errors
    /// [`UrlError`] for one that is not understood.
    pub fn recipe(options: &str) -> Result<RecipeRequest, UrlError> {
        let mut read = Options::NONE;
        apply(options, &mut read)?;
        Ok(read.request())
    }

    /// Whether the server's own sizes have to be asked for by their names: where nothing else is taken, or where the tenant's default would
    /// make other sizes of them.
    pub fn name_own_sizes(&self) -> bool {
        self.only || self.named.contains_key(DEFAULT)
    }

    /// Whether URLs may name presets only.
    pub fn only(&self) -> bool {
        self.only
    }

    /// Applies the tenant's default preset; answers whether there is one.
    pub(super) fn apply_default(&self, options: &mut Options) -> Result<bool, UrlError> {
        let default = self.named.get(DEFAULT);
        default.map_or(Ok(false), |default| apply(default, options).map(|()| true))
    }

    /// Applies a preset; answers whether it is one of the tenant's, which may be changed.
    pub(super) fn apply(&self, name: &str, options: &mut Options) -> Result<bool, UrlError> {
        if let Some(side) = built_in(name) {
            fit(side, options)?;
            return Ok(false);
        }
        let preset = self.named.get(name).ok_or_else(|| UrlError::UnknownPreset { name: name.to_owned() })?;
        apply(preset, options).map(|()| true)
    }

    /// Whether there is such a preset.
    pub(super) fn has(&self, name: &str) -> bool {
        built_in(name).is_some() || self.named.contains_key(name)
    }
}

fn apply(preset: &str, options: &mut Options) -> Result<(), UrlError> {
    preset.split('/').try_for_each(|option| options.read(option))
}

/// The side of a built-in preset.
fn built_in(name: &str) -> Option<u32> {
    let side = name.strip_prefix(BUILT_IN)?;
    LADDER.into_iter().find(|known| known.to_string() == side)
}

/// Shows the whole photo within a square, whatever was said of its size before.
fn fit(side: u32, options: &mut Options) -> Result<(), UrlError> {
    options.read(&format!("rs:fit:{side}:{side}:0"))?;
    options.read("dpr:1")
}

/// The side of an own size in the spelling that it has where options are taken: pages that show it go on where they no longer are.
pub(super) fn own_size(option: &str) -> Option<String> {
    let side = LADDER.into_iter().find(|side| option == format!("rs:fit:{side}:{side}"))?;
    Some(format!("{BUILT_IN}{side}"))
}

/// The signed part of the path of an own size, by its name, as JPEG.
pub(super) fn own_size_by_name(hash: BlobHash, side: u32) -> String {
    format!("/pr:{BUILT_IN}{side}/plain/{hash}@jpg")
}
