//! Parses the command line, runs the command, turns an error into words and an exit code.

use std::process::ExitCode;

use clap::Parser;

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn main() -> ExitCode {
    match resnetd::cli::run(resnetd::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
