//! What renditions say to caches.

use axum::http::HeaderValue;

use crate::service::Freshness;

/// `Cache-Control` of a rendition (RFC 9111, and RFC 8246 for `immutable`).
pub(super) fn cache_control(freshness: Freshness) -> HeaderValue {
    match freshness {
        Freshness { max_age_seconds: 0, .. } => HeaderValue::from_static("no-cache"),
        // What nearly all tenants say: not written anew for each answer.
        Freshness { max_age_seconds: 31_536_000, immutable: true } => HeaderValue::from_static("public, max-age=31536000, immutable"),
        Freshness { max_age_seconds, immutable } => {
            let text = format!("public, max-age={max_age_seconds}{}", if immutable { ", immutable" } else { "" });
            // Letters, digits and commas always are one.
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-cache"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_as_caches_read_them() {
        for (max_age_seconds, immutable, expected) in [
            (31_536_000, true, "public, max-age=31536000, immutable"),
            (31_536_000, false, "public, max-age=31536000"),
            (60, true, "public, max-age=60, immutable"),
            (60, false, "public, max-age=60"),
            (0, true, "no-cache"),
            (0, false, "no-cache"),
        ] {
            assert_eq!(cache_control(Freshness { max_age_seconds, immutable }), expected);
        }
    }
}
