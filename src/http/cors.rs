//! Cross-origin resource sharing: allows web pages of other origins to use the server from a browser.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::{Origin, Url};

/// How long browsers may cache the permission.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Request headers that scripts may set, in addition to those that browsers always allow.
const REQUEST_HEADERS: [HeaderName; 9] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-priority"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-request-timeout-ms"),
    HeaderName::from_static("traceparent"),
];

/// Response headers that scripts may read.
const RESPONSE_HEADERS: [HeaderName; 9] = [
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    header::ACCEPT_ENCODING,
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-model-digest"),
    HeaderName::from_static("x-model-fallback-for"),
    HeaderName::from_static("x-model-name"),
    HeaderName::from_static("x-model-version"),
    HeaderName::from_static("x-request-id"),
];

/// An allowed origin, or `*` for every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(HeaderValue);

/// Text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not an origin; use one such as https://photos.example.org, without a path, or *")]
pub struct BadOrigin;

impl FromStr for AllowedOrigin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "*" {
            return Ok(Self(HeaderValue::from_static("*")));
        }
        let url = Url::parse(text).map_err(|_| BadOrigin)?;
        let origin = match url.origin() {
            origin @ Origin::Tuple(..) => origin.ascii_serialization(),
            Origin::Opaque(_) => return Err(BadOrigin),
        };
        // A URL with a path, a query or a user is not an origin.
        if url.as_str().trim_end_matches('/') != origin {
            return Err(BadOrigin);
        }
        HeaderValue::from_str(&origin).map(Self).map_err(|_| BadOrigin)
    }
}

/// The layer that allows `origins`; `None` without any.
pub(super) fn layer(origins: &[AllowedOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let any = origins.iter().any(|AllowedOrigin(origin)| origin == "*");
    let origins = if any {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().map(|AllowedOrigin(origin)| origin.clone()))
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_normalized_to_the_form_that_browsers_send() {
        let read = |text: &str| text.parse::<AllowedOrigin>().map(|AllowedOrigin(value)| value);
        assert_eq!(read("https://Photos.example.org:443/").unwrap(), "https://photos.example.org");
        assert_eq!(read("http://localhost:3000").unwrap(), "http://localhost:3000");
        assert_eq!(read("*").unwrap(), "*");
        for wrong in ["", "example.org", "https://example.org/a", "https://u@example.org", "data:x"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
