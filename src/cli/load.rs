//! A model by its options, on warm sessions.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use anyhow::{Result, anyhow, ensure};

use super::fetch;
use crate::config::{Calibrated, Concurrency, ModelArgs};
use crate::model::{Chosen, Model, ModelCard, Precision, foreign, int8};
use crate::pipeline::golden;
use crate::pipeline::run::{
    Batch, Device, DeviceChoice, Engine, InputShape, Library, Output, SessionsPlan, WarmSessions,
    check_device, open_sessions,
};

/// What a pipeline is started from.
pub(super) struct Loaded {
    pub(super) model: Model,
    /// Why the model has the precision that it has.
    pub(super) why: &'static str,
    pub(super) library: Library,
    pub(super) warm: WarmSessions,
}

/// Opens the model and the library that `args` name, and warms up the sessions.
///
/// With [`DeviceChoice::Auto`] a CUDA device that cannot be had, or on which the model does not
/// run, is a warning, and the CPU is used; a device asked for by name is had or refused.
pub(super) fn load(args: &ModelArgs, concurrency: Concurrency) -> Result<Loaded> {
    load_meanwhile(args, concurrency, |_| ()).map(|(loaded, ())| loaded)
}

/// The same, and what `meanwhile` makes of the model, on a thread beside the one that loads it.
pub(super) fn load_meanwhile<T: Send>(
    args: &ModelArgs,
    concurrency: Concurrency,
    meanwhile: impl Fn(&Model) -> T + Sync,
) -> Result<(Loaded, T)> {
    let library = Library::load(args.onnxruntime.as_deref())?;
    if let DeviceChoice::Only(device) = args.device {
        check_device(&library, device)?; // before a large model is fetched for nothing
    }
    let model = fetch::model(&args.model, &args.hub)?;
    let on = |device| {
        let chosen = choose(device, (args, &model), &library)?;
        thread::scope(|scope| {
            let made = scope.spawn(|| meanwhile(&chosen.model));
            let warm = warm(&chosen.model, device, concurrency, &library)?;
            let made = made.join().unwrap_or_else(|panic| resume_unwind(panic));
            anyhow::Ok((made, warm))
        })
        .map(|(made, warm)| (chosen, made, warm))
    };
    let device = match args.device {
        DeviceChoice::Only(device) => device,
        DeviceChoice::Auto => match on(Device::Cuda(0)) {
            Ok((Chosen { model, why }, made, warm)) => {
                return Ok((Loaded { model, why, library, warm }, made));
            }
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().next().unwrap_or_default();
                tracing::warn!(reason, "no CUDA device can be had: running on the CPU");
                Device::Cpu
            }
        },
    };
    let (Chosen { model, why }, made, warm) = on(device)?;
    Ok((Loaded { model, why, library, warm }, made))
}

/// The model as it runs on `device`.
fn choose(device: Device, (args, model): (&ModelArgs, &str), library: &Library) -> Result<Chosen> {
    check_device(library, device)?; // before a large model is read for nothing
    let mut chosen = Model::open_as(model, args.arch.as_deref(), args.precision, device)?;
    if let (Device::Cpu, Precision::Int8, Some(why)) =
        (device, chosen.model.card.precision, int8::why_not())
    {
        tracing::warn!("{why}: resnetd tune shows which precision is faster here");
    }
    heed(&mut chosen.model, args.calibrated);
    Ok(chosen)
}

/// Takes the calibrations from the model where none is to be heeded.
fn heed(model: &mut Model, calibrated: Calibrated) {
    if calibrated == Calibrated::Off {
        let calibration = BTreeMap::new();
        model.card = ModelCard { calibration, ..model.card.as_ref().clone() }.into();
    }
}

/// Warm sessions of a model, which give the card's golden photos their scores.
pub(super) fn warm(
    model: &Model,
    device: Device,
    concurrency: Concurrency,
    library: &Library,
) -> Result<WarmSessions> {
    let plan = sessions_plan(model, device, concurrency);
    let mut warm = open_sessions(library, &model.onnx, plan)?;
    // The sessions are of one graph: what one of them computes, all do.
    if let Some(engine) = warm.engines.first_mut() {
        check_scores(&model.card, engine, plan.input)?;
        golden::check(&model.card, engine)?;
    }
    Ok(warm)
}

fn sessions_plan(model: &Model, device: Device, concurrency: Concurrency) -> SessionsPlan {
    SessionsPlan {
        device,
        sessions: concurrency.sessions(device),
        threads: concurrency.threads,
        cuda_graphs: concurrency.cuda_graphs,
        max_batch: concurrency.max_batch(device),
        input: InputShape::of(&model.card.preprocess),
    }
}

/// One more warm engine of the model that `args` name.
pub(super) fn one_engine(
    args: &ModelArgs,
    concurrency: Concurrency,
    device: Device,
    library: &Library,
) -> Result<Engine> {
    let model = fetch::model(&args.model, &args.hub)?;
    let Chosen { model, .. } = choose(device, (args, &model), library)?;
    let plan = SessionsPlan { sessions: 1, ..sessions_plan(&model, device, concurrency) };
    let engine = open_sessions(library, &model.onnx, plan)?.engines.pop();
    engine.ok_or_else(|| anyhow!("no session was opened"))
}

/// Whether a graph that is not ours gives a score for each label; ours are built so.
fn check_scores(card: &ModelCard, engine: &mut Engine, input: InputShape) -> Result<()> {
    if card.architecture == foreign::ARCHITECTURE {
        let found = engine(&Batch::grey(input, 1))?.row(Output::Logits, 0).len();
        let labels = card.labels.len();
        ensure!(found == labels, "the graph gives {found} scores, the card has {labels} labels");
    }
    Ok(())
}
