//! WebP: the chunks of a file (WebP container specification), and what they say without decoding.

/// The file as long as its RIFF header says; `None` where it is shorter.
pub(super) fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    bytes.get(..(length as usize).saturating_add(8))
}

/// Whether every chunk is as long as it says, and every frame fits into the canvas, `[width, height]`.
///
/// The decoder makes room for a frame and for metadata by the size that each announces before it
/// looks for the bytes, so that a canvas of one pixel could cost hundreds of megabytes.
pub(super) fn is_sound(bytes: &[u8], canvas: [u32; 2]) -> bool {
    Chunks(bytes.get(12..).unwrap_or_default()).all(|Chunk { kind, body }| match (kind, body) {
        (b"ANMF", Some(body)) => {
            fits(animation_size(body), canvas)
                && body.get(16..).is_some_and(|frame| is_sound_frame(frame, canvas))
        }
        (kind, body) => is_sound_chunk(kind, body, canvas),
    })
}

/// The chunks of a frame; a frame inside a frame is no WebP, and is not looked into.
fn is_sound_frame(chunks: &[u8], canvas: [u32; 2]) -> bool {
    Chunks(chunks).all(|Chunk { kind, body }| kind != b"ANMF" && is_sound_chunk(kind, body, canvas))
}

fn is_sound_chunk(kind: &[u8; 4], body: Option<&[u8]>, canvas: [u32; 2]) -> bool {
    match (kind, body) {
        (_, None) => false,
        (b"VP8 ", Some(body)) => fits(lossy_size(body), canvas),
        (b"VP8L", Some(body)) => fits(lossless_size(body), canvas),
        (_, Some(_)) => true,
    }
}

/// A frame without a size is damaged, and fits nowhere.
fn fits(size: Option<[u32; 2]>, canvas: [u32; 2]) -> bool {
    size.is_some_and(|[width, height]| width <= canvas[0] && height <= canvas[1])
}

/// RFC 6386, section 9.1: a frame tag, a start code, then two sizes of 14 bits.
fn lossy_size(body: &[u8]) -> Option<[u32; 2]> {
    let &[_, _, _, 0x9D, 0x01, 0x2A, a, b, c, d] = body.first_chunk()? else {
        return None;
    };
    Some([[a, b], [c, d]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3FFF)))
}

/// RFC 9649, section 3.4: a signature, then two sizes of 14 bits, less one.
fn lossless_size(body: &[u8]) -> Option<[u32; 2]> {
    let &[0x2F, a, b, c, d] = body.first_chunk()? else {
        return None;
    };
    let bits = u32::from_le_bytes([a, b, c, d]);
    Some([bits, bits >> 14].map(|side| (side & 0x3FFF) + 1))
}

/// RFC 9649, section 2.7.1.1: a place, then two sizes of 24 bits, less one.
fn animation_size(body: &[u8]) -> Option<[u32; 2]> {
    let side = |at: usize| -> Option<u32> {
        let &[low, middle, high] = body.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes([low, middle, high, 0]) + 1)
    };
    Some([side(6)?, side(9)?])
}

struct Chunk<'a> {
    kind: &'a [u8; 4],
    /// `None` where it is cut.
    body: Option<&'a [u8]>,
}

/// Walks chunk by chunk; each begins at an even place.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (kind, rest) = self.0.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { kind, body: rest.get(..length) })
    }
}
