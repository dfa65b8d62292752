//! The memory limit for open requests over all HTTP/2 connections, in addition to admission control.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that every connection may hold: one request with up to 8 KiB of headers.
const FREE: usize = 32 << 10;

/// Bytes that all connections together may hold in addition: about 2,000 requests.
const SHARED: usize = 32 << 20;

/// The shared memory.
#[derive(Debug, Clone)]
pub(in super::super) struct Pool {
    left: Arc<AtomicUsize>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { left: Arc::new(AtomicUsize::new(SHARED)) }
    }
}

/// One connection's part of a [`Pool`], returned on drop.
#[derive(Debug)]
pub(super) struct PoolShare {
    pool: Pool,
    taken: usize,
}

impl PoolShare {
    pub(super) fn of(pool: Pool) -> Self {
        Self { pool, taken: 0 }
    }

    /// Changes the part to `bytes`; false if the pool does not have them.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(FREE);
        let left = &self.pool.left;
        if wanted > self.taken {
            let more = wanted - self.taken;
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            if left.fetch_update(set, fetch, |left| left.checked_sub(more)).is_err() {
                return false;
            }
        } else {
            left.fetch_add(self.taken - wanted, Ordering::Relaxed);
        }
        self.taken = wanted;
        true
    }
}

impl Drop for PoolShare {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_pool_and_return_their_part() {
        let pool = Pool::default();
        let (mut first, mut second) = (PoolShare::of(pool.clone()), PoolShare::of(pool.clone()));
        assert!(first.hold(FREE + SHARED));
        assert!(second.hold(FREE) && !second.hold(FREE + 1));
        assert!(first.hold(FREE + SHARED - 1));
        assert!(second.hold(FREE + 1));
        drop(first);
        assert!(second.hold(FREE + SHARED));
        drop(second);
        assert_eq!(pool.left.load(Ordering::Relaxed), SHARED);
    }
}
