//! `Server-Timing` of renditions (<https://www.w3.org/TR/server-timing/>), for operators who look for where time goes.
//!
//! Off by default: renditions are shared by all tenants, so a hit for who asks first would tell that somebody else has the photo.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::service::{Served, ServedFrom};

/// Says where a rendition came from and what it took; `total` is the time since the request came. Pages of any origin may read it, as they
/// may read the picture (<https://www.w3.org/TR/resource-timing/#sec-timing-allow-origin>).
pub(super) fn describe(headers: &mut HeaderMap, served: &Served, total: Duration) {
    let text = match served.from {
        ServedFrom::Cache => format!("cache;desc=\"hit\", {}", metric("total", total)),
        ServedFrom::Disk => format!("cache;desc=\"disk\", {}", metric("total", total)),
        ServedFrom::Joined => format!("cache;desc=\"joined\", {}", metric("total", total)),
        ServedFrom::Rendered(took) => {
            let (queue, render) = (metric("queue", served.queued), metric("render", took.saturating_sub(served.queued)));
            format!("cache;desc=\"miss\", {queue}, {render}, {}", metric("total", total))
        }
    };
    let Ok(text) = HeaderValue::try_from(text) else { return };
    headers.insert(HeaderName::from_static("server-timing"), text);
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
}

/// A metric in milliseconds.
fn metric(name: &str, duration: Duration) -> String {
    format!("{name};dur={:.1}", duration.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::service::{Rendition, RenditionFormat};

    #[test]
    fn what_a_request_waited_for_is_told_apart() {
        let ms = Duration::from_millis;
        let said = |from, queued| {
            let rendition = Rendition { bytes: Bytes::new(), format: RenditionFormat::Jpeg };
            let mut headers = HeaderMap::new();
            describe(&mut headers, &Served { rendition, from, queued }, Duration::from_micros(40_250));
            assert_eq!(headers["timing-allow-origin"], "*");
            headers["server-timing"].to_str().unwrap().to_owned()
        };
        let rendered = "cache;desc=\"miss\", queue;dur=10.0, render;dur=25.0, total;dur=40.2";
        assert_eq!(said(ServedFrom::Rendered(ms(35)), ms(10)), rendered);
        assert_eq!(said(ServedFrom::Cache, ms(0)), "cache;desc=\"hit\", total;dur=40.2");
        assert_eq!(said(ServedFrom::Joined, ms(0)), "cache;desc=\"joined\", total;dur=40.2");
    }
}
