//! The origin of a request: set by the listener and the outermost layer, and passed on with its
//! images.

use std::net::IpAddr;

use axum::http::Extensions;

use crate::pipeline::queue::{ClientKey, Origin};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Of this connection.
    pub(super) key: ClientKey,
}

/// The client of a request, until a layer knows better; without the listener, as in tests, all requests
/// have the same client.
pub(super) fn client(extensions: &Extensions) -> ClientKey {
    match (extensions.get::<Origin>(), extensions.get::<Peer>()) {
        (Some(origin), _) => origin.client,
        (None, Some(peer)) => peer.key,
        (None, None) => Origin::local().client,
    }
}

/// The request's origin, as [`layers`](super::layers) has put it there.
pub(super) fn of(extensions: &Extensions) -> Origin {
    extensions.get::<Origin>().cloned().unwrap_or_else(Origin::local)
}
