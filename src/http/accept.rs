//! Content negotiation by `Accept`: RFC 9110, section 12.5.1.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// The preferred one of `offers` according to `Accept`, the first of equal ones. Without the header, or if it
/// accepts none of them, the first, because an answer in another format is better than none.
pub(super) fn best(headers: &HeaderMap, offers: &[&'static str]) -> &'static str {
    let accepted: Vec<(&str, f32)> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(range)
        .collect();
    let mut best = (offers[0], 0.0);
    for offer in offers {
        let quality = quality(offer, &accepted);
        if quality > best.1 {
            best = (offer, quality);
        }
    }
    best.0
}

/// Indicates to caches that the answer depends on `Accept`.
pub(super) fn vary(response: &mut Response) {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
}

/// Parses `text/html;level=1;q=0.5` to `("text/html", 0.5)`.
fn range(typed: &str) -> (&str, f32) {
    let mut parts = typed.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (range, quality.unwrap_or(1.0))
}

/// Quality of the most specific range that contains `offer`; 0 if no range does.
fn quality(offer: &str, accepted: &[(&str, f32)]) -> f32 {
    let whole_type = offer.split_once('/').map_or(offer, |(main, _)| main);
    let matches = |range: &str| match range.strip_suffix("/*") {
        _ if range.eq_ignore_ascii_case(offer) => Some(2),
        Some("*") => Some(0),
        Some(main) if main.eq_ignore_ascii_case(whole_type) => Some(1),
        _ => None,
    };
    accepted
        .iter()
        .filter_map(|(range, quality)| Some((matches(range)?, *quality)))
        .max_by_key(|(specific, _)| *specific)
        .map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_chosen_or_else_the_first() {
        const OFFERS: &[&str] = &["application/json", "image/png"];
        for (accept, expected) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("image/png", "image/png"),
            ("image/*", "image/png"),
            ("IMAGE/PNG", "image/png"),
            ("image/png, */*", "application/json"),
            ("image/png, */*;q=0.8", "image/png"),
            ("application/json;q=0.1, image/*;q=0.5", "image/png"),
            ("image/png;q=0, */*", "application/json"),
            ("text/html", "application/json"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(best(&headers, OFFERS), expected, "Accept: {accept}");
        }
        assert_eq!(best(&HeaderMap::new(), OFFERS), "application/json");
    }
}
