//! The state of one version of a model.

use std::sync::Arc;

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{LoadWhen, Served};

/// One version in the registry.
#[derive(Debug, Default)]
pub struct Entry {
    serving: Option<Arc<Served>>,
    is_loading: bool,
    /// Why the last load failed, or why the version does not serve.
    reason: String,
    /// Whether the first request loads it.
    is_on_demand: bool,
}

/// The state of one version, as in `/v1/models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// It answers requests.
    Ready {
        /// Why the last attempt to replace it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is being loaded.
    Loading,
    /// It does not answer requests.
    Unavailable {
        /// The reason.
        reason: String,
    },
}

/// One object for all states, because generated clients cannot read a choice of objects inside another object.
impl PartialSchema for State {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let state = text().enum_values(Some(["ready", "loading", "unavailable"]));
        let reason = text().description(Some(
            "Why it is unavailable; or, if it is ready, why the last attempt to replace it failed",
        ));
        ObjectBuilder::new()
            .property("state", state)
            .required("state")
            .property("reason", reason)
            .description(Some("The state of one version."))
            .into()
    }
}

impl ToSchema for State {}

impl State {
    /// Triton's name for the state.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "READY",
            Self::Loading => "LOADING",
            Self::Unavailable { .. } => "UNAVAILABLE",
        }
    }

    /// The reason, or an empty string.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Ready { reason } => reason.as_deref().unwrap_or_default(),
            Self::Loading => "it is being loaded",
            Self::Unavailable { reason } => reason,
        }
    }
}

impl Entry {
    /// The version, if it answers requests.
    #[must_use]
    pub fn serving(&self) -> Option<&Arc<Served>> {
        self.serving.as_ref()
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        let reason = Some(self.reason.clone()).filter(|reason| !reason.is_empty());
        match (&self.serving, self.is_loading) {
            (Some(_), _) => State::Ready { reason },
            (None, true) => State::Loading,
            (None, false) => State::Unavailable { reason: self.reason.clone() },
        }
    }

    /// Whether it is not loaded and the next request would load it.
    #[must_use]
    pub fn waits_for_a_request(&self) -> bool {
        self.is_on_demand && self.serving.is_none()
    }

    /// Lists it as loaded when it is needed; without a serving version, `reason` says why.
    pub(super) fn list(&mut self, load: LoadWhen, reason: &str) {
        self.is_on_demand = load == LoadWhen::OnDemand;
        if self.serving.is_none() && self.reason.is_empty() {
            reason.clone_into(&mut self.reason);
        }
    }

    pub(super) fn load(&mut self) {
        self.is_loading = true;
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.is_loading = false;
        self.reason = reason;
    }

    pub(super) fn serve(&mut self, served: Arc<Served>) -> Option<Arc<Served>> {
        self.is_loading = false;
        self.reason.clear();
        self.serving.replace(served)
    }

    pub(super) fn unload(&mut self, reason: &str) -> Option<Arc<Served>> {
        self.is_loading = false;
        reason.clone_into(&mut self.reason);
        self.serving.take()
    }
}
