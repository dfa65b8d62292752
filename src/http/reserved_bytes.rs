//! Bytes with an attached reservation of memory.

use std::sync::Arc;

use bytes::Bytes;

use crate::pipeline::queue::Reservation;

/// Attaches a reservation to `bytes`, which is released when they are dropped.
pub(super) fn holding(bytes: Bytes, held: &Arc<Reservation>) -> Bytes {
    struct Holding {
        bytes: Bytes,
        _held: Arc<Reservation>,
    }
    impl AsRef<[u8]> for Holding {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Holding { bytes, _held: Arc::clone(held) })
}
