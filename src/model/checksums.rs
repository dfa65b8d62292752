//! `SHA256SUMS` in a model's folder, as `sha256sum` writes it; checks the digests of the listed files.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use super::ModelError;
use crate::digest::{self, SHA256_DIGITS};

/// The name of the file with the digests.
const CHECKSUMS: &str = "SHA256SUMS";

/// Compares the files in `folder` with its `SHA256SUMS`, if it has one. Files that are not listed there are not
/// read.
///
/// # Errors
///
/// [`ModelError::Checksum`] for the first file that is missing or has another digest, or for a line that is
/// not in `sha256sum`'s format.
pub(super) fn check(folder: &Path) -> Result<(), ModelError> {
    let path = folder.join(CHECKSUMS);
    let failed = |reason: String| ModelError::Checksum { path: path.clone(), reason };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if absent(&error) => return Ok(()),
        Err(error) => return Err(failed(format!("it cannot be read: {error}"))),
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let (expected, name) = parse(line).ok_or_else(|| {
            failed(format!(
                "line {number} is {line:?}; it must be a SHA-256 digest, two spaces, and the name of a file in \
                 the folder"
            ))
        })?;
        let found = File::open(folder.join(name))
            .and_then(|mut file| digest::of_rest(Sha256::new(), &mut file))
            .map_err(|error| failed(format!("it lists {name}, which cannot be read: {error}")))?;
        if !found.eq_ignore_ascii_case(expected) {
            return Err(failed(format!(
                "the file {name} has the digest {found}, not {expected}; it is damaged or from another model"
            )));
        }
    }
    Ok(())
}

/// Whether the file or its folder does not exist.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The digest and the name in a line; `*` before the name is `sha256sum`'s marker for binary mode.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (sum, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?.trim_end();
    let name = name.strip_prefix("./").unwrap_or(name);
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let is_valid = digest::is_hex(sum, SHA256_DIGITS) && is_inside && !name.is_empty();
    is_valid.then_some((sum, name))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// SHA-256 of "abc", from FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn checked(sums: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("model.onnx", "abc"), (CHECKSUMS, sums)] {
            File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        check(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn files_are_compared_with_the_digests_of_sha256sum() {
        for line in ["  model.onnx\n", " *model.onnx\n\n", "  ./model.onnx"] {
            assert_eq!(checked(&format!("{ABC}{line}")), Ok(()), "{line:?}");
        }
        assert_eq!(checked(&format!("{}  model.onnx", ABC.to_uppercase())), Ok(()));
        let other = checked(&format!("{ABC}  model.onnx\n{}  model.onnx", ABC.replace('b', "0")));
        assert!(other.unwrap_err().contains("has the digest ba7816bf"));
        let missing = checked(&format!("{ABC}  weights.bin")).unwrap_err();
        assert!(missing.contains("lists weights.bin, which cannot be read"), "{missing}");
    }

    #[test]
    fn a_line_in_another_format_is_an_error() {
        for line in ["abc  model.onnx", ABC] {
            assert!(checked(line).unwrap_err().contains("line 1"), "{line:?}");
        }
        for name in ["../model.onnx", "/etc/passwd", ""] {
            assert!(checked(&format!("{ABC}  {name}")).unwrap_err().contains("line 1"), "{name:?}");
        }
        assert_eq!(checked("\n"), Ok(()));
    }

    #[test]
    fn a_folder_without_the_file_and_a_file_are_not_checked() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        check(&folder.path().join("model.onnx")).unwrap();
    }
}
