//! Why no model can answer a request.

use super::Version;

/// Why no model can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// The request names no model, and the server has no default model.
    #[error("the request names no model, and this server has no default model; name one of {} in the path, as in /v1/models/{{name}}/classify", listed(.models))]
    NoDefault {
        /// The models, ready or not.
        models: Vec<String>,
    },
    /// There is no model of this name.
    #[error("there is no model {name:?}; this server serves {}", listed(.models))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The models, ready or not.
        models: Vec<String>,
    },
    /// The model has no such version.
    #[error("the model {name:?} has no version {version:?}; its versions are {}", listed(.versions))]
    UnknownVersion {
        /// The model's name.
        name: String,
        /// The version in the request.
        version: String,
        /// Its versions, ready or not.
        versions: Vec<String>,
    },
    /// An on-demand model that is not loaded.
    #[error("the model {name:?} is not loaded; the next request for it loads it")]
    OnDemand {
        /// The model's name.
        name: String,
        /// The version that is to be loaded; any if `None`.
        version: Option<Version>,
    },
    /// The model is being loaded.
    #[error("the model {name:?} is still being loaded; retry")]
    Loading {
        /// The model's name.
        name: String,
    },
    /// The model was unloaded, its last load failed, or only an operator loads it.
    #[error(
        "the model {name:?} is not available: {reason}; a retry helps only after an operator has loaded or \
         repaired it"
    )]
    Unavailable {
        /// The model's name.
        name: String,
        /// The reason.
        reason: String,
    },
}

fn listed(names: &[String]) -> String {
    const MAX_NAMES: usize = 20;
    if names.is_empty() {
        return "no model".to_owned();
    }
    let mut quoted: Vec<_> = names.iter().take(MAX_NAMES).map(|name| format!("{name:?}")).collect();
    if names.len() > MAX_NAMES {
        quoted.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    quoted.join(", ")
}
