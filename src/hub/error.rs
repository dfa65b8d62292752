//! Errors of downloads from the hub, with the remedy.

use std::io;
use std::path::PathBuf;

use super::HubId;

/// Why a model cannot be downloaded from the hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The hub denies access to the repository.
    #[error(
        "{id}: the hub answers {status} to {url}: {}\nhint: {}",
        said.as_deref().unwrap_or("access refused"),
        if *has_token { "the token has no access; request access on the model's page, or use another token" }
        else { "a private or gated model needs HF_TOKEN; otherwise check the spelling" }
    )]
    Refused {
        /// The requested model.
        id: HubId,
        /// 401 or 403.
        status: u16,
        /// The address.
        url: String,
        /// The error message of the hub.
        said: Option<String>,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// There is no such repository, revision or file.
    #[error(
        "{id}: {url} does not exist: {}\n\
         hint: check the spelling of owner, name and revision",
        said.as_deref().unwrap_or("not found")
    )]
    NotFound {
        /// The requested model.
        id: HubId,
        /// The address.
        url: String,
        /// The error message of the hub.
        said: Option<String>,
    },
    /// The repository contains no supported model.
    #[error("{id} contains no model; looked for {}", looked_for.join(", "))]
    NoModel {
        /// The requested model.
        id: HubId,
        /// The names of files that were looked for.
        looked_for: Vec<String>,
    },
    /// The hub cannot be reached, or sends an invalid response.
    #[error(
        "{url} cannot be downloaded: {reason}\n\
         hint: the next start resumes the download; HF_ENDPOINT sets a mirror, HTTPS_PROXY a proxy"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// The cause.
        reason: String,
    },
    /// The downloaded file does not have the size or hash that the hub announced.
    #[error(
        "{file} of {id} is damaged: its {kind} is {found}, expected {expected}; it was deleted\n\
         hint: start again; if the error persists, a proxy or mirror changes the file"
    )]
    Damaged {
        /// The requested model.
        id: String,
        /// Which file.
        file: String,
        /// The property that differs: SHA-256, git hash or size.
        kind: &'static str,
        /// The announced value.
        expected: String,
        /// The actual value.
        found: String,
    },
    /// Downloads are disabled, and the model is not in the cache.
    #[error(
        "{id} is not in {}, and --hub-offline (HF_HUB_OFFLINE) is set\n\
         hint: start once without it", folder.display()
    )]
    Offline {
        /// The requested model.
        id: HubId,
        /// The folder where it would be.
        folder: PathBuf,
    },
    /// All files were downloaded, but the model is not complete.
    #[error(
        "{id}: its index names parts of the weights that the repository does not have\n\
         hint: report it to the model's author, or use another revision: {}@REVISION", id.repository
    )]
    Incomplete {
        /// The requested model.
        id: HubId,
    },
    /// A file in the cache cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    CacheRead {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The cache cannot be written.
    #[error(
        "cannot write {}: {source}\nhint: HF_HUB_CACHE sets another folder", path.display()
    )]
    Cache {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl HubError {
    /// Whether the error may be temporary, or caused by the local network.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
