//! One file of a repository: from where the last attempt ended, checked, then put in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::cache::Cache;
use super::remote::{About, Remote};
use super::{Event, HubError, HubId};

/// Pauses before one more attempt.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Fetches `file` of a commit into the cache, unless it is there.
pub(super) fn file(
    remote: &Remote,
    cache: &Cache,
    (id, commit): (&HubId, &str),
    file: &str,
    tell: &mut dyn FnMut(Event),
) -> Result<(), HubError> {
    let about = patiently(tell, |_| remote.about(id, commit, file))?;
    let blob = cache.blob(&about.hash);
    let _lock = cache.lock(&about.hash)?;
    if !blob.is_file() {
        let incomplete = cache.blob(&format!("{}.incomplete", about.hash));
        let failed = |source| HubError::Cache { path: incomplete.clone(), source };
        let mut to = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&incomplete)
            .map_err(failed)?;
        let have = to.seek(io::SeekFrom::End(0)).map_err(failed)?.min(about.bytes);
        tell(Event::Started { file, bytes: about.bytes, have });
        patiently(tell, |tell| {
            receive(remote, (id, commit, file), &about, (&mut to, &incomplete), tell)
        })?;
        to.sync_all().map_err(failed)?;
        if let Err(damage) = check(&mut to, &about, (id, file)) {
            std::fs::remove_file(&incomplete).map_err(failed)?;
            return Err(damage);
        }
        std::fs::rename(&incomplete, &blob).map_err(failed)?;
    }
    cache.link(commit, file, &about.hash)
}

/// Receives range after range until everything is there.
fn receive(
    remote: &Remote,
    (id, commit, file): (&HubId, &str, &str),
    about: &About,
    (to, path): (&mut File, &Path),
    tell: &mut dyn FnMut(Event),
) -> Result<(), HubError> {
    let failed = |source| HubError::Cache { path: path.to_owned(), source };
    loop {
        let have = to.seek(io::SeekFrom::End(0)).map_err(failed)?;
        if have >= about.bytes {
            return Ok(());
        }
        let (begins, mut body) = remote.open(id, commit, file, have)?;
        to.set_len(begins).map_err(failed)?;
        to.seek(io::SeekFrom::End(0)).map_err(failed)?;
        let came = copy(&mut body, (to, path), tell)?;
        // A server that knows no ranges begins anew each time, and may break off each time.
        if begins + came <= have {
            return Err(HubError::Unreachable {
                url: format!("{file} of {id}"),
                reason: format!("the answer ended after {begins} of {} bytes", about.bytes),
            });
        }
    }
}

/// Copies what comes. What came before a loss is kept.
fn copy(
    from: &mut impl Read,
    (to, path): (&mut File, &Path),
    tell: &mut dyn FnMut(Event),
) -> Result<u64, HubError> {
    let mut buffer = vec![0; 256 << 10];
    let mut came = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(came),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The next range begins where this one broke off.
            Err(_) if came > 0 => return Ok(came),
            Err(error) => {
                let url = path.display().to_string();
                return Err(HubError::Unreachable { url, reason: error.to_string() });
            }
        };
        to.write_all(&buffer[..read])
            .map_err(|source| HubError::Cache { path: path.to_owned(), source })?;
        came += read as u64;
        tell(Event::Received(read as u64));
    }
}

/// Whether the file is the one that the hub named.
fn check(file: &mut File, about: &About, (id, name): (&HubId, &str)) -> Result<(), HubError> {
    let unreadable = |source| HubError::Cache { path: name.into(), source };
    let damaged = |kind, expected: &str, found: String| HubError::Damaged {
        id: id.to_string(),
        file: name.to_owned(),
        kind,
        expected: expected.to_owned(),
        found,
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes != about.bytes {
        return Err(damaged("size", &about.bytes.to_string(), bytes.to_string()));
    }
    file.rewind().map_err(unreadable)?;
    let (kind, found) = if about.hash.len() == 64 {
        let mut hash = Sha256::new();
        feed(file, |part| hash.update(part)).map_err(unreadable)?;
        ("SHA-256", crate::model::hex(&hash.finalize()))
    } else {
        // What git calls a file: the hash of its length and its content.
        let mut hash = Sha1::new();
        hash.update(format!("blob {bytes}\0"));
        feed(file, |part| hash.update(part)).map_err(unreadable)?;
        ("git hash", crate::model::hex(&hash.finalize()))
    };
    if found == about.hash { Ok(()) } else { Err(damaged(kind, &about.hash, found)) }
}

fn feed(file: &mut File, mut to: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => to(&buffer[..read]),
        }
    }
}

/// Tries again where a failure may pass.
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
