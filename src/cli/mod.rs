//! The commands, one file each.

mod bench;
mod beside; // what classify tells beside the classes
mod calibrate; // eval --calibrate
mod card_file; // and where it is kept
mod classify;
mod config_file; // options of serve that are written down
mod describe;
mod eval;
mod export;
mod files;
mod healthcheck;
mod fetch; // a name of the hub becomes a folder
mod labels; // class names from a file
mod load;
mod local;
mod output;
mod overlays;
mod quantize;
mod serve;
mod tune;
mod verify;

use clap::{Parser, Subcommand};

pub use config_file::parse;

/// Classifies images: a photo in, its classes out
///
/// Start the service with `resnetd serve`, then:
///
///   curl --data-binary @photo.jpg localhost:8080/classify
///
/// Every option can also be set by the environment variable that its help names.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a model over HTTP
    Serve(Box<crate::config::ServeArgs>),
    /// Classify files and folders without a server
    Classify(classify::ClassifyArgs),
    /// Write a model as one self-contained ONNX file
    Export(export::ExportArgs),
    /// Write a model's int8 form, about three times as fast on a CPU
    Quantize(Box<quantize::QuantizeArgs>),
    /// Show a network's layers, parameters and multiply-adds
    Describe(describe::DescribeArgs),
    /// Measure accuracy on labelled images
    Eval(eval::EvalArgs),
    /// Put load on a server and measure it, or the machine's limit without one
    Bench(Box<bench::BenchArgs>),
    /// Find the fastest sessions, threads and batches for a model on this machine
    Tune(Box<tune::TuneArgs>),
    /// Hold a model's logits against those of the framework that trained it
    Verify(Box<verify::VerifyArgs>),
    /// Ask a running server whether it is ready; for containers
    Healthcheck(healthcheck::HealthcheckArgs),
}

/// Runs the command that was typed.
///
/// # Errors
///
/// Whatever went wrong, in words for a person.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
    }
}
