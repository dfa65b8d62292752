//! Parses the command line, runs the command, turns an error into words and an exit code.

use std::process::ExitCode;
use std::time::Duration;

/// How long the last word waits for its reader.
const PATIENCE: Duration = Duration::from_secs(1);

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn main() -> ExitCode {
    keep_onnxruntime_from_reporting();
    resnetd::pipeline::run::bound_heap();
    let cli = resnetd::cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match resnetd::cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be reading: the program ends nevertheless.
            let words = resnetd::cli::told(&error);
            let (done, said) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                eprintln!("error: {words}");
                done.send(())
            });
            let _ = said.recv_timeout(PATIENCE);
            ExitCode::FAILURE
        }
    }
}

/// ONNX Runtime's Linux builds send their maker an event while they are loaded, before its API could
/// object. Only the environment stops that.
#[expect(unsafe_code, clippy::disallowed_methods, reason = "nobody else can ask for silence")]
fn keep_onnxruntime_from_reporting() {
    // SAFETY: called first in main, so no other thread is there to read the environment meanwhile.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}
