//! Follows the frames of an HTTP/2 connection to detect responses that the client's window blocks and
//! floods of control frames, and to add up the memory of open requests. RFC 9113.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::fields::HeaderBlock;
use super::frame_reader::{
    BlockPart, CONTINUATION, DATA, END_STREAM, Frame, FrameReader, HEADERS, Parsed, RST_STREAM,
};

/// Length of the connection preface, which an HTTP/2 client sends first.
const PREFACE: usize = 24;

const INITIAL_WINDOW_SIZE: u16 = 4;
const USUAL_WINDOW: i64 = 65_535;

/// Control frames (SETTINGS, PING, PRIORITY, …) that a client may send within [`PERIOD`] without a request, an upload or an
/// answer among them.
const MAX_CONTROL: u32 = 1000;
const PERIOD: Duration = Duration::from_secs(10);

/// Maximum number of fields of a header block. Above it, the connection is closed before they are decoded.
/// Requests with more than 100 fields are answered 431.
const MAX_FIELDS: usize = 256;

/// Bytes that an open request holds in addition to its headers: its task, and a response too small to be charged.
const REQUEST: usize = 16 << 10;

/// Bytes that decoded headers hold for each byte of their block (Huffman codes of five bits decode to eight), and
/// for each field.
const EACH_BYTE: usize = 2;
const EACH_FIELD: usize = 128;

/// GOAWAY with `ENHANCE_YOUR_CALM` and the last stream 0, so that clients send their requests again
/// elsewhere.
pub(super) const CALM: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    from_client: FrameReader,
    to_client: FrameReader,
    initial: i64,
    window: i64,
    streams: HashMap<u32, Stream>,
    /// The latest stream that the client has opened.
    latest: u32,
    /// Bytes that all streams hold.
    held: usize,
    /// The header block being received.
    block: Option<HeaderBlock>,
    /// The largest number of fields in a header block so far.
    most_fields: usize,
    control: u32,
    since: Instant,
}

/// An open stream.
#[derive(Debug, Default)]
struct Stream {
    window: i64,
    answered: bool,
    /// Bytes that it holds while it is open.
    held: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            from_client: FrameReader::behind(PREFACE),
            to_client: FrameReader::default(),
            initial: USUAL_WINDOW,
            window: USUAL_WINDOW,
            streams: HashMap::new(),
            latest: 0,
            held: 0,
            block: None,
            most_fields: 0,
            control: 0,
            since: Instant::now(),
        }
    }

    /// Processes bytes from the client.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while let Some(seen) = self.from_client.next(&mut bytes) {
            match seen {
                Parsed::Frame(frame) => self.received_frame(&frame),
                Parsed::Setting(id, value) if id == INITIAL_WINDOW_SIZE => {
                    let value = i64::from(value);
                    for stream in self.streams.values_mut() {
                        stream.window += value - self.initial;
                    }
                    self.initial = value;
                }
                Parsed::Setting(..) => {}
                Parsed::Window(0, more) => self.window += i64::from(more),
                Parsed::Window(id, more) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.window += i64::from(more);
                    }
                }
                Parsed::Block(part) => self.received_block(part),
            }
        }
    }

    /// Processes a part of a header block. A stream opens when its headers are complete.
    fn received_block(&mut self, BlockPart { bytes, frame, is_last }: BlockPart<'_>) {
        let block = self.block.get_or_insert_default();
        block.add(bytes);
        self.most_fields = self.most_fields.max(block.fields());
        if !is_last {
            return;
        }
        let held = held_by(block);
        if frame.stream > self.latest {
            self.latest = frame.stream;
            let stream = Stream { window: self.initial, answered: false, held: REQUEST };
            self.streams.insert(frame.stream, stream);
            self.held += REQUEST;
        }
        // Trailers may belong to a stream that has already ended.
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.held += held;
            self.held += held;
        }
        self.block = None;
    }

    fn end(&mut self, stream: u32) {
        if let Some(stream) = self.streams.remove(&stream) {
            self.held -= stream.held;
        }
    }

    fn received_frame(&mut self, frame: &Frame) {
        match frame.kind {
            HEADERS => self.control = 0,
            DATA if frame.length > 0 => self.control = 0,
            CONTINUATION => {}
            kind => {
                if kind == RST_STREAM {
                    self.end(frame.stream);
                }
                let now = Instant::now();
                if now.duration_since(self.since) > PERIOD {
                    (self.since, self.control) = (now, 0);
                }
                self.control += 1;
            }
        }
    }

    /// Processes bytes to the client. Returns whether they contain a part of a response.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) -> bool {
        let mut went_on = false;
        while let Some(seen) = self.to_client.next(&mut bytes) {
            let Parsed::Frame(frame) = seen else { continue };
            match frame.kind {
                HEADERS | DATA => {
                    went_on = true;
                    self.control = 0;
                    self.answered(&frame);
                }
                RST_STREAM => self.end(frame.stream),
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
            self.end(frame.stream);
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.answered = true;
            if frame.kind == DATA {
                stream.window -= i64::from(frame.length);
            }
        }
    }

    /// Number of open streams.
    pub(super) fn open(&self) -> usize {
        self.streams.len()
    }

    /// Bytes that open requests and the header block being received hold.
    pub(super) fn held(&self) -> usize {
        self.held + self.block.as_ref().map_or(0, held_by)
    }

    /// Whether a header block had more than [`MAX_FIELDS`] fields.
    pub(super) fn has_too_many_fields(&self) -> bool {
        self.most_fields > MAX_FIELDS
    }

    /// Whether a response is blocked by the client's flow-control windows.
    pub(super) fn blocked(&self) -> bool {
        self.streams
            .values()
            .any(|stream| stream.answered && (stream.window <= 0 || self.window <= 0))
    }

    /// Whether the client floods the connection with control frames.
    pub(super) fn flooded(&self) -> bool {
        self.control > MAX_CONTROL
    }

    /// Whether the server is between two frames, so that another frame can be inserted.
    pub(super) fn between_frames(&self) -> bool {
        self.to_client.is_between()
    }
}

/// Bytes that the headers of `block` hold after decoding.
fn held_by(block: &HeaderBlock) -> usize {
    EACH_BYTE * block.bytes() + EACH_FIELD * block.fields()
}

#[cfg(test)]
mod tests {
    use super::super::frame_reader::{END_HEADERS, SETTINGS, WINDOW_UPDATE};
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// A connection with one request and an initial window of `window`.
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
    async fn a_response_larger_than_the_clients_window_is_blocked_until_it_grows() {
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
    async fn control_frames_are_a_flood_only_without_requests() {
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
    async fn open_requests_count_their_headers_until_they_end() {
        let mut frames = asked(100);
        let one = frames.held();
        assert!(one > REQUEST);
        frames.received(&frame(HEADERS, 0, 3, &[0x82; 10]));
        assert_eq!((frames.held(), frames.open()), (one + 10 * (EACH_BYTE + EACH_FIELD), 1));
        frames.received(&frame(CONTINUATION, END_HEADERS, 3, &[0x82; 5]));
        assert_eq!(
            (frames.held(), frames.open()),
            (one + REQUEST + 15 * (EACH_BYTE + EACH_FIELD), 2)
        );
        // One byte of padding length and five bytes of priority.
        let padded = frame(HEADERS, 8 | 32 | END_HEADERS, 5, b"\x02prior\x82\x84\0\0");
        for byte in padded {
            frames.received(&[byte]);
        }
        assert_eq!(frames.held(), one + 2 * REQUEST + 17 * (EACH_BYTE + EACH_FIELD));
        frames.received(&frame(RST_STREAM, 0, 5, &[0; 4]));
        frames.sent(&frame(HEADERS, END_STREAM | END_HEADERS, 3, b"answer"));
        assert_eq!((frames.held(), frames.open()), (one, 1));
        // Trailers of a stream that has ended.
        frames.received(&frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x82"));
        assert_eq!((frames.held(), frames.open()), (one, 1));
    }

    #[tokio::test]
    async fn too_many_fields_are_detected_before_the_block_ends() {
        let mut frames = asked(100);
        frames.received(&frame(HEADERS, 0, 3, &[0xBE; MAX_FIELDS]));
        assert!(!frames.has_too_many_fields());
        frames.received(&frame(CONTINUATION, 0, 3, &[0xBE]));
        assert!(frames.has_too_many_fields());
    }

    #[tokio::test]
    async fn a_partly_sent_frame_is_detected() {
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
