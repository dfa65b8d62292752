//! Whether the server is shutting down.

use tokio::sync::watch;

/// Phase of the server's life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving requests.
    Serving,
    /// Shutting down: requests are still served, but readiness is off.
    Draining,
}

/// The server's phase, shared by all requests.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: watch::Sender<bool>,
}

impl Readiness {
    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if *self.draining.borrow() { Phase::Draining } else { Phase::Serving }
    }

    /// Starts draining.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until the server drains.
    pub async fn drained(&self) {
        // The sender is owned by `self`, so waiting cannot fail.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }
}
