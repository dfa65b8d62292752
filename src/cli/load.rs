//! Loads the model of the options and warms up its sessions.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use super::classify_load_error::CheckFailed;
use super::{fetch, labels};
use crate::config::{Calibrated, Concurrency, ModelArgs};
use crate::device::{Device, DeviceChoice};
use crate::model::{Chosen, Model, ModelCard, Precision, foreign, int8};
use crate::pipeline::Output;
use crate::pipeline::golden;
use crate::pipeline::run::{
    Batch, Engine, InputShape, Library, LoadPriority, Outputs, RunError, SessionsPlan, StartError,
    WarmSessions, check_device, open_sessions,
};
use crate::telemetry::LoadFailure;

/// A loaded model, from which a pipeline is started.
pub(super) struct Loaded {
    pub(super) model: Model,
    /// Why this precision was chosen.
    pub(super) why: &'static str,
    /// Why this device was chosen.
    pub(super) device_why: &'static str,
    pub(super) library: Library,
    pub(super) warm: WarmSessions,
}

/// Loads the library and opens the model of `args`, and warms up the sessions.
///
/// With [`DeviceChoice::Auto`], the CPU is used if no CUDA device is available or the model does not run on
/// it, with a warning if the NVIDIA driver is loaded. If a requested device is not available, that is an error.
pub(super) fn load(args: &ModelArgs, concurrency: Concurrency) -> Result<Loaded> {
    let library = Library::load(args.onnxruntime.as_deref())?;
    load_with(&library, args, concurrency, LoadPriority::Alone, |_| ()).map(|(loaded, ())| loaded)
}

/// The same with a loaded library and at this priority. Also calls `meanwhile` with the model, on a thread in
/// parallel to loading, and returns its result.
pub(super) fn load_with<T: Send>(
    library: &Library,
    args: &ModelArgs,
    concurrency: Concurrency,
    priority: LoadPriority<'_>,
    meanwhile: impl Fn(&Model) -> T + Sync,
) -> Result<(Loaded, T)> {
    if let DeviceChoice::Only(device) = args.device {
        check_device(library, device)?; // before a large model is downloaded
    }
    let model = fetch::model(&args.model, &args.hub)?;
    let on = |device| {
        let Chosen { model, why } = priority.build(|| choose(device, args, &model, library))?;
        let (made, (warm, corrected)) = thread::scope(|scope| {
            let made = scope.spawn(|| priority.build(|| meanwhile(&model)));
            let plan = sessions_plan(&model, device, concurrency);
            let warm = warm_sessions(&model, plan, library, priority)?;
            let made = made.join().unwrap_or_else(|panic| resume_unwind(panic));
            anyhow::Ok((made, warm))
        })?;
        anyhow::Ok(match corrected {
            None => (Chosen { model, why }, made, warm),
            Some(model) => {
                let made = priority.build(|| meanwhile(&model));
                (Chosen { model, why }, made, warm)
            }
        })
    };
    let ((Chosen { model, why }, made, warm), device_why) = match args.device {
        DeviceChoice::Only(device) => (on(device)?, "as requested"),
        DeviceChoice::Auto => match on(Device::Cuda(0)) {
            Ok(loaded) => (loaded, "the first CUDA device"),
            Err(error) => (on(Device::Cpu)?, without_cuda(&error)),
        },
    };
    Ok((Loaded { model, why, device_why, library: library.clone(), warm }, made))
}

/// Why the CPU is used instead of a CUDA device; also logged as a warning if the NVIDIA driver is loaded. In a
/// container, that of the host counts, also if its GPU is not passed to the container.
fn without_cuda(error: &anyhow::Error) -> &'static str {
    if !Path::new("/proc/driver/nvidia/version").exists() {
        return "this machine has no NVIDIA driver";
    }
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    tracing::warn!(error, "no NVIDIA GPU can be used: running on the CPU");
    "no NVIDIA GPU can be used"
}

/// Opens the model for `device`, and applies the options.
fn choose(device: Device, args: &ModelArgs, model: &str, library: &Library) -> Result<Chosen> {
    check_device(library, device)?; // before a large model is read
    let mut chosen = Model::open_as(model, args.arch.as_deref(), args.precision, device)?;
    if let (Device::Cpu, Precision::Int8, Some(why)) =
        (device, chosen.model.card.precision, int8::why_not())
    {
        tracing::warn!("{why}; resnetd tune measures which precision is faster on this machine");
    }
    apply_calibration_option(&mut chosen.model, args.calibrated);
    if let Some(path) = &args.labels {
        chosen.model.card = labels::replaced(&chosen.model.card, path)?.into();
    }
    Ok(chosen)
}

/// Removes the model's calibrations if they are disabled.
fn apply_calibration_option(model: &mut Model, calibrated: Calibrated) {
    if calibrated == Calibrated::Off {
        let calibration = BTreeMap::new();
        model.card = ModelCard { calibration, ..model.card.as_ref().clone() }.into();
    }
}

/// Opens and warms up the sessions of a model, and checks the golden photos.
///
/// Also returns the corrected model, if the kind of a foreign graph's scores was detected from their values.
pub(super) fn warm(
    model: &Model,
    device: Device,
    concurrency: Concurrency,
    library: &Library,
) -> Result<(WarmSessions, Option<Model>)> {
    warm_sessions(model, sessions_plan(model, device, concurrency), library, LoadPriority::Alone)
}

fn warm_sessions(
    model: &Model,
    plan: SessionsPlan,
    library: &Library,
    priority: LoadPriority<'_>,
) -> Result<(WarmSessions, Option<Model>)> {
    // Runs on a GPU do not use the CPU's cores.
    let priority = if plan.device == Device::Cpu { priority } else { LoadPriority::Alone };
    let mut warm = open_sessions(library, &model.onnx, plan, priority)
        .map_err(|error| with_versions(error, model, library))?;
    let mut corrected = None;
    // All sessions run the same graph, so checking one suffices.
    if let Some(engine) = warm.engines.first_mut() {
        corrected = check_scores(model, |batch| priority.run(|| engine(batch)), plan.input)?;
    }
    if let Some(model) = &corrected {
        warm = open_sessions(library, &model.onnx, plan, priority)?;
    }
    if let Some(engine) = warm.engines.first_mut() {
        golden::check(&model.card, |batch| priority.run(|| engine(batch)))?;
    }
    Ok((warm, corrected))
}

fn sessions_plan(model: &Model, device: Device, concurrency: Concurrency) -> SessionsPlan {
    SessionsPlan {
        device,
        sessions: concurrency.sessions(device),
        threads: concurrency.threads,
        cuda_graphs: concurrency.cuda_graphs,
        int8_kernels: concurrency.int8_kernels,
        max_batch: concurrency.max_batch(device),
        input: InputShape::of(&model.card.preprocess),
    }
}

/// Opens and warms up one more engine for the model of `args`, at low priority: other workers answer requests. Its graph must
/// have this `digest`, because its answers are described by the card and the digest of the loaded one.
pub(super) fn one_engine(
    args: &ModelArgs,
    concurrency: Concurrency,
    device: Device,
    library: &Library,
    digest: &str,
) -> Result<Engine> {
    let priority = LoadPriority::Background;
    let model = fetch::model(&args.model, &args.hub)?;
    let Chosen { model, .. } = priority.build(|| choose(device, args, &model, library))?;
    let plan = SessionsPlan { sessions: 1, ..sessions_plan(&model, device, concurrency) };
    let (mut warm, corrected) = warm_sessions(&model, plan, library, priority)?;
    if corrected.as_ref().unwrap_or(&model).graph_digest() != digest {
        bail!("the model's files have changed since it was loaded; load it again");
    }
    warm.engines.pop().ok_or_else(|| anyhow!("no session was opened"))
}

/// Adds the versions and a remedy to `error` if the model is newer than ONNX Runtime.
fn with_versions(error: StartError, model: &Model, library: &Library) -> anyhow::Error {
    let reason = error.to_string();
    let is_newer = ["IR version", "opset"].iter().any(|word| reason.contains(word));
    if !is_newer || model.card.architecture != foreign::ARCHITECTURE {
        return error.into();
    }
    // The message follows a source line and a function signature.
    let reason = reason.rsplit_once(") ").map_or(reason.as_str(), |(_, message)| message);
    let graph = model.graph();
    let message = format!(
        "{} has IR version {} and opset {} of ONNX, which ONNX Runtime {} does not support: {reason}\n\
         hint: export it again with an older opset, in Python: torch.onnx.export(model, images, \"model.onnx\", \
         opset_version=18); or pass the path of a newer ONNX Runtime with --onnxruntime",
        model.card.name,
        graph.ir_version(),
        graph.opset(),
        library.version,
    );
    CheckFailed::new(LoadFailure::Unsupported, message).into()
}

/// Checks that a foreign graph has a score for each label and that the scores match their kind; resnetd's own
/// graphs always do. Returns the corrected model if the kind was detected from the values.
fn check_scores(
    model: &Model,
    mut run: impl FnMut(&Batch) -> Result<Outputs, RunError>,
    input: InputShape,
) -> Result<Option<Model>> {
    let ModelCard { architecture, labels, name, .. } = model.card.as_ref();
    if architecture != foreign::ARCHITECTURE {
        return Ok(None);
    }
    let outputs = test_images(input).map(|batch| run(&batch)).collect::<Result<Vec<_>, _>>()?;
    let rows = |output| outputs.iter().map(|found| found.row(output, 0)).collect::<Vec<_>>();
    let (logits, probabilities) = (rows(Output::Logits), rows(Output::Probabilities));
    let (found, labels) = (logits[0].len(), labels.len());
    if found != labels {
        let message = format!(
            "the graph has {found} scores, but the card has {labels} labels; they must match"
        );
        return Err(CheckFailed::new(LoadFailure::Card, message).into());
    }
    foreign::verify_scores(model, &logits, &probabilities)
        .with_context(|| format!("{name} cannot be served"))
}

/// Test images, each as a batch: black, white, grey and noise.
fn test_images(input: InputShape) -> impl Iterator<Item = Batch> {
    let noise = |index: usize| index.wrapping_mul(0x9E37_79B9).to_le_bytes()[2];
    let images: [fn(usize) -> u8; 4] = [|_| 0, |_| 255, |_| 128, noise];
    images.into_iter().map(move |image| {
        let mut batch = Batch::with_capacity(input, 1);
        let Ok(()) = batch.fill(|slot| {
            for (index, value) in slot.iter_mut().enumerate() {
                *value = image(index);
            }
            Ok::<_, Infallible>(())
        });
        batch
    })
}
