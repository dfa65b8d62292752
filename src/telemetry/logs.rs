//! Log lines: text for people, JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text where standard error is a terminal, JSON elsewhere.
    Auto,
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// A log filter that `tracing` cannot read.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter:?} is not a log filter ({source}); try info, debug or resnetd=debug,warn")]
pub struct BadFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Sends every event that `filter` lets through to standard error, once per process.
///
/// # Errors
///
/// [`BadFilter`] where `filter` is not in the syntax of `tracing`'s `EnvFilter`.
pub fn start(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    let filter_layer = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| BadFilter { filter: filter.to_owned(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_ansi(terminal).with_target(false).boxed()
    };
    // A second call (two servers in one test process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter_layer).with(layer).try_init();
    Ok(())
}
