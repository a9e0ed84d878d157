//! What a name may be.

use super::ServiceError;

/// Bounds on what people write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    /// Bytes of UTF-8 at most in the name of an album, a user, a tenant, a token and in a file's name.
    pub(super) max_name_bytes: usize,
    /// Bytes of UTF-8 at most in a description or caption.
    pub(super) max_text_bytes: usize,
}

impl Names {
    /// A name of one line: trimmed, not empty, not over the limit, no control characters.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`], naming `field`.
    pub(super) fn name(self, field: &'static str, text: &str) -> Result<String, ServiceError> {
        let text = text.trim();
        let invalid = |detail: String| Err(ServiceError::Invalid { field, detail });
        if text.is_empty() {
            return invalid("must not be empty".into());
        }
        if text.len() > self.max_name_bytes {
            return invalid(format!("at most {} bytes of UTF-8", self.max_name_bytes));
        }
        if text.chars().any(char::is_control) {
            return invalid("must not hold control characters".into());
        }
        Ok(text.to_owned())
    }

    /// The name of a file: what follows the last separator, else as [`Names::name`].
    ///
    /// # Errors
    /// [`ServiceError::Invalid`], naming `name`.
    pub(super) fn file_name(self, text: &str) -> Result<String, ServiceError> {
        let base = text.rsplit(['/', '\\']).next().unwrap_or(text);
        self.name("name", base)
    }

    /// A longer text: not over the limit, no control characters but line breaks and tabs. `None` for an empty one.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`], naming `field`.
    pub(super) fn text(self, field: &'static str, text: &str) -> Result<Option<String>, ServiceError> {
        let text = text.trim();
        if text.len() > self.max_text_bytes {
            return Err(ServiceError::Invalid { field, detail: format!("at most {} bytes of UTF-8", self.max_text_bytes) });
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(ServiceError::Invalid { field, detail: "must not hold control characters".into() });
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names { max_name_bytes: 20, max_text_bytes: 30 };

    #[test]
    fn names_are_one_line_within_the_limit() {
        assert_eq!(NAMES.name("name", "  Sommer 2026 ").unwrap(), "Sommer 2026");
        assert_eq!(NAMES.name("name", &"é".repeat(10)).unwrap(), "é".repeat(10), "exactly at the limit");
        for bad in ["", "   ", "a\nb", "\0", &"x".repeat(21), &"é".repeat(11)] {
            assert!(matches!(NAMES.name("name", bad), Err(ServiceError::Invalid { field: "name", .. })), "{bad:?}");
        }
        assert_eq!(NAMES.file_name("DCIM/100/a-long-folder/été.jpg").unwrap(), "été.jpg");
        assert_eq!(NAMES.file_name("C:\\a\\b.jpg").unwrap(), "b.jpg");
        assert!(NAMES.file_name("dir/").is_err());
    }

    #[test]
    fn texts_may_have_lines() {
        assert_eq!(NAMES.text("caption", "two\nlines").unwrap().as_deref(), Some("two\nlines"));
        assert_eq!(NAMES.text("caption", " ").unwrap(), None);
        assert!(NAMES.text("caption", &"x".repeat(30)).is_ok());
        assert!(matches!(NAMES.text("caption", &"x".repeat(31)), Err(ServiceError::Invalid { field: "caption", .. })));
        assert!(NAMES.text("caption", "bell\u{7}").is_err());
    }
}
