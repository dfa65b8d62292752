//! The commands, and what they share.

mod announce; // announces that serve is ready
mod api_key;
mod bench; // loads a server
mod calibrate; // eval --calibrate
mod card_file; // edits a model card
mod classify;
mod config_file; // serve --config
mod describe;
mod eval;
mod export;
mod files; // finds input files, writes output files
mod generate; // completions and man pages
mod healthcheck;
mod fetch; // downloads a model from the hub
mod labels; // class names from a file
mod load; // loads the model of the options
mod classify_load_error; // classifies errors of loading a model
mod loader; // loads models for the server
mod local; // the pipeline for commands that read files
mod models; // the models of serve
mod output; // results and progress
mod plan; // predicts the number of replicas
mod quantize;
mod serve;
mod tune;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};

pub use config_file::parse;

/// Classifies images with ResNets, over HTTP or from the command line
///
/// Start the server with `resnetd serve`, then send it an image:
///
///   curl --data-binary @photo.jpg localhost:8080/classify
///
/// Options whose help names an environment variable can also be set by it.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The command line. `quantize` reads float32 on the CPU, so options that would choose otherwise are not shown.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command().mut_subcommand("quantize", |quantize| {
        ["precision", "device", "calibrated"]
            .iter()
            .fold(quantize, |quantize, id| quantize.mut_arg(id, |option| option.hide(true)))
    })
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a model over HTTP
    Serve(Box<crate::config::ServeArgs>),
    /// Classify files and folders without a server
    Classify(classify::ClassifyArgs),
    /// Write a model as one self-contained ONNX file
    Export(export::ExportArgs),
    /// Quantize a model to int8, which is about three times as fast on a CPU with VNNI
    ///
    /// The model is an embedded one, weights, or a file of `resnetd export`. ONNX files of other
    /// programs cannot be quantized
    Quantize(Box<quantize::QuantizeArgs>),
    /// Show a network's layers, parameters and multiply-adds
    Describe(describe::DescribeArgs),
    /// Measure accuracy on labelled images
    Eval(eval::EvalArgs),
    /// Measure a server under load, or the machine's limit without a server
    Bench(Box<bench::BenchArgs>),
    /// Predict how many replicas a load needs, from a measured throughput
    Plan(plan::PlanArgs),
    /// Find the fastest sessions, threads and batches for a model on this machine
    Tune(Box<tune::TuneArgs>),
    /// Compare a model's logits with those of the framework that trained it
    Verify(Box<verify::VerifyArgs>),
    /// Generate an API key for `serve --api-keys`
    ApiKey(api_key::ApiKeyArgs),
    /// Check whether a running server is ready; for container health checks
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print completions for a shell
    Completions(generate::CompletionsArgs),
    /// Print a man page, or write all of them
    Man(generate::ManArgs),
}

/// Runs a command.
///
/// # Errors
///
/// The command's error, with a message for the user.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::ApiKey(args) => api_key::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
    }
}

/// An error and its causes, without repetition: some errors include their causes in their own message.
#[must_use]
pub fn error_chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |message, cause| match message {
        _ if message.is_empty() => cause,
        _ if message.contains(&cause) => message,
        _ => format!("{message}: {cause}"),
    })
}
