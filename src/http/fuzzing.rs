//! What the fuzz targets in `fuzz/` do with any bytes (`imaging::fuzzing` says more): header fields that are negotiated.

use http::header::{ACCEPT, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::accept::{Offer, negotiate};
use super::conditional::EntityTag;
use super::range::{Selection, select};
use crate::model::BlobHash;

/// As many fields as there are lines; what cannot stand in one is left out.
fn fields(name: &HeaderName, bytes: &[u8]) -> HeaderMap {
    let values = bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

/// `Accept`, a field a line: what is chosen was offered, and several fields say what one does (RFC 9110, section 5.3).
pub fn accept(bytes: &[u8]) {
    let offers = [Offer::if_named("image/avif"), Offer::if_named("image/webp"), Offer::anyone("image/jpeg"), Offer::anyone("image/png")];
    let headers = fields(&ACCEPT, bytes);
    let chosen = negotiate(&headers, &offers);
    assert!(chosen.is_none_or(|chosen| ["image/avif", "image/webp", "image/jpeg", "image/png"].contains(&chosen)), "{chosen:?}");
    let lines: Option<Vec<&str>> = headers.get_all(ACCEPT).iter().map(|value| value.to_str().ok()).collect();
    // A quote that is never closed ends with its field.
    if let Some(lines) = lines.filter(|lines| !lines.iter().any(|line| line.contains('"'))) {
        let joined = fields(&ACCEPT, lines.join(", ").as_bytes());
        assert_eq!(negotiate(&joined, &offers), chosen, "{lines:?}");
    }
    let only = negotiate(&headers, &[Offer::anyone("image/jpeg")]);
    assert!(only.is_none() || chosen.is_some(), "who takes one of them takes one of more: {headers:?}");
}

/// `Range`, a field a line, of a representation whose size the first eight bytes say: a part lies within it.
pub fn range(bytes: &[u8]) {
    let (size, fields_bytes) = bytes.split_first_chunk::<8>().map_or((0, bytes), |(size, rest)| (u64::from_be_bytes(*size), rest));
    let tag = EntityTag::of_blob(&BlobHash::of(b"photo"));
    let headers = fields(&RANGE, fields_bytes);
    assert_eq!(select(&Method::HEAD, &headers, &tag, size), Selection::Whole);
    match select(&Method::GET, &headers, &tag, size) {
        Selection::Part(part) => {
            assert!(part.first <= part.last && part.last < size, "{part:?} of {size}");
            // Asked for as it is sent, it is the same part.
            let said = format!("bytes={}-{}", part.first, part.last);
            assert_eq!(select(&Method::GET, &fields(&RANGE, said.as_bytes()), &tag, size), Selection::Part(part));
            assert!(part.content_range(size).to_str().is_ok_and(|field| field.starts_with("bytes ")));
        }
        Selection::Whole | Selection::Unsatisfiable => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::seeds::run;

    #[test]
    fn targets_of_fields_hold_for_their_seeds() {
        run(super::accept, &["fuzz/seeds/accept"]);
        run(super::range, &["fuzz/seeds/range"]);
    }
}
