//! Signed URLs of renditions, in imgproxy's form, so that its client libraries work:
//! `/i/{signature}/{options}/plain/{hash}@{extension}`, or the hash in Base64: `/i/{signature}/{options}/{base64url}.{extension}`.
//!
//! Pure: whoever asks brings the keys and the time.

mod arguments;
mod options;
mod recipe;
mod signature;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::imaging::{Gravity, Resize};
use crate::model::{BlobHash, WallMs};
use options::Options;
pub use recipe::{RecipeKey, RecipeRequest, RenditionFormat, SideTooLarge};
pub use signature::{SigningKey, verify};

/// What the paths of renditions begin with. It is not signed: client libraries are given it as part of the base URL.
pub const PREFIX: &str = "/i";
/// Length of a path in bytes.
const MAX_PATH_BYTES: usize = 2_048;
/// Options of one URL.
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
    /// The source is not the hash of a blob.
    #[error("the source is not 64 lowercase hex digits after \"plain/\", nor these in Base64")]
    Source,
}

/// What a URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenditionUrl {
    /// The photo's bytes.
    pub hash: BlobHash,
    /// What to make of them.
    pub recipe: RecipeRequest,
    /// When the URL ceases to hold, in seconds since 1970; `None`: never.
    pub expires: Option<u64>,
}

impl RenditionUrl {
    /// Reads the path of a request, as it was sent, without its query, and says whose key signed it. The signature comes first: what
    /// was not signed is not looked at.
    ///
    /// # Errors
    /// [`UrlError`]: a bad signature, or what of a signed path is not understood.
    pub fn open<'a, T>(path: &str, candidates: impl IntoIterator<Item = (T, &'a SigningKey)>) -> Result<(T, Self), UrlError> {
        let (signature, signed) = split(path)?;
        let whose = verify(signature, signed, candidates).ok_or(UrlError::Signature)?;
        Ok((whose, Self::parse(signed)?))
    }

    /// Reads the signed part of a path: all after the signature, from its slash on.
    ///
    /// # Errors
    /// [`UrlError`], naming the option that is not understood.
    pub fn parse(signed: &str) -> Result<Self, UrlError> {
        if signed.len() > MAX_PATH_BYTES {
            return Err(UrlError::NotARendition);
        }
        let mut rest = signed.strip_prefix('/').ok_or(UrlError::NotARendition)?;
        let mut options = Options::NONE;
        let mut count = 0;
        // Options hold a colon; the source, which holds none, follows the last of them.
        while let Some((segment, after)) = rest.split_once('/').filter(|(segment, _)| segment.contains(':')) {
            options.read(segment)?;
            rest = after;
            count += 1;
            if count > MAX_OPTIONS {
                return Err(UrlError::NotARendition);
            }
        }
        let (hash, extension) = match rest.strip_prefix("plain/") {
            Some(source) => plain(source)?,
            None => encoded(rest)?,
        };
        if let Some(extension) = extension {
            options.extension(extension)?;
        }
        Ok(Self { hash, recipe: options.request(), expires: options.expires() })
    }

    /// The signed part of the path, in one spelling. [`RenditionUrl::parse`] is the inverse.
    pub fn to_signed_part(self) -> String {
        let RecipeRequest { width, height, resize, gravity, enlarge, background, blur, quality, format, animated } = self.recipe;
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
        let signed = self.to_signed_part();
        format!("{PREFIX}/{}{signed}", key.sign(&signed))
    }

    /// Whether the URL no longer holds.
    pub fn is_expired(&self, now: WallMs) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_mul(1_000) <= now.0)
    }
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
