//! Downloads one file of a repository: resumes the last attempt, checks the hash, and moves the file into
//! the cache.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::remote::{About, HubClient, RemoteFile};
use super::{Event, HubError};
use crate::digest::{self, SHA256_DIGITS};

/// Pauses before the next attempts.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Downloads `file` into the cache, unless it is there.
pub(super) fn file(
    remote: &HubClient,
    cache: &Cache,
    file: RemoteFile<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<(), HubError> {
    let about = patiently(tell, |_| remote.about(file))?;
    let blob = cache.blob(&about.hash);
    let _lock = cache.lock(&about.hash)?;
    if !blob.is_file() {
        let mut partial = PartialFile::open(cache.blob(&format!("{}.incomplete", about.hash)))?;
        let have = partial.length()?.min(about.bytes);
        tell(Event::Started { file: file.path, bytes: about.bytes, have });
        patiently(tell, |tell| receive(remote, file, &about, &mut partial, tell))?;
        partial.file.sync_all().map_err(|source| partial.failed(source))?;
        if let Err(damage) = check(&mut partial, &about, file) {
            std::fs::remove_file(&partial.path).map_err(|source| partial.failed(source))?;
            return Err(damage);
        }
        std::fs::rename(&partial.path, &blob).map_err(|source| partial.failed(source))?;
    }
    cache.link(file.commit, file.path, &about.hash)
}

/// A file in the cache that is not complete yet.
struct PartialFile {
    file: File,
    path: PathBuf,
}

impl PartialFile {
    /// Opens the file at `path`, with what an earlier attempt has received, or creates it.
    fn open(path: PathBuf) -> Result<Self, HubError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        match options.open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    fn failed(&self, source: io::Error) -> HubError {
        HubError::Cache { path: self.path.clone(), source }
    }

    /// Bytes received so far; further bytes are written behind them.
    fn length(&mut self) -> Result<u64, HubError> {
        self.file.seek(io::SeekFrom::End(0)).map_err(|source| self.failed(source))
    }

    /// Drops the bytes after the first `length`.
    fn truncate(&mut self, length: u64) -> Result<(), HubError> {
        self.file.set_len(length).map_err(|source| self.failed(source))?;
        self.length().map(drop)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|source| self.failed(source))
    }
}

/// Requests range after range until the file is complete.
fn receive(
    remote: &HubClient,
    file: RemoteFile<'_>,
    about: &About,
    partial: &mut PartialFile,
    tell: &mut dyn FnMut(Event),
) -> Result<(), HubError> {
    loop {
        let have = partial.length()?;
        if have >= about.bytes {
            return Ok(());
        }
        let (begins, mut body) = remote.open(file, have)?;
        partial.truncate(begins)?;
        let received = copy(&mut body, partial, tell, |lost| remote.failed(file, lost))?;
        // A server without range requests sends the file from the start, and may break off each time.
        if begins + received <= have {
            let (ended, bytes) = (begins + received, about.bytes);
            return Err(
                remote.failed(file, format!("the answer ended after {ended} of {bytes} bytes"))
            );
        }
    }
}

/// Appends the bytes of `from`, and returns their number. Bytes received before a connection is lost
/// are kept; if there are none, the cause becomes an error by `failed`.
fn copy(
    from: &mut impl Read,
    partial: &mut PartialFile,
    tell: &mut dyn FnMut(Event),
    failed: impl Fn(String) -> HubError,
) -> Result<u64, HubError> {
    let mut buffer = vec![0; 256 << 10];
    let mut received = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(received),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The next range begins where this one broke off.
            Err(_) if received > 0 => return Ok(received),
            Err(error) => return Err(failed(error.to_string())),
        };
        partial.append(&buffer[..read])?;
        received += read as u64;
        tell(Event::Received(read as u64));
    }
}

/// Checks size and hash of the downloaded file.
fn check(partial: &mut PartialFile, about: &About, wanted: RemoteFile<'_>) -> Result<(), HubError> {
    let PartialFile { file, path } = partial;
    let unreadable = |source| HubError::CacheRead { path: path.clone(), source };
    let damaged = |kind, expected: &str, found: String| HubError::Damaged {
        id: wanted.id.to_string(),
        file: wanted.path.to_owned(),
        kind,
        expected: expected.to_owned(),
        found,
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes != about.bytes {
        return Err(damaged("size", &about.bytes.to_string(), bytes.to_string()));
    }
    file.rewind().map_err(unreadable)?;
    let (kind, found) = if about.hash.len() == SHA256_DIGITS {
        ("SHA-256", digest::of_rest(Sha256::new(), file))
    } else {
        // Git hashes the file's length together with its content.
        ("git hash", digest::of_rest(Sha1::new_with_prefix(format!("blob {bytes}\0")), file))
    };
    let found = found.map_err(unreadable)?;
    if found == about.hash { Ok(()) } else { Err(damaged(kind, &about.hash, found)) }
}

/// Repeats `attempt` after failures that may be temporary.
pub(super) fn patiently<T>(
    tell: &mut dyn FnMut(Event),
    mut attempt: impl FnMut(&mut dyn FnMut(Event)) -> Result<T, HubError>,
) -> Result<T, HubError> {
    for pause in PAUSES {
        match attempt(tell) {
            Err(error) if error.is_passing() => tell(Event::Retrying(&error)),
            result => return result,
        }
        std::thread::sleep(pause);
    }
    attempt(tell)
}
