//! `Content-Disposition` with a name in any script (RFC 6266, RFC 8187).

use http::HeaderValue;

/// What a file is called whose name holds nothing that may be sent.
const NAMELESS: &str = "photo";
/// Length of a name in bytes; what is longer is cut, for a file system takes no more.
const MAX_NAME_BYTES: usize = 255;

/// `attachment; filename="ascii"; filename*=UTF-8''…`: save it under this name.
///
/// A name is text that a user chose: separators of paths, control characters, and characters that turn the direction of writing (so
/// that `gpj.exe` reads as `exe.jpg`) are replaced. Nothing that a name holds can end the field or add one.
pub fn attachment(name: &str) -> HeaderValue {
    let name = safe(name);
    let mut value = String::from("attachment; filename=\"");
    value.extend(name.chars().map(|c| match c {
        // Quotes and backslashes are read in different ways, and `%41` is decoded by some (RFC 6266, appendix D).
        '"' | '\\' | '%' => '_',
        ' '..='~' => c,
        _ => '_',
    }));
    value.push_str("\"; filename*=UTF-8''");
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => value.push(char::from(byte)),
            b'!' | b'#' | b'$' | b'&' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => value.push(char::from(byte)),
            _ => value.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::try_from(value).expect("visible ASCII and spaces make a field")
}

/// The name without what a name must not do.
fn safe(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim().chars() {
        let c = match c {
            '/' | '\\' => '_',
            c if c.is_control() => '_',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '_',
            c => c,
        };
        if out.len() + c.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        out.push(c);
    }
    if out.chars().all(|c| c == '.') { NAMELESS.to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_they_come() {
        for (name, ascii, extended) in [
            ("beach.jpg", "beach.jpg", "beach.jpg"),
            ("Grüße aus Kiel.jpg", "Gr__e aus Kiel.jpg", "Gr%C3%BC%C3%9Fe%20aus%20Kiel.jpg"),
            ("写真.heic", "__.heic", "%E5%86%99%E7%9C%9F.heic"),
            ("a\"b.jpg", "a_b.jpg", "a%22b.jpg"),
            ("100%41.jpg", "100_41.jpg", "100%2541.jpg"),
            ("../../etc/passwd", ".._.._etc_passwd", ".._.._etc_passwd"),
            ("a\r\nSet-Cookie: x=1", "a__Set-Cookie: x=1", "a__Set-Cookie%3A%20x%3D1"),
            ("exe\u{202e}gpj.exe", "exe_gpj.exe", "exe_gpj.exe"),
            ("it's (1)*.jpg", "it's (1)*.jpg", "it%27s%20%281%29%2A.jpg"),
            ("", "photo", "photo"),
            (" .. ", "photo", "photo"),
        ] {
            assert_eq!(attachment(name), format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{extended}"), "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let value = attachment(&"é".repeat(1_000));
        assert!(value.to_str().unwrap().ends_with(&"%C3%A9".repeat(127)));
        assert!(!value.to_str().unwrap().ends_with(&"%C3%A9".repeat(128)));
    }

    proptest! {
        #[test]
        fn no_name_gets_out_of_its_quotes(name in any::<String>()) {
            let value = attachment(&name);
            let value = value.to_str().expect("ASCII");
            let rest = value.strip_prefix("attachment; filename=\"").unwrap();
            let (ascii, extended) = rest.split_once("\"; filename*=UTF-8''").unwrap();
            prop_assert!(!ascii.contains(['"', '\\', '%', '/']) && !ascii.is_empty());
            prop_assert!(extended.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte)));
            let bytes = percent_decode(extended);
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), safe(&name));
        }
    }

    fn percent_decode(text: &str) -> Vec<u8> {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'%' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                _ => byte,
            });
        }
        out
    }
}
