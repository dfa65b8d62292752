//! Hashes as hexadecimal digits, as `sha256sum` prints them.

use std::io::{self, Read};

use sha2::Digest;

/// Number of hexadecimal digits of a SHA-256 digest.
pub(crate) const SHA256_DIGITS: usize = 64;

/// `bytes` as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whether `text` consists of this many hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The digest of what `hash` has been fed and the rest of `file`, as hexadecimal digits.
pub(crate) fn of_rest<D: Digest>(mut hash: D, file: &mut impl Read) -> io::Result<String> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
