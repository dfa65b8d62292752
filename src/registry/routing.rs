//! How requests for a model are distributed: canary, fallback and shadow.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::Version;

/// How requests for a model are distributed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoutingPolicy {
    /// A new version that answers a fraction of the requests.
    pub canary: Option<Canary>,
    /// The version that answers instead of the highest one, such as the old one after a rollback.
    pub pinned: Option<Version>,
    /// The model that answers during overload.
    pub when_busy: Option<WhenBusy>,
    /// The model that classifies the same images for comparison.
    pub shadow: Option<ShadowPlan>,
}

/// A new version on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The version on trial.
    pub version: Version,
    /// The fraction of requests that it answers, 0 to 1.
    pub share: f64,
    /// Conditions under which the trial ends automatically.
    pub auto: Option<AutoPromotion>,
}

/// Conditions for promoting a canary. It is rolled back as soon as one of them cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct AutoPromotion {
    /// Number of requests that the canary must have answered, and of images that must have been compared if
    /// agreement is a condition.
    pub requests: u64,
    /// The minimum fraction of images for which the canary and the other version have the same most probable
    /// class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub min_agreement: Option<f64>,
    /// The maximum difference between the canary's rate of internal errors and that of the other version.
    pub max_error_increase: f64,
}

/// A cheaper model that answers during overload (brown-out).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhenBusy {
    /// The model's name.
    pub model: String,
    /// It answers if the predicted wait is longer than this.
    pub after: Duration,
}

/// A comparison with another model on live images.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowPlan {
    /// The other model's name.
    pub model: String,
    /// Its version; `None` for the highest one.
    pub version: Option<Version>,
    /// The fraction of answered images that are compared, 0 to 1.
    pub share: f64,
}

/// The result of a canary's trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The canary answers all requests.
    Promote,
    /// The canary answers no requests.
    RollBack,
}
