//! Percent-decoding of a part of a URL (RFC 3986, section 2.1): of those in settings, and of those that are asked for.

/// What the text says; `None` where a percent sign does not begin an octet, or the octets are no UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' { digit(bytes.next())? << 4 | digit(bytes.next())? } else { byte });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octets_come_back() {
        for (text, expected) in [
            ("", Some("")),
            ("a-b_c", Some("a-b_c")),
            ("%2Fa%2f", Some("/a/")),
            ("%C3%A9", Some("é")),
            ("%25", Some("%")),
            ("%5e!5,5", Some("^!5,5")),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
        for text in ["%", "%2", "%zz", "%+1", "a%", "%ff", "%C3"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC{0,40}", any in "[ -~]{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decoded(&encoded), Some(text));
            let _ = decoded(&any);
        }
    }
}
