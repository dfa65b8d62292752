//! Follows the frames of an HTTP/2 connection to detect responses that the client's window blocks,
//! and floods of control frames. RFC 9113, section 4.1.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What a client of HTTP/2 sends first.
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;

const INITIAL_WINDOW_SIZE: u16 = 4;
const USUAL_WINDOW: i64 = 65_535;

/// Control frames (SETTINGS, PING, PRIORITY, …) that a client may send within [`PERIOD`] without a request, an upload or an
/// answer among them.
const MAX_CONTROL: u32 = 1000;
const PERIOD: Duration = Duration::from_secs(10);

/// GOAWAY, `ENHANCE_YOUR_CALM`, no stream handled: a client sends its requests again elsewhere.
pub(super) const CALM: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    from_client: Reader,
    to_client: Reader,
    initial: i64,
    window: i64,
    streams: HashMap<u32, Stream>,
    control: u32,
    since: Instant,
}

/// A stream that is not over.
#[derive(Debug, Default)]
struct Stream {
    window: i64,
    answered: bool,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            from_client: Reader { skip: PREFACE, ..Reader::default() },
            to_client: Reader::default(),
            initial: USUAL_WINDOW,
            window: USUAL_WINDOW,
            streams: HashMap::new(),
            control: 0,
            since: Instant::now(),
        }
    }

    /// Notes what the client has sent.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while let Some(seen) = self.from_client.next(&mut bytes) {
            match seen {
                Seen::Frame(frame) => self.received_frame(&frame),
                Seen::Setting(id, value) if id == INITIAL_WINDOW_SIZE => {
                    let value = i64::from(value);
                    for stream in self.streams.values_mut() {
                        stream.window += value - self.initial;
                    }
                    self.initial = value;
                }
                Seen::Setting(..) => {}
                Seen::Window(0, more) => self.window += i64::from(more),
                Seen::Window(id, more) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.window += i64::from(more);
                    }
                }
            }
        }
    }

    fn received_frame(&mut self, frame: &Frame) {
        match frame.kind {
            HEADERS => {
                let window = self.initial;
                self.streams.entry(frame.stream).or_insert(Stream { window, answered: false });
                self.control = 0;
            }
            DATA if frame.length > 0 => self.control = 0,
            CONTINUATION => {}
            kind => {
                if kind == RST_STREAM {
                    self.streams.remove(&frame.stream);
                }
                let now = Instant::now();
                if now.duration_since(self.since) > PERIOD {
                    (self.since, self.control) = (now, 0);
                }
                self.control += 1;
            }
        }
    }

    /// Notes what was sent to the client; true where an answer went on.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) -> bool {
        let mut went_on = false;
        while let Some(seen) = self.to_client.next(&mut bytes) {
            let Seen::Frame(frame) = seen else { continue };
            match frame.kind {
                HEADERS | DATA => {
                    went_on = true;
                    self.control = 0;
                    self.answered(&frame);
                }
                RST_STREAM => drop(self.streams.remove(&frame.stream)),
                _ => {}
            }
        }
        went_on
    }

    fn answered(&mut self, frame: &Frame) {
        if frame.kind == DATA {
            self.window -= i64::from(frame.length);
        }
        if frame.flags & END_STREAM != 0 {
            self.streams.remove(&frame.stream);
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.answered = true;
            if frame.kind == DATA {
                stream.window -= i64::from(frame.length);
            }
        }
    }

    /// Streams that are not over.
    pub(super) fn open(&self) -> usize {
        self.streams.len()
    }

    /// Whether an answer waits for the client to take more.
    pub(super) fn blocked(&self) -> bool {
        self.streams
            .values()
            .any(|stream| stream.answered && (stream.window <= 0 || self.window <= 0))
    }

    /// Whether the client sends nothing but control frames.
    pub(super) fn flooded(&self) -> bool {
        self.control > MAX_CONTROL
    }

    /// Whether a frame of ours can be sent now: none is half sent.
    pub(super) fn between_frames(&self) -> bool {
        self.to_client.is_between()
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// What was read.
enum Seen {
    Frame(Frame),
    /// One of a SETTINGS frame.
    Setting(u16, u32),
    /// What a `WINDOW_UPDATE` adds, to which stream.
    Window(u32, u32),
}

/// One direction, read frame by frame, whatever the pieces in which it comes.
#[derive(Debug, Default)]
struct Reader {
    /// Bytes that are passed over.
    skip: usize,
    /// The part of a header, a setting or an increment that is here.
    part: [u8; 9],
    filled: usize,
    /// The frame whose payload comes, and how much of it is still to be looked at.
    inside: Option<(Frame, usize)>,
}

impl Reader {
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Seen> {
        loop {
            let passed = self.skip.min(bytes.len());
            *bytes = &bytes[passed..];
            self.skip -= passed;
            let wanted = match &self.inside {
                None => 9,
                Some((frame, left)) => {
                    let unit = if frame.kind == SETTINGS { 6 } else { 4 };
                    if *left < unit {
                        self.skip += *left;
                        self.inside = None;
                        continue;
                    }
                    unit
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
            return Some(self.seen());
        }
    }

    /// What the whole part says.
    fn seen(&mut self) -> Seen {
        let number =
            |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|place| self.part[at + place]));
        match &mut self.inside {
            Some((frame, left)) if frame.kind == SETTINGS => {
                *left -= 6;
                let id = u16::from_be_bytes([self.part[0], self.part[1]]);
                let value = u32::from_be_bytes([2, 3, 4, 5].map(|place: usize| self.part[place]));
                Seen::Setting(id, value)
            }
            Some((frame, left)) => {
                *left -= 4;
                Seen::Window(frame.stream, number(0) & 0x7fff_ffff)
            }
            None => {
                let frame = Frame {
                    length: number(0) >> 8,
                    kind: self.part[3],
                    flags: self.part[4],
                    stream: number(5) & 0x7fff_ffff,
                };
                let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
                let acknowledges = frame.flags & ACK != 0;
                match frame.kind {
                    SETTINGS if !acknowledges => self.inside = Some((frame, length)),
                    WINDOW_UPDATE => self.inside = Some((frame, length)),
                    _ => self.skip = length,
                }
                Seen::Frame(frame)
            }
        }
    }

    fn is_between(&self) -> bool {
        let whole = self.inside.as_ref().is_none_or(|(_, left)| *left == 0);
        self.skip == 0 && self.filled == 0 && whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// A connection whose client has asked once, with an initial window of `window`.
    fn asked(window: u32) -> Frames {
        let mut sent = vec![b'P'; PREFACE];
        let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
        sent.extend(frame(SETTINGS, 0, 0, &setting));
        sent.extend(frame(HEADERS, 5, 1, b"headers"));
        let mut frames = Frames::new();
        for byte in sent {
            frames.received(&[byte]);
        }
        frames
    }

    #[tokio::test]
    async fn an_answer_that_does_not_fit_the_clients_window_is_blocked_until_it_grows() {
        let mut frames = asked(5);
        assert_eq!((frames.open(), frames.blocked()), (1, false));
        assert!(frames.sent(&frame(HEADERS, 4, 1, b"answer")));
        assert!(!frames.blocked());
        assert!(frames.sent(&frame(DATA, 0, 1, b"12345")));
        assert!(frames.blocked());
        frames.received(&frame(WINDOW_UPDATE, 0, 1, &10_u32.to_be_bytes()));
        assert!(!frames.blocked());
        assert!(frames.sent(&frame(DATA, END_STREAM, 1, b"67")));
        assert_eq!((frames.open(), frames.blocked()), (0, false));
    }

    #[tokio::test]
    async fn control_frames_alone_are_a_flood_and_among_requests_they_are_not() {
        let ping = frame(6, 0, 0, b"12345678");
        let mut frames = asked(100);
        for _ in 0..3 * MAX_CONTROL {
            frames.received(&ping);
            frames.sent(&frame(DATA, 0, 1, b"1"));
        }
        assert!(!frames.flooded());
        for _ in 0..=MAX_CONTROL {
            frames.received(&ping);
        }
        assert!(frames.flooded());
    }

    #[tokio::test]
    async fn half_a_frame_is_noticed() {
        let mut frames = asked(100);
        let whole = frame(DATA, 0, 1, b"12345");
        for split in 1..whole.len() {
            frames.sent(&whole[..split]);
            assert!(!frames.between_frames(), "{split}");
            frames.sent(&whole[split..]);
            assert!(frames.between_frames(), "{split}");
        }
    }
}
