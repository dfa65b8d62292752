//! A file in memory, for functions that read from a path.

use std::path::PathBuf;

/// Writes `bytes` to a file of this process with the extension `extension`.
pub fn with_content(bytes: &[u8], extension: &str) -> PathBuf {
    let path = PathBuf::from(format!("/dev/shm/resnetd-fuzz-{}.{extension}", std::process::id()));
    std::fs::write(&path, bytes).expect("memory for a small file");
    path
}
