//! `resnetd bench`: measures a server under load, or the machine's limit without a server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::load::{Loaded, load};
use super::local::{self, MeasureArgs};
use super::{files, output};
use crate::bench::{self, Load, LoadResults, Preparation, RunTimes, Summary, Target};
use crate::config::cores;
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[expect(clippy::doc_markdown, reason = "help text is not Markdown")]
    /// URL of the server, such as http://127.0.0.1:8080
    #[arg(required_unless_present = "in_process", conflicts_with = "in_process")]
    url: Option<String>,

    /// Run without a server: decode, preprocess and run on all cores, which is the machine's limit
    /// for the model
    #[arg(long)]
    in_process: bool,

    /// API key to send, for a server with --api-keys
    #[arg(long, env = "RESNETD_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,

    /// Photos to send in a cycle: files or folders
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,

    /// Closed loop: number of clients, each of which sends its next request after the response to
    /// the last
    #[arg(long, default_value_t = 32, value_name = "N", conflicts_with = "in_process")]
    concurrency: usize,

    /// Open loop: requests per second, as a Poisson process independent of the responses; latency
    /// is measured from the time at which a request was due
    #[arg(long, value_name = "PER_SECOND", conflicts_with_all = ["concurrency", "in_process"])]
    rate: Option<f64>,

    /// How long to measure
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// How long to send requests before the measurement
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    warm_up: Duration,

    /// Time after which a request counts as failed
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// Seed for the random times of --rate
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,

    /// Also write a plot of latency by percentile
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    common: MeasureArgs,
}

#[derive(Debug, Serialize)]
struct BenchReport<'a> {
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    photos: usize,
    warm_up_requests: u64,
    #[serde(flatten)]
    summary: Summary,
}

pub(super) fn run(args: &BenchArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    ensure!(!args.duration.is_zero(), "--duration is 0; there would be nothing to measure");
    ensure!(args.concurrency > 0, "--concurrency is 0; at least one client must send");
    let photos = files::images(&args.data)?
        .iter()
        .map(|path| {
            let bytes =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
            bytes.map(Bytes::from)
        })
        .collect::<Result<Vec<_>>>()?;
    let (duration, warm_up, timeout) = (args.duration, args.warm_up, args.timeout);
    let times = RunTimes { warm_up, duration, timeout };
    let count = photos.len();
    let (target, load, measured) = match &args.url {
        Some(url) => {
            let load = args.load()?;
            (url.as_str(), Some(load), on_server(args.target(url, photos)?, load, times)?)
        }
        None => ("in process", None, in_process(args, &photos, times)?),
    };
    if let Some(path) = &args.plot {
        files::write_atomically(path, bench::svg(&measured, &title(target, load)).as_bytes())?;
    }
    let warm_up_requests = measured.uncounted();
    let summary = measured.summary();
    let report = BenchReport { target, load, photos: count, warm_up_requests, summary };
    if args.common.json {
        output::json(&report)?;
    } else {
        show(&report);
    }
    let Summary { requests, errors, .. } = &report.summary;
    ensure!(*requests > 0, "no request was due within --duration; measure longer");
    let kinds: Vec<&str> = errors.keys().map(String::as_str).collect();
    ensure!(
        errors.values().sum::<u64>() < *requests,
        "no request of {requests} was answered with classes: {}",
        kinds.join(", ")
    );
    Ok(())
}

impl BenchArgs {
    fn target(&self, url: &str, photos: Vec<Bytes>) -> Result<Target> {
        let target = Target::new(url, photos)?;
        match &self.api_key {
            Some(key) => Ok(target.with_key(key)?),
            None => Ok(target),
        }
    }

    fn load(&self) -> Result<Load> {
        let Some(rate) = self.rate else {
            return Ok(Load::Closed { concurrency: self.concurrency });
        };
        ensure!(rate.is_finite() && rate > 0.0, "--rate is {rate}; it must be more than 0");
        Ok(Load::Open { rate, seed: self.seed })
    }
}

fn on_server(target: Target, load: Load, times: RunTimes) -> Result<LoadResults> {
    let runtime = local::runtime()?;
    runtime.block_on(target.check(times.timeout))?;
    let bar = output::progress(usize::MAX, "s");
    bar.set_length(times.total().as_secs());
    let started = std::time::Instant::now();
    let measured = runtime.block_on(bench::drive(target, load, times, |measured| {
        if bar.is_hidden() {
            return; // leave the cores to the server
        }
        bar.set_position(started.elapsed().as_secs());
        if measured.good() % 16 == 0 {
            let (good, bad, p99) = (measured.good(), measured.bad(), measured.quantile(0.99));
            bar.set_message(format!("s, {good} good, {bad} bad, p99 {p99:.1} ms"));
        }
    }));
    bar.finish_and_clear();
    Ok(measured)
}

fn in_process(args: &BenchArgs, photos: &[Bytes], times: RunTimes) -> Result<LoadResults> {
    let concurrency = args.common.model.concurrency(cores())?;
    let Loaded { model, warm, .. } = load(&args.common.model, concurrency)?;
    let preparation = Preparation {
        preprocess: &model.card.preprocess,
        limits: &args.common.limits.limits(),
        scaling: args.common.model.jpeg_scaling,
    };
    Ok(bench::limit(warm.engines, preparation, photos, times)?)
}

fn title(target: &str, load: Option<Load>) -> String {
    match load {
        None => format!("{target}: latency on all cores"),
        Some(Load::Closed { concurrency }) => {
            format!("{target}: latency with {concurrency} clients")
        }
        Some(Load::Open { rate, .. }) => format!("{target}: latency at {rate} requests/s"),
    }
}

fn show(report: &BenchReport) {
    let Summary { requests_per_second, goodput_per_second, latency_ms, errors, seconds, .. } =
        &report.summary;
    let BenchReport { target, photos, warm_up_requests, .. } = report;
    output::line(format!(
        "{target}, {photos} photos, {seconds} s after a warm-up of {warm_up_requests} requests"
    ));
    let mut table = output::table(&["", ""]);
    table.add_row(["requests sent/s".to_owned(), format!("{requests_per_second:.1}")]);
    table.add_row(["goodput/s".to_owned(), format!("{goodput_per_second:.1}")]);
    for (name, millis) in [
        ("p50", latency_ms.p50),
        ("p90", latency_ms.p90),
        ("p99", latency_ms.p99),
        ("p99.9", latency_ms.p999),
        ("max", latency_ms.max),
    ] {
        table.add_row([name.to_owned(), format!("{millis:.2} ms")]);
    }
    for (kind, count) in errors {
        table.add_row([format!("failed: {kind}"), count.to_string()]);
    }
    output::show(&table);
}
