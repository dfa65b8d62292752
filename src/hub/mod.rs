//! Models by their name on the Hugging Face hub: fetched once, checked, and kept where every program
//! of that world keeps them.
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
mod download; // one file: resume, check, put in place

use std::path::PathBuf;

use cache::Cache;
use remote::{Remote, RemoteFile};

pub use error::HubError;
pub use id::HubId;

/// Where models come from and where they are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Its address, `https://huggingface.co` or a mirror of it.
    pub endpoint: String,
    /// What opens private and gated repositories.
    pub token: Option<String>,
    /// The folder of `models--owner--name` folders.
    pub cache: PathBuf,
    /// Whether to stay off the network.
    pub offline: bool,
}

/// What happens while a model is fetched, for who waits.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A file is about to come.
    Started {
        /// Its name.
        file: &'a str,
        /// Its size in bytes.
        bytes: u64,
        /// How much of it was here already.
        have: u64,
    },
    /// So many bytes more of it came.
    Received(u64),
    /// The connection was lost or refused, and is tried again.
    Retrying(&'a HubError),
    /// The hub cannot be asked, so what was fetched earlier is used.
    Unreachable(&'a HubError),
}

impl Hub {
    /// The folder with the model's files, fetched where they are not here yet.
    ///
    /// A revision that is a commit and is here is not asked for again. Where the hub cannot be
    /// reached, the revision that was fetched last is used, and `tell` hears of it.
    ///
    /// # Errors
    ///
    /// [`HubError`], which says what to do.
    pub fn fetch(&self, id: &HubId, tell: &mut dyn FnMut(Event)) -> Result<PathBuf, HubError> {
        let cache = Cache::of(&self.cache, id);
        if id.is_commit()
            && let Some(snapshot) = cache.complete(&id.revision)
        {
            return Ok(snapshot);
        }
        let kept = || cache.commit_of(&id.revision).and_then(|commit| cache.complete(&commit));
        if self.offline {
            let folder = cache.folder().to_owned();
            return kept().ok_or_else(|| HubError::Offline { id: id.clone(), folder });
        }
        let remote = Remote::new(&self.endpoint, self.token.as_deref());
        let listing = match (remote.list(id), kept()) {
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
        cache.complete(commit).ok_or_else(|| HubError::Incomplete { id: id.clone() })
    }
}
