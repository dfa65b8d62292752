//! All open connections. At the limit, evicts the one that has been idle longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::activity::Activity;
use crate::telemetry::Metrics;

/// All open connections.
#[derive(Debug, Clone)]
pub(in super::super) struct OpenConnections {
    limit: usize,
    metrics: Arc<Metrics>,
    state: Arc<Mutex<ConnectionTable>>,
}

#[derive(Debug, Default)]
struct ConnectionTable {
    members: HashMap<u64, Member>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    activity: Arc<Activity>,
    evicted: Arc<Notify>,
}

/// A connection's slot, released when it is dropped.
#[derive(Debug)]
pub(in super::super) struct ConnectionSlot {
    connections: OpenConnections,
    number: u64,
    pub(super) activity: Arc<Activity>,
    /// Notified when another connection takes the slot.
    pub(super) evicted: Arc<Notify>,
}

impl OpenConnections {
    /// At most `limit` connections; evicted ones are counted in `metrics`.
    pub(in super::super) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { limit, metrics, state: Arc::default() }
    }

    /// A slot for a new connection. If none is free, the connection that has been idle longest is evicted;
    /// `None` if every connection has an open request.
    pub(in super::super) fn enter(&self) -> Option<ConnectionSlot> {
        let mut state = self.lock();
        if state.members.len() >= self.limit {
            let idle = state.members.iter().filter_map(|(number, member)| {
                member.activity.idle_since().map(|since| (since, *number))
            });
            let (_, longest) = idle.min()?;
            if let Some(member) = state.members.remove(&longest) {
                member.evicted.notify_one();
                self.metrics.evicted_connections.inc();
            }
        }
        let (activity, evicted) = (Arc::<Activity>::default(), Arc::<Notify>::default());
        let number = state.next;
        state.next += 1;
        let member = Member { activity: Arc::clone(&activity), evicted: Arc::clone(&evicted) };
        state.members.insert(number, member);
        drop(state);
        Some(ConnectionSlot { connections: self.clone(), number, activity, evicted })
    }

    /// Each change is a single step, so the members are valid even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.lock().members.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connection_that_is_idle_longest_is_evicted() {
        let metrics = Arc::new(Metrics::new());
        let open = OpenConnections::new(2, Arc::clone(&metrics));
        let first = open.enter().unwrap();
        let request = first.activity.begin();
        let second = open.enter().unwrap();
        let third = open.enter().expect("the second one is evicted");
        let evicted = |place: &ConnectionSlot| !open.lock().members.contains_key(&place.number);
        assert!(evicted(&second) && !evicted(&first));
        assert_eq!(metrics.evicted_connections.get(), 1);
        let other = third.activity.begin();
        assert!(open.enter().is_none(), "both have a request");
        drop(request);
        drop(other);
        let fourth = open
            .enter()
            .expect("the first one is evicted: its request ended before that of the third");
        assert!(evicted(&first) && !evicted(&third));
        assert_eq!(metrics.evicted_connections.get(), 2, "a rejected connection evicts none");
        drop((first, second, third, fourth));
        assert!(open.lock().members.is_empty());
    }
}
