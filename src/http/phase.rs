//! Whether the server is shutting down.

use tokio::sync::watch;

/// Phase of the server's life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving requests.
    Serving,
    /// Shutting down: requests are still served, but readiness is off.
    Draining,
    /// The time to drain is over: requests that are still open get no answer.
    CutOff,
}

/// The server's phase, shared by all requests.
#[derive(Debug)]
pub struct ServerPhase {
    phase: watch::Sender<Phase>,
}

impl Default for ServerPhase {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }
}

impl ServerPhase {
    /// The current phase.
    #[must_use]
    pub fn current(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Starts draining.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Ends draining with requests still open.
    pub fn cut_off(&self) {
        self.phase.send_replace(Phase::CutOff);
    }

    /// Waits until the server drains.
    pub async fn drained(&self) {
        // The sender is owned by `self`, so waiting cannot fail.
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Serving).await;
    }
}
