//! All open connections. Selects the one to close for a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::activity::Activity;

/// All open connections.
#[derive(Debug, Clone)]
pub(in super::super) struct OpenConnections {
    most: usize,
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
    dismissed: Arc<Notify>,
}

/// A connection's slot, released when it is dropped.
#[derive(Debug)]
pub(in super::super) struct ConnectionSlot {
    connections: OpenConnections,
    number: u64,
    pub(super) activity: Arc<Activity>,
    /// Notified when another connection takes the slot.
    pub(super) dismissed: Arc<Notify>,
}

impl OpenConnections {
    /// At most `most` connections.
    pub(in super::super) fn new(most: usize) -> Self {
        Self { most, state: Arc::default() }
    }

    /// A slot for a new connection. If none is free, the connection that has been idle longest is dismissed;
    /// `None` if every connection has an open request.
    pub(in super::super) fn enter(&self) -> Option<ConnectionSlot> {
        let mut state = self.lock();
        if state.members.len() >= self.most {
            let idle = state.members.iter().filter_map(|(number, member)| {
                member.activity.idle_since().map(|since| (since, *number))
            });
            let (_, longest) = idle.min()?;
            if let Some(member) = state.members.remove(&longest) {
                member.dismissed.notify_one();
            }
        }
        let (activity, dismissed) = (Arc::<Activity>::default(), Arc::<Notify>::default());
        let number = state.next;
        state.next += 1;
        let member = Member { activity: Arc::clone(&activity), dismissed: Arc::clone(&dismissed) };
        state.members.insert(number, member);
        drop(state);
        Some(ConnectionSlot { connections: self.clone(), number, activity, dismissed })
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
    fn only_the_connection_that_is_idle_longest_is_dismissed() {
        let open = OpenConnections::new(2);
        let first = open.enter().unwrap();
        let request = first.activity.begin();
        let second = open.enter().unwrap();
        let third = open.enter().expect("the second one is dismissed");
        let dismissed = |place: &ConnectionSlot| !open.lock().members.contains_key(&place.number);
        assert!(dismissed(&second) && !dismissed(&first));
        let other = third.activity.begin();
        assert!(open.enter().is_none(), "both have a request");
        drop(request);
        drop(other);
        let fourth = open
            .enter()
            .expect("the first one is dismissed: its request ended before that of the third");
        assert!(dismissed(&first) && !dismissed(&third));
        drop((first, second, third, fourth));
        assert!(open.lock().members.is_empty());
    }
}
