//! Images in flight, by client.

use std::collections::HashMap;
use std::time::Duration;

use super::{ClientKey, Lane, QueueLoad};

/// Everything in flight.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) images: usize,
    /// Of clients that have images in flight.
    pub(super) clients: HashMap<ClientKey, ClientLoad>,
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

impl Held {
    pub(super) fn images_of(&self, client: ClientKey) -> usize {
        self.clients.get(&client).map_or(0, ClientLoad::images)
    }

    /// Whether an image of `client` may take the place of another client's, which has more.
    pub(super) fn may_displace(&self, client: ClientKey) -> bool {
        let most = self.clients.values().map(ClientLoad::images).max().unwrap_or(0);
        most > self.images_of(client) + 1
    }

    /// All images of all clients.
    pub(super) fn load(&self) -> QueueLoad {
        let mut all = QueueLoad::default();
        for client in self.clients.values() {
            all.add(client.quick);
            all.add(client.slow);
        }
        all
    }

    pub(super) fn enter(&mut self, share: ImageLoad) {
        self.images += 1;
        self.clients.entry(share.client).or_default().of_mut(share.lane).add(share.load());
    }

    pub(super) fn leave(&mut self, share: ImageLoad) {
        self.images -= 1;
        if let Some(client) = self.clients.get_mut(&share.client) {
            client.of_mut(share.lane).remove(share.load());
            if client.images() == 0 {
                self.clients.remove(&share.client);
            }
        }
    }
}

/// The contribution of one image in flight to its client's load.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageLoad {
    pub(super) client: ClientKey,
    pub(super) lane: Lane,
    pub(super) decode: Duration,
    /// Of all threads together, when it was admitted: its length in the fair queue.
    pub(super) service_time: Duration,
}

impl ImageLoad {
    pub(super) fn load(&self) -> QueueLoad {
        QueueLoad::one(self.decode)
    }
}
