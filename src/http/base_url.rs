//! Scheme and host for answers that need absolute URLs.
//!
//! `Forwarded` and `X-Forwarded-*` say whatever a client likes where no proxy sets them, so they are not read: behind a proxy that ends TLS,
//! `server.public_url` says what clients see.

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use super::error::ApiError;

/// `https://photos.example.org`, without a slash at its end: as the settings say, else `http` and the host that the client asked.
///
/// # Errors
/// Where the settings say nothing and the request names no host, or none that is one.
pub(super) fn of(public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    if let Some(url) = public_url {
        return Ok(url.to_owned());
    }
    let named = || headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let host =
        uri.authority().cloned().or_else(named).filter(|host| !host.host().is_empty() && !host.as_str().contains(['@', '"', '<', '>']));
    host.map(|host| format!("http://{host}")).ok_or_else(|| ApiError::Malformed { detail: "the request names no host".into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_host(host: &str) -> Option<String> {
        let headers = header::HeaderValue::from_bytes(host.as_bytes()).ok().map(|host| HeaderMap::from_iter([(header::HOST, host)]));
        of(None, &Uri::from_static("/x"), &headers?).ok()
    }

    #[test]
    fn it_is_what_the_client_asked_or_what_the_settings_say() {
        assert_eq!(by_host("photos.example.org"), Some("http://photos.example.org".into()));
        assert_eq!(by_host("[::1]:8420"), Some("http://[::1]:8420".into()));
        for host in ["", "a b", "a/b", "user@host", "a\"b", "<a>", "a?b", "a#b"] {
            assert_eq!(by_host(host), None, "{host}");
        }
        // HTTP/2 names it in the URI.
        let uri = Uri::from_static("https://photos.example.org/x");
        assert_eq!(of(None, &uri, &HeaderMap::new()).unwrap(), "http://photos.example.org");
        assert_eq!(of(Some("https://example.org/photos"), &uri, &HeaderMap::new()).unwrap(), "https://example.org/photos");
        let forwarded =
            [("forwarded", "proto=https;host=evil"), ("x-forwarded-host", "evil"), ("x-forwarded-proto", "https"), ("host", "good")];
        let headers = forwarded.map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        assert_eq!(of(None, &Uri::from_static("/x"), &HeaderMap::from_iter(headers)).unwrap(), "http://good");
    }

    proptest! {
        #[test]
        fn any_host_is_survived(host in "[ -~\u{80}-\u{ff}]{0,40}") {
            if let Some(url) = by_host(&host) {
                let is_field = header::HeaderValue::try_from(format!("<{url}>")).is_ok();
                prop_assert!(is_field, "{url}");
                prop_assert!(!url.contains(['"', '<', '>', ' ', '@']) && url[7..].find(['/', '?', '#']).is_none(), "{url}");
            }
        }
    }
}
