//! What a name may be.

use super::ServiceError;

/// Characters at most in the name of an album, a user, a tenant, and in a file's name.
pub const MAX_NAME_CHARS: usize = 200;
/// Characters at most in a description or caption.
pub const MAX_TEXT_CHARS: usize = 2_000;

/// A name of one line: trimmed, 1 to [`MAX_NAME_CHARS`] characters, no control characters.
///
/// # Errors
/// [`ServiceError::Invalid`], naming `field`.
pub fn name(field: &'static str, text: &str) -> Result<String, ServiceError> {
    let text = text.trim();
    let invalid = |detail: String| Err(ServiceError::Invalid { field, detail });
    if text.is_empty() {
        return invalid("must not be empty".into());
    }
    if text.chars().count() > MAX_NAME_CHARS {
        return invalid(format!("at most {MAX_NAME_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        return invalid("must not hold control characters".into());
    }
    Ok(text.to_owned())
}

/// The name of a file: what follows the last separator, else as [`name`].
///
/// # Errors
/// [`ServiceError::Invalid`], naming `name`.
pub fn file_name(text: &str) -> Result<String, ServiceError> {
    let base = text.rsplit(['/', '\\']).next().unwrap_or(text);
    name("name", base)
}

/// A longer text: at most [`MAX_TEXT_CHARS`] characters, no control characters but line breaks and tabs. `None` for an empty one.
///
/// # Errors
/// [`ServiceError::Invalid`], naming `field`.
pub fn text(field: &'static str, text: &str) -> Result<Option<String>, ServiceError> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(ServiceError::Invalid { field, detail: format!("at most {MAX_TEXT_CHARS} characters") });
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(ServiceError::Invalid { field, detail: "must not hold control characters".into() });
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line() {
        assert_eq!(name("name", "  Sommer 2026 ").unwrap(), "Sommer 2026");
        for bad in ["", "   ", "a\nb", "\0", &"x".repeat(MAX_NAME_CHARS + 1)] {
            assert!(matches!(name("name", bad), Err(ServiceError::Invalid { field: "name", .. })), "{bad:?}");
        }
        assert_eq!(file_name("DCIM/100/été.jpg").unwrap(), "été.jpg");
        assert_eq!(file_name("C:\\a\\b.jpg").unwrap(), "b.jpg");
        assert!(file_name("dir/").is_err());
        assert_eq!(text("caption", "two\nlines").unwrap().as_deref(), Some("two\nlines"));
        assert_eq!(text("caption", " ").unwrap(), None);
    }
}
