//! Log lines, as text or JSON. A server writes them on a separate thread, so that a slow reader
//! does not delay requests.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use super::background::LineSender;

pub use super::background::DroppedLines;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text if standard error is a terminal, otherwise JSON.
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// An invalid log filter.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter:?} is not a log filter ({source}); try info, debug or resnetd=debug,warn")]
pub struct BadFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NoLog {
    /// The filter is invalid.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// The thread cannot be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// The log of this process. Dropping it writes the queued lines, for at most about two seconds.
#[derive(Debug)]
pub struct Log {
    lines: LineSender,
}

impl Log {
    /// The counter of dropped lines.
    #[must_use]
    pub fn dropped(&self) -> DroppedLines {
        self.lines.dropped()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.finish();
    }
}

/// Writes every event that passes `filter` to standard error. Blocks while standard error is not read: for
/// commands, which must not lose lines.
///
/// # Errors
///
/// [`BadFilter`] if `filter` does not have the syntax of `tracing`'s `EnvFilter`.
pub fn start(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    subscribe(filter, format, std::io::stderr)
}

/// Like [`start`], for a server: lines are written by a separate thread, and dropped and counted if its queue
/// is full; panics are logged.
///
/// # Errors
///
/// [`NoLog`] if the thread cannot be started or `filter` is invalid.
pub fn start_for_server(filter: &str, format: LogFormat) -> Result<Log, NoLog> {
    let lines = LineSender::start()?;
    subscribe(filter, format, lines.clone())?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Log { lines })
}

fn subscribe<W>(filter: &str, format: LogFormat, writer: W) -> Result<(), BadFilter>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter_layer = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| BadFilter { filter: filter.to_owned(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(writer);
    let layer = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_ansi(terminal).with_target(false).boxed()
    };
    // A second call (two servers in one test process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter_layer).with(layer).try_init();
    Ok(())
}

/// Logs a panic as a log line. The standard library's hook would block, and uses another format.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = (payload.downcast_ref::<&str>().copied())
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(panic = message, place, thread, %backtrace, "panicked");
    } else {
        tracing::error!(panic = message, place, thread, "panicked");
    }
}
