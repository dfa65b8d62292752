//! Limits for the headers of a request, in all versions of HTTP.

/// Maximum size of the request line and the headers, in bytes.
pub(super) const MAX_HEADERS: usize = 32 << 10;

/// Maximum number of headers; hyper has the same limit for HTTP/1.1.
pub(super) const MAX_FIELDS: usize = 100;
