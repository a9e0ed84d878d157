//! Choosing a media type by `Accept` (RFC 9110, section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// Media ranges that are looked at in one request; the rest is passed over.
const MAX_RANGES: usize = 64;

/// A media type that could be sent. Earlier offers are preferred, all else being equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    media_type: &'static str,
    only_if_named: bool,
}

impl Offer {
    /// A type that everyone understands: also sent to those who name none, or only `image/*` or `*/*`.
    pub const fn anyone(media_type: &'static str) -> Self {
        Self { media_type, only_if_named: false }
    }

    /// A type that only those understand who name it: `*/*` is what old clients say too.
    pub const fn if_named(media_type: &'static str) -> Self {
        Self { media_type, only_if_named: true }
    }
}

/// The offer that the client likes best; without an `Accept` the first for [anyone](Offer::anyone). `None` where it takes none of them.
///
/// The most specific range counts for each type. Parameters other than `q` are passed over, and so are ranges that are malformed.
/// An answer that was chosen here says `Vary: Accept`.
pub fn negotiate(headers: &HeaderMap, offers: &[Offer]) -> Option<&'static str> {
    let lines = || headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    // An empty field, or one of which nothing can be read, says as much as none.
    let ranges: Vec<_> = lines().flat_map(|line| split(line, ',')).filter_map(MediaRange::parse).take(MAX_RANGES).collect();
    if ranges.is_empty() {
        return offers.iter().find(|offer| !offer.only_if_named).map(|offer| offer.media_type);
    }
    let mut best: Option<(u16, &'static str)> = None;
    for offer in offers {
        let quality = ranges.iter().filter_map(|range| Some((range.specificity(offer)?, range.quality))).max_by_key(|(rank, _)| *rank);
        if let Some((_, quality @ 1..)) = quality
            && best.is_none_or(|(best, _)| quality > best)
        {
            best = Some((quality, offer.media_type));
        }
    }
    best.map(|(_, media_type)| media_type)
}

/// `image/webp;q=0.8`, `image/*`, `*/*`.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split(text, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
            return None;
        }
        let mut quality = 1_000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                quality = parse_quality(value.trim())?;
            }
        }
        Some(Self { kind, subtype, quality })
    }

    /// How closely it fits an offer, `None` where it does not.
    fn specificity(&self, offer: &Offer) -> Option<u8> {
        let (kind, subtype) = offer.media_type.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => (!offer.only_if_named).then_some(0),
            (this, "*") if this.eq_ignore_ascii_case(kind) => (!offer.only_if_named).then_some(1),
            (this, that) => (this.eq_ignore_ascii_case(kind) && that.eq_ignore_ascii_case(subtype)).then_some(2),
        }
    }
}

/// 0 to 1 with at most three digits after the point, in thousandths.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let splits = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        splits
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OFFERS: [Offer; 3] = [Offer::if_named("image/webp"), Offer::anyone("image/jpeg"), Offer::anyone("image/png")];

    fn choose(lines: &[&str]) -> Option<&'static str> {
        negotiate(&lines.iter().map(|line| (ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect(), &OFFERS)
    }

    #[test]
    fn what_clients_say() {
        let (webp, jpeg, png) = (Some("image/webp"), Some("image/jpeg"), Some("image/png"));
        for (accept, expected) in [
            // Chrome, Firefox, Safari of old, curl.
            ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", webp),
            ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", webp),
            ("image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", png),
            ("*/*", jpeg),
            ("image/*", jpeg),
            // Qualities and specificity.
            ("image/webp;q=0.5, image/jpeg", jpeg),
            ("image/webp;q=0, */*", jpeg),
            ("image/jpeg;q=0, */*", png),
            ("image/*;q=0, image/png;q=0.001", png),
            ("IMAGE/WebP ; Q=0.9 , image/jpeg;q=0.8", webp),
            ("image/jpeg;level=\"a,b;q=0\";q=0.3, image/png;q=0.2", jpeg),
            ("image/jpeg;level=\"a\\\",image/webp,\\\"b\"", jpeg),
            // None of ours.
            ("text/html", None),
            ("image/webp;q=0", None),
            ("*/*;q=0", None),
            // Malformed ranges are passed over.
            ("image/webp;q=2, image/png", png),
            ("image/webp;q=0.1234, image/png", png),
            ("webp, */webp, image/, image/png", png),
            ("", jpeg),
            (",;/", jpeg),
        ] {
            assert_eq!(choose(&[accept]), expected, "{accept}");
        }
        assert_eq!(choose(&[]), jpeg);
        assert_eq!(choose(&["text/html", "image/png"]), png, "two field lines");
        assert_eq!(negotiate(&HeaderMap::new(), &[Offer::if_named("image/webp")]), None);
    }

    proptest! {
        #[test]
        fn any_field_is_survived(accept in "[ -~\u{80}-\u{90}]{0,60}") {
            choose(&[&accept]);
        }

        #[test]
        fn the_best_quality_wins(qualities in prop::collection::vec(0..=1_000_u16, 3)) {
            let say = |q: u16| format!("{}.{:03}", q / 1_000, q % 1_000);
            let accept: Vec<_> = OFFERS.iter().zip(&qualities).map(|(offer, q)| format!("{};q={}", offer.media_type, say(*q))).collect();
            let best = *qualities.iter().max().unwrap();
            let expected = (best > 0).then(|| OFFERS[qualities.iter().position(|q| *q == best).unwrap()].media_type);
            prop_assert_eq!(choose(&[&accept.join(", ")]), expected);
        }
    }
}
