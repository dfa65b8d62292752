//! `resnetd tune`: measures which settings serve a model fastest on this machine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::load::{Loaded, load, warm};
use super::local::{self, MeasureArgs};
use super::{fetch, files, output};
use crate::config::{ModelArgs, cores};
use crate::device::{Device, DeviceChoice};
use crate::model::{Model, Precision, PrecisionChoice};
use crate::pipeline::run::{Engine, Library, WarmSessions};
use crate::telemetry::logs::{self, LogFormat};
use crate::tune::{self, Candidate, Certainty, Goal, Race, Standing};

#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    /// Representative photos: files or folders [default: one photo of 500×375 pixels]
    #[arg(long, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,

    /// Maximize the throughput at which the 99th percentile of latency stays below this, instead of
    /// the throughput alone
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,

    /// Measuring time: no round begins that would exceed it, but the first round is always completed
    #[arg(long, default_value = "100s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    budget: Duration,

    /// Write the best settings to this file, for `resnetd serve --config`
    #[arg(long, short, value_name = "TOML")]
    output: Option<PathBuf>,

    /// Also write a plot of the results
    #[arg(long, value_name = "SVG")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    common: MeasureArgs,
}

/// The default photo.
const PHOTO: &[u8] = include_bytes!("../../tests/data/cat.jpg");

/// The maximum number of rounds.
const ROUNDS: usize = 5;

#[derive(Debug, Serialize)]
struct TuneReport<'a> {
    model: &'a str,
    device: String,
    cores: usize,
    goal: Goal,
    photos: usize,
    /// Number of completed rounds.
    rounds: usize,
    interrupted: bool,
    verdict: Option<Certainty>,
    chosen: Option<Candidate>,
    standings: Vec<&'a Standing>,
}

pub(super) fn run(args: &TuneArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let goal = args.latency.map_or(Goal::Throughput, Goal::Latency);
    let photos = photos(&args.data)?;
    let bench = Bench::prepare(args)?;
    let usual = bench.usual;
    let mut race = Race::new(goal, bench.candidates());
    let (rounds, interrupted) = local::runtime()?.block_on(bench.rounds(&mut race, &photos))?;
    ensure!(
        rounds > 0,
        "interrupted in the first round: no setting was compared; let at least one round complete"
    );

    let found = race.verdict(usual);
    let title = format!("{} on {}, {} cores: images/s", bench.name(), bench.device, cores());
    if let Some(path) = &args.plot {
        files::write_atomically(path, tune::svg(&race, &title).as_bytes())?;
    }
    let report = TuneReport {
        model: bench.name(),
        device: bench.device.to_string(),
        cores: cores(),
        goal,
        photos: photos.len(),
        rounds,
        interrupted,
        verdict: found.map(|(_, verdict)| verdict),
        chosen: found.map(|(standing, _)| standing.candidate),
        standings: race.ranking(),
    };
    if args.common.json {
        output::json(&report)?;
    } else {
        show(&report);
    }
    let Some((standing, verdict)) = found else {
        bail!(
            "no setting reaches this 99th percentile of latency; increase --latency or use a smaller model"
        )
    };
    match &args.output {
        Some(_) if interrupted => bail!("interrupted: no file was written"),
        Some(path) => {
            let text = config(&args.common.model, bench.device, standing, verdict, rounds)?;
            files::write_atomically(path, text.as_bytes())?;
            if !args.common.json {
                output::line(format!("try: resnetd serve --config {}", path.display()));
            }
        }
        None => {}
    }
    Ok(())
}

fn photos(paths: &[PathBuf]) -> Result<Vec<Bytes>> {
    if paths.is_empty() {
        return Ok(vec![Bytes::from_static(PHOTO)]);
    }
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map(Bytes::from)
            .with_context(|| format!("cannot read {}", path.display()))
    };
    files::images(paths)?.iter().map(read).collect()
}

/// The measured models, and what is needed to run them.
struct Bench<'a> {
    args: &'a TuneArgs,
    library: Library,
    device: Device,
    /// The model in each precision that is measured.
    models: Vec<Model>,
    /// The settings without tuning.
    usual: Candidate,
}

impl<'a> Bench<'a> {
    fn prepare(args: &'a TuneArgs) -> Result<Self> {
        let model_args = &args.common.model;
        let concurrency = model_args.concurrency(cores())?;
        let Loaded { model, library, warm, .. } = load(model_args, concurrency)?;
        let device = warm.device;
        let usual = Candidate {
            precision: model.card.precision,
            sessions: concurrency.sessions(device),
            threads: concurrency.threads,
            max_batch: concurrency.max_batch(device),
        };
        drop(warm);
        let mut models = vec![model];
        if model_args.precision == PrecisionChoice::Auto {
            let other = match usual.precision {
                Precision::Fp32 => Precision::Int8,
                Precision::Int8 | Precision::Fp16 => Precision::Fp32,
            };
            let name = fetch::model(&model_args.model, &model_args.hub)?;
            let arch = model_args.arch.as_deref();
            // If the model is not available in the other precision, only this one is measured.
            if let Ok(chosen) = Model::open_as(&name, arch, PrecisionChoice::Only(other), device) {
                models.push(chosen.model);
            }
        }
        Ok(Self { args, library, device, models, usual })
    }

    fn name(&self) -> &str {
        &self.models[0].card.name
    }

    fn candidates(&self) -> Vec<Candidate> {
        let precisions: Vec<_> = self.models.iter().map(|model| model.card.precision).collect();
        let mut found = match self.device {
            Device::Cpu => tune::candidates(cores(), &precisions),
            Device::Cuda(_) => tune::candidates_on_gpu(&precisions),
        };
        if !found.contains(&self.usual) {
            found.insert(0, self.usual);
        }
        found
    }

    /// Measures all candidates of `race` in turns until the time is up or the command is interrupted. Returns
    /// the number of completed rounds, and whether it was interrupted.
    async fn rounds(&self, race: &mut Race, photos: &[Bytes]) -> Result<(usize, bool)> {
        let started = Instant::now();
        let first = race.running().len();
        let bar = output::progress(first * ROUNDS, "trials");
        for round in 0..ROUNDS {
            let running = race.running();
            // A round that would exceed the budget is not started.
            let spent = started.elapsed();
            if round > 0
                && spent + spent / u32::try_from(round).unwrap_or(1) * 3 / 4 > self.args.budget
            {
                return Ok((round, false));
            }
            for group in running.chunk_by(Candidate::has_sessions_of) {
                let engines = self.engines(group)?;
                for &candidate in group {
                    let trial = self.trial(candidate, &engines, race.goal(), photos);
                    let trial = tokio::select! {
                        trial = trial => trial?,
                        _ = tokio::signal::ctrl_c() => return Ok((round, true)),
                    };
                    race.note(candidate, trial);
                    bar.inc(1);
                }
            }
            race.drop_losers();
        }
        bar.finish_and_clear();
        Ok((ROUNDS, false))
    }

    /// Warm sessions for the candidates of `group`, which differ only in their batches.
    fn engines(&self, group: &[Candidate]) -> Result<Vec<SharedEngine>> {
        let largest = group.iter().map(|candidate| candidate.max_batch).max().unwrap_or(1);
        let candidate = Candidate { max_batch: largest, ..group[0] };
        let concurrency = self.options(candidate).concurrency(cores())?;
        let (warm, _) = warm(self.model(candidate), self.device, concurrency, &self.library)?;
        Ok(warm.engines.into_iter().map(|engine| Arc::new(Mutex::new(engine))).collect())
    }

    async fn trial(
        &self,
        candidate: Candidate,
        engines: &[SharedEngine],
        goal: Goal,
        photos: &[Bytes],
    ) -> Result<tune::Trial> {
        let warm = WarmSessions {
            engines: engines.iter().map(borrow).collect(),
            device: self.device,
            load: Duration::ZERO,
            warm_up: Duration::ZERO,
        };
        let (model, limits) = (self.model(candidate).clone(), &self.args.common.limits);
        let pipeline = local::pipeline(model, warm, &self.options(candidate), limits)?;
        let count = u32::try_from(self.candidates().len() * ROUNDS).unwrap_or(u32::MAX);
        // Half of the time is for loading, slow networks, and comparing several rounds.
        let duration = (self.args.budget / count / 2).max(Duration::from_millis(200));
        let trial = tune::trial(&pipeline, photos, goal, duration).await?;
        pipeline.finish(Duration::from_secs(60)).await;
        Ok(trial)
    }

    fn options(&self, candidate: Candidate) -> ModelArgs {
        ModelArgs {
            device: DeviceChoice::Only(self.device),
            sessions: Some(candidate.sessions),
            threads: Some(candidate.threads),
            max_batch: Some(candidate.max_batch),
            ..self.args.common.model.clone()
        }
    }

    fn model(&self, candidate: Candidate) -> &Model {
        let same = |model: &&Model| model.card.precision == candidate.precision;
        self.models.iter().find(same).unwrap_or(&self.models[0])
    }
}

/// An engine that is shared by the pipelines of several trials.
type SharedEngine = Arc<Mutex<Engine>>;

fn borrow(engine: &SharedEngine) -> Engine {
    let engine = Arc::clone(engine);
    Box::new(move |batch| (engine.lock().unwrap_or_else(PoisonError::into_inner))(batch))
}

fn show(report: &TuneReport<'_>) {
    let mut table = output::table(&[
        "precision",
        "sessions",
        "threads",
        "max batch",
        "images/s",
        "lowest",
        "highest",
        "p99",
        "rounds",
    ]);
    for standing in &report.standings {
        let [median, low, high] = standing.rates();
        let Candidate { precision, sessions, threads, max_batch } = standing.candidate;
        table.add_row([
            precision.to_string(),
            sessions.to_string(),
            threads.to_string(),
            max_batch.to_string(),
            format!("{median:.1}"),
            format!("{low:.1}"),
            format!("{high:.1}"),
            format!("{:.1} ms", standing.p99_ms()),
            standing.trials.len().to_string(),
        ]);
    }
    let TuneReport { model, device, cores, rounds, .. } = report;
    output::line(format!("{model} on {device}, {cores} cores, {rounds} rounds in turns"));
    output::show(&table);
    let words = match report.verdict {
        None => return,
        Some(Certainty::Usual) => "the defaults are the fastest here",
        Some(Certainty::WithinNoise) => {
            "the defaults are kept: the difference to the fastest is within the noise"
        }
        Some(Certainty::Better) => "the first row is faster than the defaults in every round",
        Some(Certainty::DefaultDropped) => {
            "the first row is the fastest; the defaults were too slow to be measured in every round"
        }
    };
    output::line(words);
}

/// The value of an option, as on the command line.
fn named(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The file for `serve --config`, with the options that were measured.
fn config(
    args: &ModelArgs,
    device: Device,
    standing: &Standing,
    verdict: Certainty,
    rounds: usize,
) -> Result<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct File<'a> {
        model: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        arch: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        labels: Option<String>,
        device: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        decoders: Option<usize>,
        precision: Precision,
        sessions: usize,
        threads: usize,
        max_batch: usize,
        calibrated: String,
        cuda_graphs: String,
        int8_kernels: String,
        jpeg_scaling: String,
    }
    let Candidate { precision, sessions, threads, max_batch } = standing.candidate;
    let [median, low, high] = standing.rates();
    // An absolute path works from every folder; a name is unchanged.
    let absolute = |path: &Path| Some(path.canonicalize().ok()?.to_str()?.to_owned());
    let path = absolute(Path::new(&args.model));
    let file = File {
        model: path.as_deref().unwrap_or(&args.model),
        arch: args.arch.as_deref(),
        labels: args.labels.as_deref().and_then(absolute),
        device: device.to_string(),
        decoders: args.decoders,
        precision,
        sessions,
        threads,
        max_batch,
        calibrated: named(&args.calibrated),
        cuda_graphs: named(&args.cuda_graphs),
        int8_kernels: named(&args.int8_kernels),
        jpeg_scaling: named(&args.jpeg_scaling),
    };
    let why = match verdict {
        Certainty::Usual => "the defaults, which are the fastest",
        Certainty::WithinNoise => "the defaults; nothing was faster in every round",
        Certainty::Better => "faster than the defaults in every round",
        Certainty::DefaultDropped => {
            "the fastest; the defaults were too slow to be measured in every round"
        }
    };
    Ok(format!(
        "# Written by `resnetd tune` for a machine with {} cores: {why}.\n\
         # {median:.1} images/s, {low:.1} to {high:.1} in {rounds} rounds.\n{}",
        cores(),
        toml::to_string(&file)?
    ))
}
