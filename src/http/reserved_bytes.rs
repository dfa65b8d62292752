//! Bytes with an attached reservation of memory.

use std::sync::Arc;

use bytes::Bytes;

use crate::pipeline::queue::Reservation;

/// Attaches a reservation to `bytes`, which is released when they are dropped.
pub(super) fn with_reservation(bytes: Bytes, held: &Arc<Reservation>) -> Bytes {
    struct ReservedBytes {
        bytes: Bytes,
        _held: Arc<Reservation>,
    }
    impl AsRef<[u8]> for ReservedBytes {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(ReservedBytes { bytes, _held: Arc::clone(held) })
}
