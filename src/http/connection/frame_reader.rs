//! Parses the frames of one direction of an HTTP/2 connection. RFC 9113, section 4.1.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// A parsed element.
pub(super) enum Parsed<'a> {
    Frame(Frame),
    /// A setting of a SETTINGS frame.
    Setting(u16, u32),
    /// The stream and increment of a `WINDOW_UPDATE`.
    Window(u32, u32),
    Block(BlockPart<'a>),
}

/// A part of the header block in a HEADERS or CONTINUATION frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPart<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) frame: Frame,
    /// Whether the header block ends with this part.
    pub(super) is_last: bool,
}

/// The element that comes next.
#[derive(Debug, Clone, Copy, Default)]
enum Expected {
    /// A frame's header.
    #[default]
    Nothing,
    /// Settings or a window increment, and the remaining bytes of the frame.
    Values(Frame, usize),
    /// The padding length and priority before a header block: their bytes, and the length of the frame.
    Before(Frame, usize, usize),
    /// A header block: its remaining bytes, and the padding after it.
    Block(Frame, usize, usize),
}

/// A parser for one direction, independent of how the bytes are split.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    /// Bytes to skip.
    skip: usize,
    /// The received part of a frame header, setting or increment.
    part: [u8; 9],
    filled: usize,
    expected: Expected,
}

impl FrameReader {
    /// A reader that skips the first `skip` bytes.
    pub(super) fn behind(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Parses the next element and advances `bytes`; `None` at their end.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Parsed<'a>> {
        loop {
            let passed = self.skip.min(bytes.len());
            *bytes = &bytes[passed..];
            self.skip -= passed;
            let wanted = match self.expected {
                Expected::Nothing => 9,
                Expected::Values(frame, left) => {
                    let unit = if frame.kind == SETTINGS { 6 } else { 4 };
                    if left < unit {
                        self.skip += left;
                        self.expected = Expected::Nothing;
                        continue;
                    }
                    unit
                }
                Expected::Before(_, before, _) => before,
                Expected::Block(frame, left, padding) => {
                    let (block, rest) = bytes.split_at(left.min(bytes.len()));
                    if block.is_empty() && left > 0 {
                        return None;
                    }
                    *bytes = rest;
                    let left = left - block.len();
                    self.expected = Expected::Block(frame, left, padding);
                    if left == 0 {
                        self.skip = padding;
                        self.expected = Expected::Nothing;
                    }
                    let is_last = left == 0 && frame.flags & END_HEADERS != 0;
                    return Some(Parsed::Block(BlockPart { bytes: block, frame, is_last }));
                }
            };
            let taken = (wanted - self.filled).min(bytes.len());
            self.part[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            *bytes = &bytes[taken..];
            self.filled += taken;
            if self.filled < wanted {
                return None;
            }
            self.filled = 0;
            if let Some(seen) = self.seen() {
                return Some(seen);
            }
        }
    }

    /// Interprets the completed part.
    fn seen(&mut self) -> Option<Parsed<'static>> {
        let number =
            |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|place| self.part[at + place]));
        match self.expected {
            Expected::Values(frame, left) if frame.kind == SETTINGS => {
                self.expected = Expected::Values(frame, left - 6);
                let id = u16::from_be_bytes([self.part[0], self.part[1]]);
                Some(Parsed::Setting(id, number(2)))
            }
            Expected::Values(frame, left) => {
                self.expected = Expected::Values(frame, left - 4);
                Some(Parsed::Window(frame.stream, number(0) & 0x7fff_ffff))
            }
            Expected::Before(frame, before, length) => {
                let padding = if frame.flags & PADDED == 0 { 0 } else { self.part[0] };
                let padding = usize::from(padding).min(length - before);
                self.expected = Expected::Block(frame, length - before - padding, padding);
                None
            }
            Expected::Nothing | Expected::Block(..) => {
                let frame = Frame {
                    length: number(0) >> 8,
                    kind: self.part[3],
                    flags: self.part[4],
                    stream: number(5) & 0x7fff_ffff,
                };
                self.enter(frame);
                Some(Parsed::Frame(frame))
            }
        }
    }

    /// Continues after the header of `frame`.
    fn enter(&mut self, frame: Frame) {
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        let before = match frame.kind {
            HEADERS => {
                usize::from(frame.flags & PADDED != 0)
                    + 5 * usize::from(frame.flags & PRIORITY != 0)
            }
            _ => 0,
        };
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self.expected = Expected::Values(frame, length),
            WINDOW_UPDATE => self.expected = Expected::Values(frame, length),
            HEADERS if before > 0 && before <= length => {
                self.expected = Expected::Before(frame, before, length);
            }
            HEADERS | CONTINUATION => self.expected = Expected::Block(frame, length, 0),
            _ => self.skip = length,
        }
    }

    /// Whether the last frame is complete.
    pub(super) fn is_between(&self) -> bool {
        let whole = match self.expected {
            Expected::Nothing | Expected::Values(_, 0) => true,
            Expected::Values(..) | Expected::Before(..) | Expected::Block(..) => false,
        };
        self.skip == 0 && self.filled == 0 && whole
    }
}
