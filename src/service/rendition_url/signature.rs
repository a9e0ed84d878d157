//! The signature: HMAC-SHA256 with a key over salt and path, as imgproxy makes it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A tenant's key and salt. imgproxy's client libraries are given the same two in hexadecimal.
#[derive(Clone)]
pub struct SigningKey {
    /// Has taken the key and the salt: what remains for each path.
    salted: Hmac<Sha256>,
}

impl SigningKey {
    /// Takes the raw bytes; 32 random ones each are right.
    pub fn new(key: impl AsRef<[u8]>, salt: impl AsRef<[u8]>) -> Self {
        let mut salted = Hmac::<Sha256>::new_from_slice(key.as_ref()).expect("HMAC takes a key of any length");
        salted.update(salt.as_ref());
        Self { salted }
    }

    /// The signature of `path`, the part of the URL that follows the signature, from its slash on.
    pub fn sign(&self, path: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(path))
    }

    /// The signature as it is computed, of any text.
    pub fn mac(&self, path: &str) -> [u8; 32] {
        let mut mac = self.salted.clone();
        mac.update(path.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

/// Whose key made this signature of `path`: the first of the candidates that fits.
///
/// Every candidate is tried, and compared in constant time, so that the time taken tells nothing about how near a guess came, nor
/// whose key it was. A signature has one spelling: padding and stray bits are refused.
pub fn verify<'a, T>(signature: &str, path: &str, candidates: impl IntoIterator<Item = (T, &'a SigningKey)>) -> Option<T> {
    let given: [u8; 32] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    verify_mac(&given, path, candidates)
}

/// The same for a signature that came in another spelling.
pub fn verify_mac<'a, T>(given: &[u8; 32], text: &str, candidates: impl IntoIterator<Item = (T, &'a SigningKey)>) -> Option<T> {
    let mut matched = None;
    for (whose, key) in candidates {
        if bool::from(key.mac(text).ct_eq(given)) && matched.is_none() {
            matched = Some(whose);
        }
    }
    matched
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Key and salt of the examples in imgproxy's documentation.
    pub(in super::super) fn documented_key() -> SigningKey {
        SigningKey::new(
            bytes("943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881"),
            bytes("520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5"),
        )
    }

    /// The example of imgproxy's documentation.
    #[test]
    fn the_signature_is_imgproxys() {
        let key = documented_key();
        let path = "/fill/300/300/no/1/aHR0cDovL2ltZy5leGFtcGxlLmNvbS9wcmV0dHkvaW1hZ2UuanBn.png";
        let signature = "_PQ4ytCQMMp-1w1m_vP6g8Qb-Q7yF9mwghf6PddqxLw";
        assert_eq!(key.sign(path), signature);
        assert_eq!(verify(signature, path, [((), &key)]), Some(()));
    }

    #[test]
    fn the_candidate_that_signed_is_named() {
        let keys: Vec<_> = (0..3_u8).map(|n| SigningKey::new([n; 32], [n; 16])).collect();
        let signature = keys[1].sign("/plain/x");
        let whose = |signature: &str, path| verify(signature, path, keys.iter().enumerate());
        assert_eq!(whose(&signature, "/plain/x"), Some(1));
        assert_eq!(whose(&signature, "/plain/y"), None);
        assert_eq!(verify(&signature, "/plain/x", [(0, &keys[0]), (2, &keys[2])]), None);
        assert_eq!(verify::<()>(&signature, "/plain/x", []), None);
        for wrong in ["", "insecure", &signature[1..], &format!("{signature}="), &signature.replace(&signature[42..], "_"), "ü"] {
            assert_eq!(whose(wrong, "/plain/x"), None, "{wrong}");
        }
        assert!(!format!("{:?}", keys[0]).contains('0'), "a key is not logged");
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else(key in any::<[u8; 32]>(), salt in any::<Vec<u8>>(), path in "\\PC{0,60}", other in "\\PC{0,60}") {
            let key = SigningKey::new(key, salt);
            let signature = key.sign(&path);
            prop_assert_eq!(verify(&signature, &path, [((), &key)]), Some(()));
            prop_assert_eq!(verify(&signature, &other, [((), &key)]).is_some(), path == other);
            prop_assert_eq!(verify(&other, &path, [((), &key)]), None);
        }
    }
}
