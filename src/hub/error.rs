//! What can go wrong on the way to a model, and what to do.

use std::io;
use std::path::PathBuf;

use super::HubId;

/// Why a model cannot be downloaded from the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub does not show the repository to who asks.
    #[error(
        "{id}: the hub answers {status} to {url}: {}\nhint: {}",
        said.as_deref().unwrap_or("access refused"),
        if *has_token { "the token has no access; request access on the model's page, or use another token" }
        else { "a private or gated model needs HF_TOKEN; otherwise check the spelling" }
    )]
    Refused {
        /// What was asked for.
        id: HubId,
        /// 401 or 403.
        status: u16,
        /// The address.
        url: String,
        /// The hub's word.
        said: Option<String>,
        /// Whether a token was shown.
        has_token: bool,
    },
    /// There is no such repository, revision or file.
    #[error(
        "{id}: {url} does not exist: {}\n\
         hint: check the spelling of owner, name and revision",
        said.as_deref().unwrap_or("not found")
    )]
    NotFound {
        /// What was asked for.
        id: HubId,
        /// The address.
        url: String,
        /// The hub's word.
        said: Option<String>,
    },
    /// The repository has no model that can be served.
    #[error("{id} contains no model; looked for {}", looked_for.join(", "))]
    NoModel {
        /// What was asked for.
        id: HubId,
        /// The names.
        looked_for: Vec<String>,
    },
    /// The hub cannot be reached, or answers nonsense.
    #[error(
        "{url} cannot be downloaded: {reason}\n\
         hint: the next start resumes the download; HF_ENDPOINT sets a mirror, HTTPS_PROXY a proxy"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// What came is not what the hub says it is.
    #[error(
        "{file} of {id} is damaged: its {kind} is {found}, expected {expected}; it was deleted\n\
         hint: start again; if the error persists, a proxy or mirror changes the file"
    )]
    Damaged {
        /// What was asked for.
        id: String,
        /// Which file.
        file: String,
        /// What was compared: SHA-256, git hash or size.
        kind: &'static str,
        /// What the hub says.
        expected: String,
        /// What came.
        found: String,
    },
    /// The network is not to be used, and the model is not here.
    #[error(
        "{id} is not in {}, and HF_HUB_OFFLINE is set\n\
         hint: start once without HF_HUB_OFFLINE", folder.display()
    )]
    Offline {
        /// What was asked for.
        id: HubId,
        /// Where it would be.
        folder: PathBuf,
    },
    /// Everything came, and it is no model yet.
    #[error("{id}: its index names parts of the weights that the repository does not have")]
    Incomplete {
        /// What was asked for.
        id: HubId,
    },
    /// The cache cannot be written.
    #[error(
        "cannot write {}: {source}\nhint: HF_HUB_CACHE sets another folder", path.display()
    )]
    Cache {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl HubError {
    /// Whether it may be gone the next time, or may only be so from here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
