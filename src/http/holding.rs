//! Bytes that count under the memory limit until they are dropped.

use std::sync::Arc;

use bytes::Bytes;

use crate::pipeline::queue::Reservation;

/// `bytes` that count under the memory limit until they are dropped.
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
