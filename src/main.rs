//! Parses the command line, runs the command, and converts an error to a message and an exit code.

use std::process::ExitCode;
use std::time::Duration;

/// How long to wait until the error message is written.
const PATIENCE: Duration = Duration::from_secs(1);

#[expect(clippy::print_stderr, reason = "the error message of a command-line program")]
fn main() -> ExitCode {
    disable_onnxruntime_telemetry();
    resnetd::pipeline::run::bound_heap();
    let cli = resnetd::cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match resnetd::cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // On a separate thread, because standard error may not be read.
            let message = resnetd::cli::error_chain(&error);
            let (done, written) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                eprintln!("error: {message}");
                done.send(())
            });
            let _ = written.recv_timeout(PATIENCE);
            ExitCode::FAILURE
        }
    }
}

/// Disables telemetry of ONNX Runtime. Its Linux builds send an event while they are loaded, before its
/// API can be used, so this must be set in the environment.
#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "ONNX Runtime has no other setting that takes effect in time"
)]
fn disable_onnxruntime_telemetry() {
    // SAFETY: called first in main, so no other thread reads the environment.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}
