//! The valid keys, read from the file at start and whenever it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, HeaderName, header};

use super::keys::{BadKeys, KeyClient, Keys};
use crate::http::problem::Problem;
use crate::http::reload::{Reload, WatchedFiles};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The keys of the last valid version of the file.
#[derive(Debug)]
pub struct KeyRing {
    path: PathBuf,
    files: WatchedFiles,
    keys: RwLock<Arc<Keys>>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoKeys {
    /// It cannot be read.
    #[error("--api-keys {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Lines are invalid.
    #[error("--api-keys {}: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The invalid lines.
        source: BadKeys,
    },
}

impl KeyRing {
    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// [`NoKeys`] if it cannot be read or has an invalid line.
    pub fn open(path: &Path) -> Result<Self, NoKeys> {
        let files = WatchedFiles::new(vec![path.to_owned()]);
        let keys = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), files, keys })
    }

    /// The client whose key is in `headers`.
    pub(super) fn client(&self, headers: &HeaderMap) -> Result<Arc<KeyClient>, Problem> {
        let key = named(headers).ok_or_else(Problem::no_api_key)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        keys.client(key).ok_or_else(Problem::unknown_api_key)
    }
}

fn read(path: &Path) -> Result<Keys, NoKeys> {
    let text = fs::read_to_string(path)
        .map_err(|source| NoKeys::Unreadable { path: path.to_owned(), source })?;
    Keys::read(&text).map_err(|source| NoKeys::Invalid { path: path.to_owned(), source })
}

/// The key in `Authorization: Bearer KEY`, otherwise that in `X-API-Key`.
fn named(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().find_map(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| headers.get(API_KEY).map(|value| value.as_bytes().trim_ascii()))
}

impl Reload for KeyRing {
    fn files(&self) -> &WatchedFiles {
        &self.files
    }

    fn reload(&self) {
        match read(&self.path) {
            Ok(keys) => {
                let count = keys.len();
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                tracing::info!(path = %self.path.display(), count, "API keys reloaded");
            }
            Err(error) => {
                tracing::error!(%error, "API keys not reloaded; the previous ones stay valid");
            }
        }
    }
}
