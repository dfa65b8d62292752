//! Downloads models from the Hugging Face hub, checks their hashes, and stores them in the cache that
//! `huggingface_hub` uses.
//!
//! ```text
//! owner/name@revision ─► listing ─► the files that a model needs ─► snapshot folder
//!       id               remote      choice                         cache, download
//! ```

mod id; // owner/name@revision
mod error;
mod choice; // which files of a repository
mod remote; // the hub's protocol
mod cache; // the folder layout, shared with huggingface_hub
mod download; // downloads one file

use std::path::PathBuf;

use cache::Cache;
use remote::{HubClient, RemoteFile};

pub use error::HubError;
pub use id::HubId;

/// The hub and the cache.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The address of the hub, `https://huggingface.co` or a mirror.
    pub endpoint: String,
    /// The token for private and gated repositories.
    pub token: Option<String>,
    /// The folder of `models--owner--name` folders.
    pub cache: PathBuf,
    /// Whether downloads are disabled.
    pub offline: bool,
}

/// Progress of a download.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The download of a file begins.
    Started {
        /// Its name.
        file: &'a str,
        /// Its size in bytes.
        bytes: u64,
        /// Bytes that were downloaded before.
        have: u64,
    },
    /// This many more bytes were received.
    Received(u64),
    /// The connection was lost or refused; the download is tried again.
    Retrying(&'a HubError),
    /// The hub cannot be reached, so an earlier download is used.
    Unreachable(&'a HubError),
}

impl Hub {
    /// The folder with the model's files; missing ones are downloaded.
    ///
    /// If the revision is a commit that was downloaded before, the hub is not contacted. If the hub cannot be reached,
    /// the last download of the revision is used and reported to `tell`, also one of another program that may lack
    /// files other than the weights.
    ///
    /// # Errors
    ///
    /// [`HubError`], with the remedy.
    pub fn fetch(&self, id: &HubId, tell: &mut dyn FnMut(Event)) -> Result<PathBuf, HubError> {
        let cache = Cache::of(&self.cache, id);
        if id.is_commit()
            && let Some(snapshot) = cache.complete(&id.revision)
        {
            return Ok(snapshot);
        }
        if self.offline {
            let folder = cache.folder().to_owned();
            return cache.last(id).ok_or_else(|| HubError::Offline { id: id.clone(), folder });
        }
        let remote = HubClient::new(&self.endpoint, self.token.as_deref());
        let listing = match (remote.list(id), cache.last(id)) {
            (Err(error), Some(snapshot)) if error.is_passing() => {
                tell(Event::Unreachable(&error));
                return Ok(snapshot);
            }
            (Err(error), None) if error.is_passing() => {
                tell(Event::Retrying(&error));
                download::patiently(tell, |_| remote.list(id))?
            }
            (listing, _) => listing?,
        };
        let commit = &listing.commit;
        let choice = choice::choose(id, &listing.files)?;
        let wanted = choice.first.iter().chain(&choice.weights);
        for file in wanted.filter(|file| !cache.has(commit, file)) {
            download::file(&remote, &cache, RemoteFile { id, commit, path: file }, tell)?;
        }
        cache.remember(&id.revision, commit)?;
        let snapshot = cache.with_weights(commit);
        let snapshot = snapshot.ok_or_else(|| HubError::Incomplete { id: id.clone() })?;
        cache.set_complete(commit);
        Ok(snapshot)
    }
}
