//! The origin of a request, set by the listener and the outermost layer.

use std::net::IpAddr;

use axum::http::Extensions;

use crate::pipeline::queue::{ClientKey, Origin};

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Key of this connection.
    pub(super) key: ClientKey,
}

/// The client of a request before access control identifies it. Without the listener, as in tests, all
/// requests have the same client.
pub(super) fn client(extensions: &Extensions) -> ClientKey {
    match (extensions.get::<Origin>(), extensions.get::<Peer>()) {
        (Some(origin), _) => origin.client,
        (None, Some(peer)) => peer.key,
        (None, None) => Origin::local().client,
    }
}

/// The request's origin, set by [`layers`](super::layers).
pub(super) fn of(extensions: &Extensions) -> Origin {
    extensions.get::<Origin>().cloned().unwrap_or_else(Origin::local)
}
