//! The connections that are served: how many there are, and which one is closed when one more comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::activity::Activity;

/// Every connection that is served.
#[derive(Debug, Clone)]
pub(in super::super) struct Roster {
    most: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    members: HashMap<u64, Member>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    activity: Arc<Activity>,
    dismissed: Arc<Notify>,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(in super::super) struct Place {
    roster: Roster,
    number: u64,
    pub(super) activity: Arc<Activity>,
    /// Told when another connection has the place.
    pub(super) dismissed: Arc<Notify>,
}

impl Roster {
    /// Of at most `most` connections.
    pub(in super::super) fn new(most: usize) -> Self {
        Self { most, state: Arc::default() }
    }

    /// A place for one more. Where all are taken, the connection that has been without a request for longest
    /// loses its place and is told so; `None` where every one has a request.
    pub(in super::super) fn enter(&self) -> Option<Place> {
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
        Some(Place { roster: self.clone(), number, activity, dismissed })
    }

    /// Members are added and removed in one step each, so a poisoned lock still guards true ones.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.roster.lock().members.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_is_idle_for_longest_makes_room_and_a_busy_one_never_does() {
        let roster = Roster::new(2);
        let first = roster.enter().unwrap();
        let request = first.activity.begin();
        let second = roster.enter().unwrap();
        let third = roster.enter().expect("the second one makes room");
        let dismissed = |place: &Place| !roster.lock().members.contains_key(&place.number);
        assert!(dismissed(&second) && !dismissed(&first));
        let other = third.activity.begin();
        assert!(roster.enter().is_none(), "both have a request");
        drop(request);
        drop(other);
        let fourth = roster.enter().expect("the first one makes room: it ended before the third");
        assert!(dismissed(&first) && !dismissed(&third));
        drop((first, second, third, fourth));
        assert!(roster.lock().members.is_empty());
    }
}
