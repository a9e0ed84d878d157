//! Names of files and folders as photos and albums take them: a filer's are longer, and stranger.

/// As many bytes from the front as fit, without half a character; control characters become `_`.
pub(super) fn fitting(text: &str, max_bytes: usize) -> String {
    let plain: String = text.trim().chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    plain[..plain.floor_char_boundary(max_bytes)].trim_end().to_owned()
}

/// A file's name that fits, its extension kept.
pub(super) fn fitting_name(name: &str, max_bytes: usize) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match base.rfind('.').filter(|dot| *dot > 0 && base.len() - dot <= 16.min(max_bytes / 2)) {
        Some(dot) => format!("{}{}", fitting(&base[..dot], max_bytes - (base.len() - dot)), fitting(&base[dot..], max_bytes)),
        None => fitting(base, max_bytes),
    }
}

/// A caption that fits; `None` where it says nothing.
pub(super) fn fitting_text(text: &str, max_bytes: usize) -> Option<String> {
    let plain: String = text.trim().chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { '_' } else { c }).collect();
    Some(plain[..plain.floor_char_boundary(max_bytes)].trim_end().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_keep_their_extension() {
        assert_eq!(fitting_name("Größe.jpg", 255), "Größe.jpg");
        assert_eq!(fitting_name(&format!("{}.jpeg", "é".repeat(300)), 255), format!("{}.jpeg", "é".repeat(125)));
        assert_eq!(fitting_name("a\nb.jpg", 255), "a_b.jpg");
        assert_eq!(fitting("Sommer\t2019 ", 255), "Sommer_2019");
        assert_eq!(fitting_text(" two\nlines\u{7} ", 255).as_deref(), Some("two\nlines_"));
        assert_eq!(fitting_text(" \n", 255), None);
    }

    proptest! {
        #[test]
        fn whatever_it_was_it_fits(text in any::<String>(), max in 4_usize..40) {
            for fitted in [fitting(&text, max), fitting_name(&text, max), fitting_text(&text, max).unwrap_or_default()] {
                prop_assert!(fitted.len() <= max, "{:?}", fitted);
            }
            prop_assert!(!fitting_name(&text, max).chars().any(char::is_control));
        }
    }
}
