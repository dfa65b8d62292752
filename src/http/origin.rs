//! The origin of a request: set by the listener and the outermost layer, and passed on with its
//! images.

use axum::http::Extensions;

use crate::pipeline::queue::{ClientKey, Origin};

/// The client of a request; without the listener, as in tests, all requests have the same client.
pub(super) fn client(extensions: &Extensions) -> ClientKey {
    extensions.get::<ClientKey>().map_or(Origin::local().client, |key| *key)
}

/// The request's origin, as [`layers`](super::layers) has put it there.
pub(super) fn of(extensions: &Extensions) -> Origin {
    extensions.get::<Origin>().cloned().unwrap_or_else(Origin::local)
}
