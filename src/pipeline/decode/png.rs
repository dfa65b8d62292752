//! PNG: the chunks of a file (PNG specification, section 5), and those that the picture needs.

use image::metadata::Orientation;

/// Whether the IEND chunk is there.
pub(super) fn has_an_end(bytes: &[u8]) -> bool {
    Chunks::new(bytes).any(|chunk| &chunk.kind == b"IEND")
}

/// The file without what only describes the picture: text, colour profile, later frames.
///
/// A compressed profile of a megabyte unpacks to a gigabyte, and the decoder unpacks it with the
/// header; here it never sees one.
pub(super) fn essential(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..SIGNATURE]);
    let mut chunks = Chunks::new(bytes);
    for chunk in chunks.by_ref().filter(Chunk::is_needed) {
        kept.extend_from_slice(chunk.whole);
    }
    // What is no whole chunk is for the decoder to judge.
    kept.extend_from_slice(chunks.rest);
    kept
}

/// The file up to where its pixels begin, without what only describes the picture.
pub(super) fn header(bytes: &[u8]) -> Vec<u8> {
    let mut kept = bytes[..SIGNATURE].to_vec();
    let mut chunks = Chunks::new(bytes);
    for chunk in chunks.by_ref().filter(Chunk::is_needed) {
        // The decoder stops at the first pixels' chunk: its length and kind are enough.
        if &chunk.kind == b"IDAT" {
            kept.extend_from_slice(&chunk.whole[..LENGTH_AND_KIND]);
            return kept;
        }
        kept.extend_from_slice(chunk.whole);
    }
    kept.extend_from_slice(&chunks.rest[..chunks.rest.len().min(LENGTH_AND_KIND)]);
    kept
}

/// As its EXIF chunk says, which may stand before the pixels or after them.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    Chunks::new(bytes)
        .find(|chunk| &chunk.kind == b"eXIf")
        .and_then(|chunk| Orientation::from_exif_chunk(chunk.body()))
        .unwrap_or(Orientation::NoTransforms)
}

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;

/// Bytes of a chunk before its body, and after.
const LENGTH_AND_KIND: usize = 8;
const CHECKSUM: usize = 4;

struct Chunk<'a> {
    kind: [u8; 4],
    whole: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn body(&self) -> &'a [u8] {
        &self.whole[LENGTH_AND_KIND..self.whole.len() - CHECKSUM]
    }

    /// Critical chunks have a capital first letter; of the others only transparency is drawn.
    fn is_needed(&self) -> bool {
        self.kind[0].is_ascii_uppercase() || &self.kind == b"tRNS"
    }
}

/// Walks chunk by chunk to the first that is not whole.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(SIGNATURE..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let &[a, b, c, d, kind @ ..] = self.rest.first_chunk::<LENGTH_AND_KIND>()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (whole, rest) =
            self.rest.split_at_checked(length.saturating_add(LENGTH_AND_KIND + CHECKSUM))?;
        self.rest = rest;
        Some(Chunk { kind, whole })
    }
}
