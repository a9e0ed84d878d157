//! An image's identifier: `{hash}_{signature}`, or `{hash}_{expires}_{signature}` for one that ceases.
//!
//! Nothing but letters, digits and underscores, as section 9 recommends: no client and no proxy spells it in another way. The signature is in
//! hexadecimal for the same reason.

use std::fmt;

use super::PREFIX;
use super::error::IiifError;
use crate::model::{BlobHash, WallMs};
use crate::service::rendition_url::{SigningKey, verify_mac};

/// Digits of a hash, and of a signature.
const DIGITS: usize = 64;
/// What is signed begins with it. The path of a rendition, which the same keys sign, begins with a slash: neither signature is good for the other.
const DOMAIN: &str = "iiif/3:";

/// Which image, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The photo's bytes.
    pub hash: BlobHash,
    /// When it ceases to hold, in seconds since 1970; `None`: never.
    pub expires: Option<u64>,
}

impl Identifier {
    /// Reads an identifier as it stands in a URL, percent-decoded, and says whose key signed it.
    ///
    /// # Errors
    /// [`IiifError::NoIdentifier`] for what does not begin with a hash and an underscore, [`IiifError::Signature`] where none of the candidates
    /// signed it.
    pub fn open<'a, T>(text: &str, candidates: impl IntoIterator<Item = (T, &'a SigningKey)>) -> Result<(T, Self), IiifError> {
        let (hash, rest) = text.split_once('_').ok_or(IiifError::NoIdentifier)?;
        let hash = hash.parse().map_err(|_| IiifError::NoIdentifier)?;
        let (expires, signature) = match rest.split_once('_') {
            Some((expires, signature)) => (Some(in_one_spelling(expires).ok_or(IiifError::Signature)?), signature),
            None => (None, rest),
        };
        let identifier = Self { hash, expires };
        let mac = from_hex(signature).ok_or(IiifError::Signature)?;
        let whose = verify_mac(&mac, &identifier.signed_text(), candidates).ok_or(IiifError::Signature)?;
        Ok((whose, identifier))
    }

    /// The identifier, signed.
    pub fn signed(self, key: &SigningKey) -> String {
        format!("{self}_{}", to_hex(&key.mac(&self.signed_text())))
    }

    /// The base URI of the image, without scheme and host.
    pub fn to_path(self, key: &SigningKey) -> String {
        format!("{PREFIX}{}", self.signed(key))
    }

    /// Whether it no longer holds.
    pub fn is_expired(&self, now: WallMs) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_mul(1_000) <= now.0)
    }

    fn signed_text(&self) -> String {
        format!("{DOMAIN}{self}")
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash.fmt(f)?;
        self.expires.map_or(Ok(()), |expires| write!(f, "_{expires}"))
    }
}

/// A number without a sign or leading zeros.
fn in_one_spelling(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

fn to_hex(bytes: &[u8; DIGITS / 2]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lowercase digits alone: a signature has one spelling.
fn from_hex(text: &str) -> Option<[u8; DIGITS / 2]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.0.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| pairs.1.is_empty())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::rendition_url::RenditionUrl;

    fn key(name: &str) -> SigningKey {
        SigningKey::new(name, "salt")
    }

    fn identifier(expires: Option<u64>) -> Identifier {
        Identifier { hash: BlobHash::of(b"photo"), expires }
    }

    /// What docs/web.md tells web tiers to do.
    #[test]
    fn it_is_signed_as_the_document_says() {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
        mac.update(format!("saltiiif/3:{}", BlobHash::of(b"photo")).as_bytes());
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(identifier(None).signed(&key("key")), format!("{}_{digits}", BlobHash::of(b"photo")));
    }

    #[test]
    fn another_byte_or_another_key_is_refused() {
        let (mine, other) = (key("mine"), key("other"));
        for named in [identifier(None), identifier(Some(2_000_000_000))] {
            let text = named.signed(&mine);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text}");
            assert_eq!(Identifier::open(&text, [("other", &other), ("mine", &mine)]), Ok(("mine", named)));
            assert_eq!(Identifier::open(&text, [("other", &other)]), Err(IiifError::Signature));
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                let changed = String::from_utf8(changed).unwrap();
                assert!(Identifier::open(&changed, [((), &mine)]).is_err(), "{changed}");
            }
            for changed in
                [text.to_uppercase(), format!("{text}0"), text[..text.len() - 1].to_owned(), format!("{text}_"), format!(" {text}")]
            {
                assert!(Identifier::open(&changed, [((), &mine)]).is_err(), "{changed}");
            }
        }
        let hash = BlobHash::of(b"photo");
        for nothing in ["", "_", "[frob]", "a/b", "_0_0", &hash.to_string(), &hash.to_string().to_uppercase()] {
            assert_eq!(Identifier::open(nothing, [((), &mine)]), Err(IiifError::NoIdentifier), "{nothing}");
        }
        let zeros = "0".repeat(DIGITS);
        for rest in ["", "_", &format!("_{zeros}"), "x_y", &format!("+1_{zeros}"), &format!("01_{zeros}"), &format!("1_2_{zeros}"), &zeros]
        {
            assert_eq!(Identifier::open(&format!("{hash}_{rest}"), [((), &mine)]), Err(IiifError::Signature), "{rest}");
        }
    }

    #[test]
    fn no_signature_of_a_rendition_is_one_of_an_identifier() {
        let (key, hash) = (key("key"), BlobHash::of(b"photo"));
        let path = RenditionUrl { hash, recipe: Default::default(), expires: None, by_preset: false }.to_signed_part();
        for text in [path, hash.to_string(), format!("/{DOMAIN}{hash}")] {
            let moved = format!("{hash}_{}", to_hex(&key.mac(&text)));
            assert_eq!(Identifier::open(&moved, [((), &key)]), Err(IiifError::Signature));
        }
        assert!(!identifier(None).signed_text().starts_with('/'), "what a rendition's signature covers begins with a slash");
    }

    #[test]
    fn it_holds_until_it_expires() {
        assert!(!identifier(None).is_expired(WallMs(u64::MAX)));
        assert!(!identifier(Some(10)).is_expired(WallMs(9_999)));
        assert!(identifier(Some(10)).is_expired(WallMs(10_000)));
        assert!(!identifier(Some(u64::MAX)).is_expired(WallMs(10_000)));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", hex in "[0-9a-f]{62,66}", tail in "[0-9a-f_]{0,140}") {
            let key = key("key");
            for text in [text, format!("{hex}_{tail}")] {
                prop_assert!(Identifier::open(&text, [((), &key)]).is_err());
            }
        }

        #[test]
        fn what_is_signed_opens(hash in any::<[u8; 32]>(), expires in any::<Option<u64>>()) {
            let (key, named) = (key("key"), Identifier { hash: BlobHash::from_bytes(hash), expires });
            prop_assert_eq!(Identifier::open(&named.signed(&key), [((), &key)]), Ok(((), named)));
        }
    }
}
