//! Digests of what is sent: `Content-Digest` and `Repr-Digest` (RFC 9530, dictionaries of RFC 9651) and `X-Blake3`.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::{BlobHash, Sha256};
use crate::service::ExpectedDigests;

/// `Content-Digest`: of the bytes of this message.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// `Repr-Digest`: of the whole representation, also in an answer that carries a part of it.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// `X-Blake3`: BLAKE3 as 64 lowercase hex digits. No registered algorithm, hence a field of its own.
pub const X_BLAKE3: HeaderName = HeaderName::from_static("x-blake3");

/// RFC 9651, section 4.2.7, asks parsers not to mind missing padding and stray bits in the last digit.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A digest field that cannot be read, so that nothing could be checked by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is malformed: {reason}")]
pub struct MalformedDigest {
    /// Which field.
    pub field: HeaderName,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What a request says of a body that is a whole photo in no content coding: the SHA-256 of `Content-Digest` or `Repr-Digest`, and `X-Blake3`.
/// Algorithms that are not known here are not checked.
///
/// # Errors
/// [`MalformedDigest`] where a field cannot be read, or two say different things.
pub fn expected(headers: &HeaderMap) -> Result<ExpectedDigests, MalformedDigest> {
    let content = sha256_of(headers, CONTENT_DIGEST)?;
    let repr = sha256_of(headers, REPR_DIGEST)?;
    if content.zip(repr).is_some_and(|(content, repr)| content != repr) {
        return Err(MalformedDigest { field: REPR_DIGEST, reason: "it differs from Content-Digest" });
    }
    Ok(ExpectedDigests { sha256: content.or(repr), blake3: blake3_of(headers)? })
}

/// The value of `Content-Digest` or `Repr-Digest`: `sha-256=:…:`.
pub fn sha256_field(digest: &Sha256) -> HeaderValue {
    let value = format!("sha-256=:{}:", BASE64.encode(digest.as_bytes()));
    HeaderValue::try_from(value).expect("Base64 makes a field")
}

/// The SHA-256 of a digest field, where it names one.
fn sha256_of(headers: &HeaderMap, field: HeaderName) -> Result<Option<Sha256>, MalformedDigest> {
    let malformed = |reason| MalformedDigest { field: field.clone(), reason };
    let mut digest = None;
    // Field lines together are one dictionary, and the last of equal keys counts.
    for line in headers.get_all(&field) {
        let line = line.to_str().map_err(|_| malformed("it is not ASCII"))?;
        let mut input = Input(line.trim_matches(' '));
        while !input.0.is_empty() {
            let (name, value) = input.member().map_err(malformed)?;
            if name == "sha-256" {
                let bytes = value.try_into().map_err(|_| malformed("sha-256 takes 32 bytes"))?;
                digest = Some(Sha256::from_bytes(bytes));
            }
        }
    }
    Ok(digest)
}

fn blake3_of(headers: &HeaderMap) -> Result<Option<BlobHash>, MalformedDigest> {
    let malformed = |reason| MalformedDigest { field: X_BLAKE3, reason };
    let mut digest = None;
    for line in headers.get_all(X_BLAKE3) {
        let hash = line.to_str().ok().and_then(|line| line.trim().parse().ok()).ok_or(malformed("it takes 64 lowercase hex digits"))?;
        if digest.replace(hash).is_some_and(|other| other != hash) {
            return Err(malformed("there are two of it"));
        }
    }
    Ok(digest)
}

/// What is left of a structured field (RFC 9651, section 4.2). Only dictionaries of byte sequences are read: digests are nothing else.
struct Input<'a>(&'a str);

impl<'a> Input<'a> {
    /// Reads a member and the comma after it: its key and its bytes. Parameters are skipped: none is defined.
    fn member(&mut self) -> Result<(&'a str, Vec<u8>), &'static str> {
        let key = self.key()?;
        self.expect('=').map_err(|_| "an algorithm has no digest")?;
        let value = self.bytes()?;
        while self.take(';') {
            self.skip(|c| c == ' ');
            self.key()?;
            if self.take('=') {
                self.bare_item()?;
            }
        }
        self.skip(|c| matches!(c, ' ' | '\t'));
        if !self.0.is_empty() {
            self.expect(',').map_err(|_| "a comma is missing")?;
            self.skip(|c| matches!(c, ' ' | '\t'));
            if self.0.is_empty() {
                return Err("nothing follows the last comma");
            }
        }
        Ok((key, value))
    }

    fn key(&mut self) -> Result<&'a str, &'static str> {
        if !self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
            return Err("the name of an algorithm is written in lower case");
        }
        Ok(self.skip(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.' | '*')))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, &'static str> {
        self.expect(':').map_err(|_| "a digest stands between colons")?;
        let text = self.skip(|c| c != ':');
        self.expect(':').map_err(|_| "a digest stands between colons")?;
        BASE64.decode(text).map_err(|_| "a digest is written in Base64")
    }

    /// Skips the value of a parameter.
    fn bare_item(&mut self) -> Result<(), &'static str> {
        match self.0.chars().next() {
            Some(':') => self.bytes().map(drop),
            Some('"') => self.string(),
            Some('?') if self.0.starts_with("?0") || self.0.starts_with("?1") => {
                self.0 = &self.0[2..];
                Ok(())
            }
            Some('-' | '0'..='9') => {
                self.skip(|c| matches!(c, '-' | '.' | '0'..='9'));
                Ok(())
            }
            Some('*' | 'A'..='Z' | 'a'..='z') => {
                self.skip(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
                Ok(())
            }
            _ => Err("a parameter has no value"),
        }
    }

    fn string(&mut self) -> Result<(), &'static str> {
        self.expect('"')?;
        loop {
            self.skip(|c| c != '"' && c != '\\');
            if self.take('"') {
                return Ok(());
            }
            self.expect('\\')?;
            if !self.take('"') && !self.take('\\') {
                return Err("a string is malformed");
            }
        }
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), &'static str> {
        if self.take(c) { Ok(()) } else { Err("a character is missing") }
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !skipped(c)).unwrap_or(self.0.len());
        let (skipped, rest) = self.0.split_at(end);
        self.0 = rest;
        skipped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{"hello": "world"}` and a line feed, from RFC 9530, section 2.
    const HELLO: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const HELLO_HEX: &str = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38";

    fn read(fields: &[(HeaderName, &str)]) -> Result<ExpectedDigests, MalformedDigest> {
        let headers = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect();
        expected(&headers)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let sha256: Sha256 = HELLO_HEX.parse().unwrap();
        assert_eq!(read(&[(CONTENT_DIGEST, HELLO)]).unwrap().sha256, Some(sha256));
        assert_eq!(sha256_field(&sha256), HELLO);
    }

    #[test]
    fn what_is_well_formed_is_read() {
        let sha256 = Some(HELLO_HEX.parse().unwrap());
        for (value, expected) in [
            (HELLO.to_owned(), sha256),
            (HELLO.replacen("Dg=:", "Dg:", 1), sha256),
            (format!("sha-512=:AAAA:, {HELLO}"), sha256),
            (format!("{HELLO} \t,\t md5=:AA==:"), sha256),
            (format!("{HELLO};a;b=1;c=\"x\\\"y,\"; d=?1;e=tok/en;f=:AA==:, x=::"), sha256),
            (format!("sha-256=:{}:, {HELLO}", "A".repeat(43)), sha256),
            ("sha-512=:AAAA:".to_owned(), None),
            ("unixsum=:AA==:".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(read(&[(REPR_DIGEST, &value)]).unwrap().sha256, expected, "{value}");
        }
        assert_eq!(read(&[(CONTENT_DIGEST, "md5=:AA==:"), (CONTENT_DIGEST, HELLO)]).unwrap().sha256, sha256, "two field lines");
        assert_eq!(read(&[]).unwrap(), ExpectedDigests::default());
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for value in [
            "sha-256",
            "sha-256=",
            "sha-256=:",
            "sha-256=::",
            "sha-256=:AAAA:",
            "sha-256=abc",
            "sha-256=\"abc\"",
            "sha-256=:not base64!:",
            "SHA-256=:AAAA:",
            "sha-512=:AAAA:,",
            "sha-512=:AAAA: md5=:AA==:",
            "sha-512=:AAAA:;",
            "sha-512=:AAAA:;a=",
            "sha-512=:AAAA:;a=\"x",
            ",",
            "=",
            "sha-512=:AAAA:, \u{e9}",
        ] {
            let error = read(&[(CONTENT_DIGEST, value)]);
            assert!(error.is_err(), "{value}: {error:?}");
        }
        let other = format!("sha-256=:{}:", "A".repeat(43));
        assert!(read(&[(CONTENT_DIGEST, HELLO), (REPR_DIGEST, &other)]).is_err(), "they contradict each other");
    }

    #[test]
    fn blake3_is_hexadecimal() {
        let hash = BlobHash::of(b"photo");
        assert_eq!(read(&[(X_BLAKE3, &hash.to_string())]).unwrap().blake3, Some(hash));
        for wrong in ["", "abc", &hash.to_string().to_uppercase(), &format!("{hash}0")] {
            assert!(read(&[(X_BLAKE3, wrong)]).is_err(), "{wrong}");
        }
        assert!(read(&[(X_BLAKE3, &hash.to_string()), (X_BLAKE3, &BlobHash::of(b"x").to_string())]).is_err());
    }

    proptest! {
        #[test]
        fn any_field_is_survived(value in "(sha-256=)?[-a-z0-9=:;,\"\\\\ ?*\u{80}-\u{90}]{0,60}") {
            let _ = read(&[(CONTENT_DIGEST, &value), (X_BLAKE3, &value)]);
        }

        #[test]
        fn what_is_written_is_read(bytes in any::<[u8; 32]>()) {
            let sha256 = Sha256::from_bytes(bytes);
            let value = sha256_field(&sha256);
            prop_assert_eq!(read(&[(CONTENT_DIGEST, value.to_str().unwrap())]).unwrap().sha256, Some(sha256));
        }
    }
}
