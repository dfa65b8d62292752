//! GIF (`GIF89a` specification). Only the first frame is decoded.

use image::RgbImage;
use weezl::{BitOrder, LzwStatus};

use super::announced::{Announced, RGB_AND_COPY, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch};

const FORMAT: Format = Format::Gif;

/// The blocks before the first frame's pixels.
struct GifFrame<'a> {
    /// Columns and rows of the whole image; increased if the frame exceeds it.
    canvas: [u32; 2],
    /// Column and row of the frame in it.
    place: [usize; 2],
    /// Columns and rows of the frame.
    size: [usize; 2],
    row_order: RowOrder,
    /// Three bytes per colour. Without a palette, an index is a level of grey.
    palette: Option<&'a [u8]>,
    /// The index that means transparent.
    transparent: Option<u8>,
    /// Bits of the shortest code, minus one.
    code_bits: u8,
    /// The sub-blocks with the codes, and the rest of the file.
    data: &'a [u8],
}

/// The order in which the rows of a frame are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowOrder {
    Sequential,
    /// Every eighth row, then the rows in between in three more passes.
    Interlaced,
}

/// The properties of the image, from the blocks before the first frame's pixels.
///
/// # Errors
///
/// [`DecodeError`] if they are damaged or there is no frame.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    let frame = GifFrame::first(bytes)?;
    let color = if frame.transparent.is_some() { "rgba8" } else { "rgb8" };
    // A row of palette indices, and the table of LZW codes.
    let overhead = u64::from(frame.canvas[0]) + TABLES;
    Ok(Announced {
        size: frame.canvas,
        color: color.to_owned(),
        per_pixel: RGB_AND_COPY,
        overhead,
        passes: 1,
    })
}

/// Decodes the first frame into its canvas. As in Pillow, the rest of the canvas has the transparent colour,
/// or otherwise the palette's first colour.
///
/// # Errors
///
/// [`DecodeError`] if pixels are missing, or `watch` stops it.
pub(super) fn decode(bytes: &[u8], watch: Watch<'_>) -> Result<RgbImage, DecodeError> {
    let frame = GifFrame::first(bytes)?;
    let colors = frame.colors();
    let mut canvas = Canvas::new(frame.canvas, watch);
    let ground = if frame.transparent.is_some() { [255; 3] } else { colors[0] };
    let covers = frame.size == frame.canvas.map(|side| side as usize);
    if ground != [255; 3] && !covers {
        for y in 0..frame.canvas[1] as usize {
            canvas.row(y)?.into_iter().flat_map(|row| row.chunks_exact_mut(3)).for_each(|pixel| {
                pixel.copy_from_slice(&ground);
            });
        }
    }
    let [width, height] = frame.size;
    let mut numbers = Numbers::new(&frame)?;
    let mut row = vec![0; width];
    for y in Lines::new(height, frame.row_order) {
        numbers.fill(&mut row)?;
        let Some(to) = canvas.row(frame.place[1] + y)? else { continue };
        let to = to.chunks_exact_mut(3).skip(frame.place[0]);
        to.zip(&row).for_each(|(to, &number)| to.copy_from_slice(&colors[usize::from(number)]));
    }
    canvas.into_image(FORMAT)
}

impl<'a> GifFrame<'a> {
    fn first(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::find(bytes).ok_or(DecodeError::Truncated { format: FORMAT })?
    }

    /// `None` if the file ends before the first frame's pixels.
    fn find(bytes: &'a [u8]) -> Option<Result<Self, DecodeError>> {
        let number =
            |at: usize| Some(u32::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
        let screen = [number(6)?, number(8)?];
        let (global, mut at) = color_table(bytes, 10, 13)?;
        let mut transparent = None;
        loop {
            match bytes.get(at)? {
                b'!' => {
                    if let Some(&[0xF9, 4, flags, _, _, index]) = bytes.get(at + 1..)?.first_chunk()
                    {
                        transparent = (flags & 1 == 1).then_some(index);
                    }
                    at = after_sub_blocks(bytes, at + 2)?;
                }
                b',' => break,
                b';' => return Some(Err(DecodeError::corrupt(FORMAT, "it has no frame"))),
                // Bytes between blocks are skipped, as Pillow and browsers do.
                _ => at += 1,
            }
        }
        let [left, top, width, height] =
            [number(at + 1)?, number(at + 3)?, number(at + 5)?, number(at + 7)?];
        let row_order = match bytes.get(at + 9)? & 0x40 {
            0 => RowOrder::Sequential,
            _ => RowOrder::Interlaced,
        };
        let (local, data) = color_table(bytes, at + 9, at + 10)?;
        if width == 0 || height == 0 {
            return Some(Err(DecodeError::corrupt(FORMAT, "its first frame has no pixels")));
        }
        Some(Ok(Self {
            canvas: [screen[0].max(left + width), screen[1].max(top + height)],
            place: [left, top].map(|side| side as usize),
            size: [width, height].map(|side| side as usize),
            row_order,
            palette: local.or(global),
            transparent,
            code_bits: *bytes.get(data)?,
            data: bytes.get(data + 1..)?,
        }))
    }

    /// The colours of all indices: black beyond the palette, white for transparent.
    fn colors(&self) -> [[u8; 3]; 256] {
        let mut colors = [[0; 3]; 256];
        match self.palette {
            Some(palette) => {
                for (color, bytes) in colors.iter_mut().zip(palette.chunks_exact(3)) {
                    color.copy_from_slice(bytes);
                }
            }
            None => (0..=u8::MAX).zip(&mut colors).for_each(|(grey, color)| color.fill(grey)),
        }
        if let Some(number) = self.transparent {
            colors[usize::from(number)] = [255; 3];
        }
        colors
    }
}

/// The colour table at `at`, if the flags at `flags` announce one, and the offset after it.
fn color_table(bytes: &[u8], flags: usize, at: usize) -> Option<(Option<&[u8]>, usize)> {
    let flags = bytes.get(flags)?;
    if flags & 0x80 == 0 {
        return Some((None, at));
    }
    let end = at + (6 << (flags & 0x07));
    Some((Some(bytes.get(at..end)?), end))
}

/// The offset after the sub-blocks at `at`. Each begins with its length; one of length 0 is the last.
fn after_sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

/// Maximum number of codes that the decoder has read and not yet decoded: 64 bits. A code that clears the table
/// takes a call without giving an index, and some writers clear it before every pixel, even twice.
const MAX_CODES_AHEAD: u32 = 64;

/// Decodes palette indices from sub-blocks of LZW codes.
struct Numbers<'a> {
    lzw: weezl::decode::Decoder,
    /// The rest of the current sub-block.
    block: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Numbers<'a> {
    fn new(frame: &GifFrame<'a>) -> Result<Self, DecodeError> {
        if !(1..=11).contains(&frame.code_bits) {
            return Err(DecodeError::corrupt(FORMAT, "its codes have an impossible length"));
        }
        let lzw = weezl::decode::Decoder::new(BitOrder::Lsb, frame.code_bits);
        Ok(Self { lzw, block: &[], rest: frame.data })
    }

    /// Fills `row` with the next indices.
    fn fill(&mut self, row: &mut [u8]) -> Result<(), DecodeError> {
        let (mut filled, mut idle) = (0, 0);
        while filled < row.len() {
            // Without more input, the decoder may still have codes.
            let has_ended = self.block.is_empty() && !self.next_block();
            let result = self.lzw.decode_bytes(self.block, &mut row[filled..]);
            self.block = &self.block[result.consumed_in..];
            filled += result.consumed_out;
            idle = if result.consumed_in + result.consumed_out > 0 { 0 } else { idle + 1 };
            match result.status {
                Err(error) => return Err(DecodeError::corrupt(FORMAT, error.to_string())),
                Ok(LzwStatus::Done) if filled < row.len() => {
                    return Err(DecodeError::corrupt(FORMAT, "its first frame ends too early"));
                }
                Ok(LzwStatus::Ok | LzwStatus::NoProgress | LzwStatus::Done) => {}
            }
            if idle > MAX_CODES_AHEAD {
                return Err(if has_ended {
                    DecodeError::Truncated { format: FORMAT }
                } else {
                    DecodeError::corrupt(FORMAT, "its codes lead nowhere")
                });
            }
        }
        Ok(())
    }

    /// Goes to the next sub-block; returns whether there is one.
    fn next_block(&mut self) -> bool {
        let Some((&length, rest)) = self.rest.split_first() else { return false };
        let length = usize::from(length).min(rest.len());
        (self.block, self.rest) = rest.split_at(length);
        if length == 0 {
            self.rest = &[];
        }
        length > 0
    }
}

/// The row numbers of a frame, in the order in which they are stored.
struct Lines {
    next: usize,
    height: usize,
    /// The remaining passes of an interlaced frame: first row and distance.
    passes: &'static [(usize, usize)],
    step: usize,
}

impl Lines {
    fn new(height: usize, order: RowOrder) -> Self {
        const PASSES: [(usize, usize); 3] = [(4, 8), (2, 4), (1, 2)];
        let (passes, step): (&[_], usize) = match order {
            RowOrder::Sequential => (&[], 1),
            RowOrder::Interlaced => (&PASSES, 8),
        };
        Self { next: 0, height, passes, step }
    }
}

impl Iterator for Lines {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.next >= self.height {
            let (&(first, step), rest) = self.passes.split_first()?;
            (self.next, self.step, self.passes) = (first, step, rest);
        }
        let line = self.next;
        self.next += self.step;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, RowOrder};

    #[test]
    fn interlaced_rows_are_stored_in_four_passes() {
        let rows = |height, order| Lines::new(height, order).collect::<Vec<_>>();
        assert_eq!(rows(3, RowOrder::Sequential), [0, 1, 2]);
        assert_eq!(rows(10, RowOrder::Interlaced), [0, 8, 4, 2, 6, 1, 3, 5, 7, 9]);
        assert_eq!(rows(1, RowOrder::Interlaced), [0]);
    }
}
