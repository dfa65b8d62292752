//! Writes log lines to standard error on a separate thread, so that logging never blocks. If they are read
//! too slowly, lines are dropped and counted. (`tracing-appender` does the same, with nine more crates.)

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// The maximum number of queued lines.
const WAITING: usize = 4096;

/// How long to wait for queued lines at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A message to the writing thread.
enum Message {
    Line(Vec<u8>),
    /// Acknowledged when all earlier lines are written.
    End(SyncSender<()>),
}

/// Number of dropped lines that are not yet counted in the metrics.
#[derive(Debug, Clone, Default)]
pub struct DroppedLines(Arc<AtomicU64>);

impl DroppedLines {
    /// The number since the last call.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The sending side of the thread.
#[derive(Debug, Clone)]
pub(super) struct LineSender {
    lines: SyncSender<Message>,
    dropped: DroppedLines,
}

impl LineSender {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting))?;
        Ok(Self { lines, dropped: DroppedLines::default() })
    }

    pub(super) fn dropped(&self) -> DroppedLines {
        self.dropped.clone()
    }

    /// Waits, for a limited time, until the queued lines are written.
    pub(super) fn finish(&self) {
        let (done, ended) = sync_channel(1);
        let (tried, end) = channel();
        // Sending blocks while the queue is full, so another thread does it.
        let lines = self.lines.clone();
        thread::spawn(move || tried.send(lines.send(Message::End(done)).is_ok()));
        if end.recv_timeout(FLUSH_LIMIT) == Ok(true) {
            let _ = ended.recv_timeout(FLUSH_LIMIT);
        }
    }
}

fn write(waiting: &Receiver<Message>) {
    while let Ok(message) = waiting.recv() {
        match message {
            // Standard error may be closed; the server continues.
            Message::Line(line) => drop(io::stderr().write_all(&line)),
            Message::End(done) => drop(done.send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for LineSender {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { to: self, bytes: Vec::new() }
    }
}

/// A line, sent when it is dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    to: &'a LineSender,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.bytes));
        if self.to.lines.try_send(line).is_err() {
            self.to.dropped.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
