//! Decompresses uploads up to the upload limit, reserving memory as they grow.

use std::io::{self, Read};
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::stream::read::Decoder as ZstdDecoder;

use super::problem::{ACCEPTED_ENCODINGS, Problem};
use super::reserved_bytes::with_reservation;
use crate::pipeline::queue::{Rejected, Reservation};
use crate::telemetry::Reason;

/// Number of bytes that are decompressed between two reservations.
const PIECE: usize = 64 << 10;

/// Compression of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Zstd,
    Brotli,
}

/// Maximum window of zstd, as a power of two: RFC 9659 limits it to 8 MiB for HTTP.
const ZSTD_WINDOW: u32 = 23;

impl Encoding {
    /// Upper bound of the memory for decompression besides the two bodies: window and tables.
    pub(super) fn working_memory(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate => 64 << 10,
            Self::Zstd => 9 << 20,
            // The format limits the window to 16 MiB.
            Self::Brotli => 18 << 20,
        }
    }
}

/// The compression in `headers`, if any.
pub(super) fn named(headers: &HeaderMap) -> Result<Option<Encoding>, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        if !headers.contains_key(header::CONTENT_ENCODING) {
            return Ok(None);
        }
        return Err(Problem::unsupported_encoding(format!(
            "the body is compressed more than once; send it uncompressed, or compressed once with {ACCEPTED_ENCODINGS}"
        )));
    };
    let text = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    match text.as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "deflate" => Ok(Some(Encoding::Deflate)),
        "zstd" => Ok(Some(Encoding::Zstd)),
        "br" => Ok(Some(Encoding::Brotli)),
        _ => Err(Problem::unsupported_encoding(format!(
            "Content-Encoding is {value:?}; send the body uncompressed, or with {ACCEPTED_ENCODINGS}"
        ))),
    }
}

/// Decompresses `compressed` to at most `limit` bytes, charged to `held`. Calls `rejected_for` if that rejects them.
pub(super) fn inflate(
    compressed: &[u8],
    encoding: Encoding,
    limit: usize,
    held: &Arc<Reservation>,
    rejected_for: impl Fn(Reason),
) -> Result<Bytes, Problem> {
    let charge = |bytes: usize| {
        held.grow(bytes as u64).inspect_err(|rejected| rejected_for(rejected.reason()))
    };
    let inflated = match encoding {
        Encoding::Gzip => read(MultiGzDecoder::new(compressed), limit, charge),
        // RFC 9110 defines it as zlib's format, but some clients send raw deflate.
        Encoding::Deflate if is_zlib(compressed) => {
            read(ZlibDecoder::new(compressed), limit, charge)
        }
        Encoding::Deflate => read(DeflateDecoder::new(compressed), limit, charge),
        Encoding::Zstd => zstd_decoder(compressed)
            .map_err(|error| unreadable(&error))
            .and_then(|decoder| read(decoder, limit, charge)),
        Encoding::Brotli => read(Decompressor::new(compressed, PIECE), limit, charge),
    };
    inflated.map(|bytes| with_reservation(bytes.into(), held))
}

fn zstd_decoder(compressed: &[u8]) -> io::Result<ZstdDecoder<'static, &[u8]>> {
    let mut decoder = ZstdDecoder::with_buffer(compressed)?;
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(decoder)
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::bad_request(format!(
        "the body is not compressed as Content-Encoding declares: {error}; send it uncompressed, or correct the header"
    ))
}

/// RFC 1950, section 2.2: the method is 8, and the first two bytes are a multiple of 31.
fn is_zlib(compressed: &[u8]) -> bool {
    matches!(compressed, [first, second, ..]
        if first & 15 == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

fn read(
    mut decoder: impl Read,
    limit: usize,
    charge: impl Fn(usize) -> Result<(), Rejected>,
) -> Result<Vec<u8>, Problem> {
    let (mut whole, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        let more = decoder.read(&mut piece).map_err(|error| unreadable(&error))?;
        if more == 0 {
            return Ok(whole);
        }
        if whole.len() + more > limit {
            return Err(Problem::too_many_bytes(limit));
        }
        charge(more)?;
        whole.extend_from_slice(&piece[..more]);
    }
}
