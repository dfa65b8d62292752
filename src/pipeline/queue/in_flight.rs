//! Images in flight, by client.

use std::collections::HashMap;
use std::time::Duration;

use super::{ClientKey, Lane, Priority, QueueLoad};

/// All images in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) images: usize,
    /// By client and priority class.
    pub(super) clients: HashMap<(ClientKey, Priority), ClientLoad>,
}

/// One client's images in flight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientLoad {
    pub(super) quick: QueueLoad,
    pub(super) slow: QueueLoad,
}

impl ClientLoad {
    pub(super) fn of(&self, lane: Lane) -> QueueLoad {
        match lane {
            Lane::Quick => self.quick,
            Lane::Slow => self.slow,
        }
    }

    fn of_mut(&mut self, lane: Lane) -> &mut QueueLoad {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }

    fn images(&self) -> usize {
        self.quick.images + self.slow.images
    }
}

impl InFlight {
    pub(super) fn images_of(&self, client: ClientKey) -> usize {
        let of = |priority| self.clients.get(&(client, priority)).map_or(0, ClientLoad::images);
        Priority::ALL.into_iter().map(of).sum()
    }

    /// Whether an image of `client` may displace another one: an interactive image any batch image, otherwise an image of a
    /// client that has at least two more.
    pub(super) fn may_displace(&self, client: ClientKey, priority: Priority) -> bool {
        let most = |class| {
            let of_class = self.clients.iter().filter(|((_, other), _)| *other == class);
            of_class.map(|(_, load)| load.images()).max().unwrap_or(0)
        };
        let is_first = priority == Priority::Interactive && most(Priority::Batch) > 0;
        is_first || most(priority) > self.images_of(client) + 1
    }

    /// The sum of all clients' images.
    pub(super) fn load(&self) -> QueueLoad {
        let mut all = QueueLoad::default();
        for client in self.clients.values() {
            all.add(client.quick);
            all.add(client.slow);
        }
        all
    }

    /// The sum of all clients' images of [`Lane::Slow`].
    pub(super) fn slow_load(&self) -> QueueLoad {
        let mut slow = QueueLoad::default();
        self.clients.values().for_each(|client| slow.add(client.slow));
        slow
    }

    pub(super) fn enter(&mut self, share: ImageLoad) {
        self.images += 1;
        self.clients.entry(share.key()).or_default().of_mut(share.lane).add(share.load());
    }

    pub(super) fn leave(&mut self, share: ImageLoad) {
        self.images -= 1;
        if let Some(client) = self.clients.get_mut(&share.key()) {
            client.of_mut(share.lane).remove(share.load());
            if client.images() == 0 {
                self.clients.remove(&share.key());
            }
        }
    }
}

/// The contribution of one image in flight to its client's load.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageLoad {
    pub(super) client: ClientKey,
    pub(super) priority: Priority,
    pub(super) lane: Lane,
    pub(super) decode: Duration,
    /// Time in which all workers together would process it, as predicted at admission: its length in the fair queue.
    pub(super) service_time: Duration,
}

impl ImageLoad {
    /// The key under which it is counted.
    pub(super) fn key(&self) -> (ClientKey, Priority) {
        (self.client, self.priority)
    }

    pub(super) fn load(&self) -> QueueLoad {
        QueueLoad::one(self.decode)
    }
}
