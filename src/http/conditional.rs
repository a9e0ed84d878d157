//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).
//!
//! What is served here has strong tags and no modification date that anyone may rely on, so `If-Modified-Since` and
//! `If-Unmodified-Since` are ignored, as section 13.1 demands of a resource without one.

use std::fmt;

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::model::BlobHash;

/// An entity tag: `"abc"`, or weak `W/"abc"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    weak: bool,
    opaque: Vec<u8>,
}

impl EntityTag {
    /// The strong tag of a blob: its hash, for the bytes under it never change.
    pub fn of_blob(hash: &BlobHash) -> Self {
        Self { weak: false, opaque: hash.to_string().into_bytes() }
    }

    /// A strong tag of any visible ASCII text without quotes; `None` for other text.
    pub fn strong(opaque: &str) -> Option<Self> {
        opaque.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"').then(|| Self { weak: false, opaque: opaque.into() })
    }

    /// Whether both are strong and the same (section 8.8.3.2): good enough to put parts together.
    pub fn matches_strongly(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Whether they are the same, weak or not: good enough not to send it again.
    pub fn matches_weakly(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The value of `ETag`.
    pub fn to_header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.to_bytes()).expect("a tag is made of bytes that a field may hold")
    }

    fn to_bytes(&self) -> Vec<u8> {
        [if self.weak { b"W/\"".as_slice() } else { b"\"" }, &self.opaque, b"\""].concat()
    }

    /// Reads the tag that `text` begins with; gives what follows it.
    fn read(text: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, rest) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
        let rest_after = rest[end..].strip_prefix(b"\"")?;
        Some((Self { weak, opaque: rest[..end].to_vec() }, rest_after))
    }

    /// Reads a field that holds one tag and nothing else.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let (tag, rest) = Self::read(value.as_bytes().trim_ascii())?;
        rest.is_empty().then_some(tag)
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// What to do with a conditional request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carry it out.
    Proceed,
    /// Answer 304: the client has it.
    NotModified,
    /// Answer 412: what the client expects is not so.
    PreconditionFailed,
}

/// Evaluates the preconditions of a request in the order of section 13.2.2. `current` is the tag of what stands there, `None` where
/// nothing does. `If-Range` is [`super::range`]'s, and comes after this.
///
/// A malformed `If-Match` never matches; a malformed `If-None-Match` keeps what changes something from being carried out.
pub fn evaluate(method: &Method, headers: &HeaderMap, current: Option<&EntityTag>) -> Verdict {
    let tags = |name| Tags::of(headers, name);
    if let Some(wanted) = tags(IF_MATCH) {
        let matches = match (&wanted, current) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::List { tags, .. }, Some(current)) => tags.iter().any(|tag| tag.matches_strongly(current)),
        };
        if !matches {
            return Verdict::PreconditionFailed;
        }
    }
    let Some(unwanted) = tags(IF_NONE_MATCH) else { return Verdict::Proceed };
    let reading = matches!(*method, Method::GET | Method::HEAD);
    let matches = match (&unwanted, current) {
        (Tags::List { malformed: true, .. }, _) if !reading => true,
        (_, None) => false,
        (Tags::Any, Some(_)) => true,
        (Tags::List { tags, .. }, Some(current)) => tags.iter().any(|tag| tag.matches_weakly(current)),
    };
    match (matches, reading) {
        (false, _) => Verdict::Proceed,
        (true, true) => Verdict::NotModified,
        (true, false) => Verdict::PreconditionFailed,
    }
}

/// The value of `If-Match` or `If-None-Match`.
enum Tags {
    Any,
    List { tags: Vec<EntityTag>, malformed: bool },
}

impl Tags {
    /// All field lines of that name; `None` without any.
    fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let mut lines = headers.get_all(name).iter().peekable();
        lines.peek()?;
        let (mut tags, mut malformed) = (Vec::new(), false);
        for line in lines {
            let mut rest = line.as_bytes().trim_ascii();
            if rest == b"*" {
                return Some(Self::Any);
            }
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix(b",") {
                    rest = after.trim_ascii_start();
                    continue;
                }
                match EntityTag::read(rest) {
                    // After a tag comes a comma or the end.
                    Some((tag, after)) if matches!(after.trim_ascii_start().first(), None | Some(b',')) => {
                        tags.push(tag);
                        rest = after.trim_ascii_start();
                    }
                    _ => {
                        malformed = true;
                        break;
                    }
                }
            }
        }
        Some(Self::List { malformed: malformed || tags.is_empty(), tags })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(method: Method, fields: &[(HeaderName, &str)], current: Option<&str>) -> Verdict {
        let headers = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect();
        evaluate(&method, &headers, current.map(|tag| EntityTag::strong(tag).unwrap()).as_ref())
    }

    #[test]
    fn if_none_match_compares_weakly() {
        use Verdict::*;
        for (value, get, put) in [
            ("\"a\"", NotModified, PreconditionFailed),
            ("W/\"a\"", NotModified, PreconditionFailed),
            ("\"b\"", Proceed, Proceed),
            ("\"b\", \"a\"", NotModified, PreconditionFailed),
            (" , \"b\" ,, W/\"a\",", NotModified, PreconditionFailed),
            ("\"b,a\"", Proceed, Proceed),
            ("*", NotModified, PreconditionFailed),
            ("w/\"a\"", Proceed, PreconditionFailed),
            ("a", Proceed, PreconditionFailed),
            ("\"a", Proceed, PreconditionFailed),
            ("\"b\" \"a\"", Proceed, PreconditionFailed),
            ("\"a b\"", Proceed, PreconditionFailed),
            ("", Proceed, PreconditionFailed),
            ("\"\u{e9}\", \"a\"", NotModified, PreconditionFailed),
        ] {
            let fields = [(IF_NONE_MATCH, value)];
            assert_eq!(verdict(Method::GET, &fields, Some("a")), get, "{value}");
            assert_eq!(verdict(Method::HEAD, &fields, Some("a")), get, "{value}");
            assert_eq!(verdict(Method::PUT, &fields, Some("a")), put, "{value}");
        }
        assert_eq!(verdict(Method::PUT, &[(IF_NONE_MATCH, "*")], None), Proceed, "create, if nothing stands there");
        assert_eq!(verdict(Method::GET, &[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Some("a")), NotModified, "two field lines");
    }

    #[test]
    fn if_match_compares_strongly() {
        use Verdict::*;
        for (value, expected) in [
            ("\"a\"", Proceed),
            ("W/\"a\"", PreconditionFailed),
            ("\"b\"", PreconditionFailed),
            ("\"b\",\"a\"", Proceed),
            ("*", Proceed),
            ("a", PreconditionFailed),
            ("", PreconditionFailed),
        ] {
            for method in [Method::GET, Method::PATCH, Method::DELETE] {
                assert_eq!(verdict(method, &[(IF_MATCH, value)], Some("a")), expected, "{value}");
            }
            assert_eq!(verdict(Method::PUT, &[(IF_MATCH, value)], None), PreconditionFailed, "{value}: nothing stands there");
        }
    }

    #[test]
    fn if_match_comes_before_if_none_match() {
        let both = |wanted, unwanted| verdict(Method::GET, &[(IF_MATCH, wanted), (IF_NONE_MATCH, unwanted)], Some("a"));
        assert_eq!(both("\"b\"", "\"a\""), Verdict::PreconditionFailed);
        assert_eq!(both("\"a\"", "\"a\""), Verdict::NotModified);
        assert_eq!(both("\"a\"", "\"b\""), Verdict::Proceed);
        assert_eq!(verdict(Method::GET, &[], Some("a")), Verdict::Proceed);
    }

    #[test]
    fn a_blobs_tag_is_its_hash() {
        let tag = EntityTag::of_blob(&BlobHash::of(b"photo"));
        assert_eq!(tag.to_header(), format!("\"{}\"", BlobHash::of(b"photo")));
        assert_eq!(EntityTag::parse(&tag.to_header()), Some(tag));
        assert_eq!(EntityTag::strong("with \"quotes\""), None);
    }

    proptest! {
        #[test]
        fn any_field_is_survived(value in "[ -~\u{80}-\u{ff}]{0,40}", method in prop::sample::select(vec![Method::GET, Method::PUT])) {
            for name in [IF_MATCH, IF_NONE_MATCH] {
                verdict(method.clone(), &[(name, &value)], Some("a"));
            }
        }

        #[test]
        fn a_tag_in_a_list_is_found(before in prop::collection::vec("[!#-~]{0,5}", 0..4), after in prop::collection::vec("[!#-~]{0,5}", 0..4)) {
            let list = before.iter().map(String::as_str).chain(["a"]).chain(after.iter().map(String::as_str));
            let value = list.map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(" , ");
            prop_assert_eq!(verdict(Method::GET, &[(IF_NONE_MATCH, &value)], Some("a")), Verdict::NotModified);
            prop_assert_eq!(verdict(Method::PUT, &[(IF_MATCH, &value)], Some("a")), Verdict::Proceed);
        }
    }
}
