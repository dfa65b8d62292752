//! The chunks of a file (WebP container specification), and the image that they contain.

use super::super::DecodeError;
use super::FORMAT;

/// The file, with the length in its RIFF header; `None` if it is shorter.
pub(in super::super) fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    bytes.get(..(length as usize).saturating_add(8))
}

/// The first image of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebpFrame<'a> {
    /// Columns and rows of the canvas.
    pub(super) canvas: [u32; 2],
    /// Column and row of the image on the canvas.
    pub(super) place: [u32; 2],
    /// Columns and rows of the image.
    pub(super) size: [u32; 2],
    pub(super) coding: WebpCoding<'a>,
}

/// The coding of its pixels.
#[derive(Debug, Clone, Copy)]
pub(super) enum WebpCoding<'a> {
    /// VP8, with a separate alpha channel.
    Lossy { vp8: &'a [u8], alpha: Option<&'a [u8]> },
    /// VP8L.
    Lossless { vp8l: &'a [u8] },
}

/// The flag of VP8X for alpha.
const HAS_ALPHA: u8 = 0x10;

impl<'a> WebpFrame<'a> {
    /// The image of a still file, or the first frame of an animation.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Corrupt`] if a chunk is truncated, there is no image, or it does not fit its canvas.
    pub(super) fn first(file: &'a [u8]) -> Result<Self, DecodeError> {
        let chunks = file.get(12..).unwrap_or_default();
        // Chunks after the image are checked too, so that truncated files are rejected.
        if Chunks(chunks).any(|chunk| chunk.body.is_none()) {
            return Err(damaged("a part announces more than there is"));
        }
        let mut canvas = None;
        let (mut is_opaque, mut alpha) = (false, None);
        for Chunk { kind, body } in Chunks(chunks) {
            let body = body.unwrap_or_default();
            match kind {
                b"VP8X" => {
                    canvas = two_sides(body, 4);
                    is_opaque = body.first().is_some_and(|flags| flags & HAS_ALPHA == 0);
                }
                // libwebp, too, ignores alpha that is not announced.
                b"ALPH" if is_opaque => {}
                b"ALPH" => alpha = Some(body),
                b"ANMF" => {
                    let canvas = canvas.ok_or_else(|| damaged("it has a frame and no canvas"))?;
                    return Self::of_frame(body, canvas);
                }
                b"VP8 " | b"VP8L" => {
                    let (size, coding) = WebpCoding::of(*kind, body, alpha)?;
                    // libwebp, too, requires them to be equal.
                    if canvas.is_some_and(|canvas| canvas != size) {
                        return Err(damaged("a part announces more than there is"));
                    }
                    return Ok(Self { canvas: size, place: [0; 2], size, coding });
                }
                _ => {}
            }
        }
        Err(damaged("it has no image"))
    }

    /// RFC 9649, section 2.7.1.1: a position in steps of two pixels, a size, and 4 bytes of duration and
    /// flags.
    fn of_frame(body: &'a [u8], canvas: [u32; 2]) -> Result<Self, DecodeError> {
        let short = || damaged("its first frame has no size");
        let place = two_numbers(body, 0).ok_or_else(short)?.map(|steps| steps * 2);
        let announced = two_sides(body, 6).ok_or_else(short)?;
        let mut alpha = None;
        // Other chunks are skipped, including nested frames.
        for Chunk { kind, body } in Chunks(body.get(16..).unwrap_or_default()) {
            let body = body.ok_or_else(|| damaged("a part announces more than there is"))?;
            match kind {
                b"ALPH" => alpha = Some(body),
                b"VP8 " | b"VP8L" => {
                    let (size, coding) = WebpCoding::of(*kind, body, alpha)?;
                    let fits = |side: usize| place[side] + size[side] <= canvas[side];
                    if size != announced || !fits(0) || !fits(1) {
                        return Err(damaged("a part announces more than there is"));
                    }
                    return Ok(Self { canvas, place, size, coding });
                }
                _ => {}
            }
        }
        Err(damaged("its first frame has no image"))
    }

    /// Whether any pixel may be transparent.
    pub(super) fn has_alpha(&self) -> bool {
        match self.coding {
            WebpCoding::Lossy { alpha, .. } => alpha.is_some(),
            WebpCoding::Lossless { vp8l } => vp8l.get(4).is_some_and(|bits| bits & 0x10 != 0),
        }
    }

    /// A file with only this image, and the offset of its VP8 or VP8L data.
    pub(super) fn file(&self) -> (Vec<u8>, usize) {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        let data = match self.coding {
            WebpCoding::Lossy { vp8, alpha } => {
                if let Some(alpha) = alpha {
                    let sides = self.size.map(|side| (side - 1).to_le_bytes());
                    let sides = sides.iter().flat_map(|side| &side[..3]).copied();
                    let body: Vec<u8> = [HAS_ALPHA, 0, 0, 0].into_iter().chain(sides).collect();
                    append(&mut file, *b"VP8X", &body);
                    append(&mut file, *b"ALPH", alpha);
                }
                append(&mut file, *b"VP8 ", vp8)
            }
            WebpCoding::Lossless { vp8l } => append(&mut file, *b"VP8L", vp8l),
        };
        let length = u32::try_from(file.len() - 8).unwrap_or(u32::MAX);
        file[4..8].copy_from_slice(&length.to_le_bytes());
        (file, data)
    }
}

impl<'a> WebpCoding<'a> {
    fn of(
        kind: [u8; 4],
        body: &'a [u8],
        alpha: Option<&'a [u8]>,
    ) -> Result<([u32; 2], Self), DecodeError> {
        let no_size = || damaged("its image has no size");
        if &kind == b"VP8L" {
            Ok((lossless_size(body).ok_or_else(no_size)?, Self::Lossless { vp8l: body }))
        } else {
            Ok((lossy_size(body).ok_or_else(no_size)?, Self::Lossy { vp8: body, alpha }))
        }
    }
}

/// The first chunk of `kind` in `file`, if it is complete.
pub(super) fn find(file: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    Chunks(file.get(12..)?).find(|chunk| *chunk.kind == kind)?.body
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(FORMAT, cause)
}

/// Appends a chunk, and returns the offset of its body.
fn append(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> usize {
    file.extend_from_slice(&kind);
    file.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    let place = file.len();
    file.extend_from_slice(body);
    if !body.len().is_multiple_of(2) {
        file.push(0);
    }
    place
}

/// RFC 6386, section 9.1: a frame tag, a start code, then two sizes of 14 bits.
fn lossy_size(body: &[u8]) -> Option<[u32; 2]> {
    let &[_, _, _, 0x9D, 0x01, 0x2A, a, b, c, d] = body.first_chunk()? else {
        return None;
    };
    Some([[a, b], [c, d]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3FFF)))
}

/// RFC 9649, section 3.4: a signature, then two sizes of 14 bits, minus one.
fn lossless_size(body: &[u8]) -> Option<[u32; 2]> {
    let &[0x2F, a, b, c, d] = body.first_chunk()? else {
        return None;
    };
    let bits = u32::from_le_bytes([a, b, c, d]);
    Some([bits, bits >> 14].map(|side| (side & 0x3FFF) + 1))
}

/// Two sizes of 24 bits, minus one.
fn two_sides(body: &[u8], at: usize) -> Option<[u32; 2]> {
    two_numbers(body, at).map(|sides| sides.map(|side| side + 1))
}

fn two_numbers(body: &[u8], at: usize) -> Option<[u32; 2]> {
    let both: &[u8; 6] = body.get(at..)?.first_chunk()?;
    Some([0, 3].map(|at| u32::from_le_bytes([both[at], both[at + 1], both[at + 2], 0])))
}

struct Chunk<'a> {
    kind: &'a [u8; 4],
    /// `None` if it is truncated.
    body: Option<&'a [u8]>,
}

/// Iterates over chunks; each begins at an even offset.
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
