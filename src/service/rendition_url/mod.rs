//! Signed URLs of renditions, in imgproxy's form, so that its client libraries work:
//! `/i/{signature}/{options}/plain/{hash}@{extension}`, or the hash in Base64: `/i/{signature}/{options}/{base64url}.{extension}`.
//!
//! Pure: whoever asks brings the keys and the time.

mod arguments;
mod options;
mod presets;
mod reader;
mod recipe;
mod signature;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::imaging::{Gravity, Resize};
use crate::model::{BlobHash, WallMs};
pub use presets::{LADDER, MAX_PRESETS, PresetError, Presets};
use reader::Reader;
pub use recipe::{RecipeKey, RecipeRequest, RenditionFormat, SideTooLarge};
pub use signature::{SigningKey, verify, verify_mac};

/// What the paths of renditions begin with. It is not signed: client libraries are given it as part of the base URL.
pub const PREFIX: &str = "/i";
/// Length of a path in bytes.
const MAX_PATH_BYTES: usize = 2_048;
/// Options and presets of one URL.
const MAX_OPTIONS: usize = 32;

/// A URL that asks for no rendition that could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The path is not `/i/{signature}/…`, or too long.
    #[error("this is not the path of a rendition")]
    NotARendition,
    /// No live key made the signature.
    #[error("the signature does not fit the path")]
    Signature,
    /// There is no such option, or none yet.
    #[error("the option {option:?} is not known here")]
    UnknownOption {
        /// As the URL names it.
        option: String,
    },
    /// An option has an argument that it does not take.
    #[error("{option} takes {expected}, not {value:?}")]
    BadValue {
        /// As the URL names it.
        option: String,
        /// What it says.
        value: String,
        /// What it could say.
        expected: &'static str,
    },
    /// The tenant has no such preset.
    #[error("there is no preset {name:?}")]
    UnknownPreset {
        /// As the URL names it.
        name: String,
    },
    /// An option, where the tenant's URLs take names of presets only.
    #[error("{option:?} is no preset: URLs of this tenant hold names of presets, `exp`, `cb` and an extension only")]
    PresetsOnly {
        /// As the URL names it.
        option: String,
    },
    /// No preset, where the tenant's URLs have to name one.
    #[error("the URL names no preset, as those of this tenant have to")]
    NoPreset,
    /// The source is not the hash of a blob.
    #[error("the source is not 64 lowercase hex digits after \"plain/\", nor these in Base64")]
    Source,
}

/// What a URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenditionUrl {
    /// The photo's bytes.
    pub hash: BlobHash,
    /// What to make of them. No URL of this form names a region, a turn or fewer colours.
    pub recipe: RecipeRequest,
    /// When the URL ceases to hold, in seconds since 1970; `None`: never.
    pub expires: Option<u64>,
    /// Whether presets of the tenant had a say: once they are changed, it asks for something else.
    pub by_preset: bool,
}

impl RenditionUrl {
    /// Reads the path of a request, as it was sent, without its query, and says whose key signed it. The signature comes first: what
    /// was not signed is not looked at. `presets` are those of who signed it.
    ///
    /// # Errors
    /// [`UrlError`]: a bad signature, or what of a signed path is not understood.
    pub fn open<'a, T>(
        path: &str,
        candidates: impl IntoIterator<Item = (T, &'a SigningKey)>,
        presets: impl FnOnce(&T) -> &'a Presets,
    ) -> Result<(T, Self), UrlError> {
        let (signature, signed) = split(path)?;
        let whose = verify(signature, signed, candidates).ok_or(UrlError::Signature)?;
        let url = Self::parse(signed, presets(&whose))?;
        Ok((whose, url))
    }

    /// Reads the signed part of a path: all after the signature, from its slash on. `presets` are those of the tenant.
    ///
    /// # Errors
    /// [`UrlError`], naming the option that is not understood.
    pub fn parse(signed: &str, presets: &Presets) -> Result<Self, UrlError> {
        if signed.len() > MAX_PATH_BYTES {
            return Err(UrlError::NotARendition);
        }
        let mut rest = signed.strip_prefix('/').ok_or(UrlError::NotARendition)?;
        let mut reader = Reader::new(presets)?;
        while let Some((segment, after)) = rest.split_once('/') {
            if !reader.read(segment)? {
                break;
            }
            rest = after;
        }
        reader.end()?;
        let Reader { mut options, by_preset, .. } = reader;
        let (hash, extension) = match rest.strip_prefix("plain/") {
            Some(source) => plain(source)?,
            None => encoded(rest)?,
        };
        if let Some(extension) = extension {
            options.extension(extension)?;
        }
        Ok(Self { hash, recipe: options.request(), expires: options.expires(), by_preset })
    }

    /// The signed part of the path, in one spelling. [`RenditionUrl::parse`] is the inverse where the tenant has no presets.
    pub fn to_signed_part(self) -> String {
        let RecipeRequest { width, height, resize, gravity, enlarge, background, blur, quality, format, animated, .. } = self.recipe;
        let mut path = String::new();
        if width > 0 || height > 0 || enlarge || resize != Resize::Fit {
            path.push_str(&format!("/rs:{}:{width}:{height}{}", recipe::name_of(resize), if enlarge { ":1" } else { "" }));
        }
        if gravity != Gravity::CENTRE {
            path.push_str(&format!("/g:{}", recipe::spelt(gravity)));
        }
        if let Some([r, g, b]) = background {
            path.push_str(&format!("/bg:{r}:{g}:{b}"));
        }
        if blur > 0 {
            path.push_str(&format!("/bl:{}.{:02}", blur / 100, blur % 100));
        }
        if animated {
            path.push_str("/da:0");
        }
        if let Some(quality) = quality {
            path.push_str(&format!("/q:{quality}"));
        }
        if let Some(expires) = self.expires {
            path.push_str(&format!("/exp:{expires}"));
        }
        path.push_str(&format!("/plain/{}", self.hash));
        if let Some(format) = format {
            path.push('@');
            path.push_str(format.extension());
        }
        path
    }

    /// The path of the URL, signed.
    pub fn to_path(self, key: &SigningKey) -> String {
        signed_path(key, &self.to_signed_part())
    }

    /// The path of one of [`LADDER`], by its name, as JPEG, signed.
    pub fn own_size_by_name(hash: BlobHash, side: u32, key: &SigningKey) -> String {
        signed_path(key, &presets::own_size_by_name(hash, side))
    }

    /// Whether the URL no longer holds.
    pub fn is_expired(&self, now: WallMs) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_mul(1_000) <= now.0)
    }
}

/// The path of a URL whose signed part this is.
pub fn signed_path(key: &SigningKey, signed: &str) -> String {
    format!("{PREFIX}/{}{signed}", key.sign(signed))
}

/// Parts `/i/{signature}/…` into the signature and what it signs, which begins with a slash.
///
/// # Errors
/// [`UrlError::NotARendition`].
pub fn split(path: &str) -> Result<(&str, &str), UrlError> {
    let rest = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).filter(|_| path.len() <= MAX_PATH_BYTES);
    let (rest, slash) = rest.and_then(|rest| Some((rest, rest.find('/')?))).ok_or(UrlError::NotARendition)?;
    Ok(rest.split_at(slash))
}

/// `{hash}@{extension}`; the extension may be left out, and the `@` percent-encoded.
fn plain(source: &str) -> Result<(BlobHash, Option<&str>), UrlError> {
    let (hash, extension) = match source.split_once('@').or_else(|| source.split_once("%40")) {
        Some((hash, extension)) => (hash, Some(extension)),
        None => (source, None),
    };
    Ok((hash.parse().map_err(|_| UrlError::Source)?, extension.filter(|extension| !extension.is_empty())))
}

/// `{base64url of the hash's digits}.{extension}`; slashes may part it, as imgproxy allows, and padding may follow.
fn encoded(source: &str) -> Result<(BlobHash, Option<&str>), UrlError> {
    let (text, extension) = source.split_once('.').map_or((source, None), |(text, extension)| (text, Some(extension)));
    let bytes = URL_SAFE_NO_PAD.decode(text.replace('/', "").trim_end_matches('=')).map_err(|_| UrlError::Source)?;
    let hash = std::str::from_utf8(&bytes).ok().and_then(|hash| hash.parse().ok()).ok_or(UrlError::Source)?;
    Ok((hash, extension.filter(|extension| !extension.is_empty())))
}
