//! Which model runs, on what, and how much of the machine it has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ConfigError, HubArgs};
use crate::model::{self, PrecisionChoice};
use crate::pipeline::Decoding;
use crate::pipeline::preprocess::JpegScaling;
use crate::pipeline::queue::BatchPlan;
use crate::pipeline::run::{Device, DeviceChoice};

/// Which model, on what; for every command that runs one.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// The model: an embedded name; imagenet, the starter model of 1,000 classes; a folder with weights and a card.toml, or the config.json of timm
    /// or transformers; a file of weights; an .onnx file; or a model of the Hugging Face hub, as
    /// owner/name or owner/name@revision. docs/models.md tells more
    #[arg(long, env = "RESNETD_MODEL", default_value = model::DEFAULT, value_name = "NAME|PATH|ID")]
    pub model: String,

    /// The architecture of weights that do not say it themselves; `resnetd describe` lists them
    #[arg(long, env = "RESNETD_ARCH", value_name = "ARCH")]
    pub arch: Option<String>,

    /// The class names of a model that has none, one a line [default: those of ImageNet-1k for 1,000
    /// classes, else class 0, class 1, …]
    #[arg(long, env = "RESNETD_LABELS", value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// Where to run: auto, cpu, cuda or cuda:N. With auto, the first CUDA device where one runs the model,
    /// else the CPU; a device asked for by name is used, or the start fails
    #[arg(long, env = "RESNETD_DEVICE", default_value = "auto", value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// In which arithmetic: auto, fp32, int8 or fp16. With auto, a model that comes with an int8
    /// form runs in it on a CPU, and everything else as it comes
    #[arg(long, env = "RESNETD_PRECISION", default_value = "auto", value_name = "PRECISION")]
    pub precision: PrecisionChoice,

    /// Whether probabilities are calibrated where the model's card says how. docs/calibration.md
    /// tells more
    #[arg(
        long,
        env = "RESNETD_CALIBRATED",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub calibrated: Calibrated,

    /// Sessions that run side by side [default: one per core on the CPU, one on a GPU]
    #[arg(long, env = "RESNETD_SESSIONS", value_name = "N")]
    pub sessions: Option<usize>,

    /// Threads inside each session [default: 1]
    #[arg(long, env = "RESNETD_THREADS", value_name = "N")]
    pub threads: Option<usize>,

    /// The most images in one run. On a CPU, where batches save little, a run takes more than one only
    /// while at least two wait for each session [default: 4 on the CPU, 32 on a GPU]
    #[arg(long, env = "RESNETD_MAX_BATCH", value_name = "N")]
    pub max_batch: Option<usize>,

    /// Uploads decoded at a time beside the sessions; with 0 each session decodes what it runs
    /// [default: 0 on the CPU, one per core on a GPU]
    #[arg(long, env = "RESNETD_DECODERS", value_name = "N")]
    pub decoders: Option<usize>,

    /// Whether a GPU replays each run from a CUDA graph, which spares the CPU work for small networks. The
    /// whole graph must be able to run on the GPU
    #[arg(
        long,
        env = "RESNETD_CUDA_GRAPHS",
        default_value = "off",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub cuda_graphs: CudaGraphs,

    /// Whether a JPEG of at least four times the size that the network needs is decoded at 1/2, 1/4 or
    /// 1/8 of its size: several times faster, and mostly within one level in 255 of the same input
    #[arg(
        long,
        env = "RESNETD_JPEG_SCALING",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub jpeg_scaling: JpegScaling,

    /// ONNX Runtime's shared library, or the folder it is in [default: ORT_DYLIB_PATH, next to the
    /// executable, .onnxruntime in the repository, the system's]
    #[expect(clippy::doc_markdown, reason = "help text is shown as it is written")]
    #[arg(long, env = "RESNETD_ONNXRUNTIME", value_name = "PATH")]
    pub onnxruntime: Option<PathBuf>,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub hub: HubArgs,
}

/// Whether a card's calibration is heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calibrated {
    /// Where there is one for the precision that runs.
    On,
    /// Not at all: the probabilities are those of the graph.
    Off,
}

/// Whether runs on a GPU are captured once and replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CudaGraphs {
    /// One graph for each size of a batch.
    On,
    /// The CPU starts every kernel of every run.
    Off,
}

impl ModelArgs {
    /// Sessions and threads for a machine with `cores`.
    ///
    /// What runs where is known only once the device is had, so there is a number for each. On a CPU
    /// one session per core, which decodes what it runs in one thread, is the fastest plan for most
    /// networks; a GPU is kept busy by one, and must not wait for a decoder.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where a count is 0, or CUDA graphs are wanted on a CPU.
    pub fn concurrency(&self, cores: usize) -> Result<Concurrency, ConfigError> {
        let threads = self.threads.unwrap_or(1);
        let sessions = self.sessions.unwrap_or(1);
        let mut wrong = Vec::new();
        let max_batch = self.max_batch.unwrap_or(1);
        for (option, count) in
            [("--sessions", sessions), ("--threads", threads), ("--max-batch", max_batch)]
        {
            if count == 0 {
                wrong.push(format!("{option} is 0; it must be at least 1"));
            }
        }
        let cuda_graphs = self.cuda_graphs == CudaGraphs::On;
        if cuda_graphs && self.device == DeviceChoice::Only(Device::Cpu) {
            wrong.push(
                "--cuda-graphs on is for GPUs, and --device is cpu; leave one out".to_owned(),
            );
        }
        let decoding = |decoders| match decoders {
            0 => Decoding::ByWorkers,
            decoders => Decoding::Beside(decoders),
        };
        if wrong.is_empty() {
            let share = |sessions, max_batch, decoders| Share {
                sessions,
                max_batch: self.max_batch.unwrap_or(max_batch),
                decoding: decoding(self.decoders.unwrap_or(decoders)),
            };
            let per_core = self.sessions.unwrap_or((cores / threads).max(1));
            Ok(Concurrency {
                on_cpu: share(per_core, 4, 0),
                on_gpu: share(sessions, 32, cores),
                threads,
                cuda_graphs,
            })
        } else {
            Err(ConfigError(wrong))
        }
    }
}

/// How many sessions, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    on_cpu: Share,
    on_gpu: Share,
    /// Threads inside each session.
    pub threads: usize,
    /// Whether a GPU replays runs from CUDA graphs.
    pub cuda_graphs: bool,
}

/// The same on one kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// Sessions that run side by side.
    sessions: usize,
    /// The most images in one run.
    max_batch: usize,
    /// Who decodes.
    decoding: Decoding,
}

impl Concurrency {
    /// One of everything.
    pub(super) const ONE: Self =
        Self { on_cpu: Share::ONE, on_gpu: Share::ONE, threads: 1, cuda_graphs: false };

    fn on(&self, device: Device) -> Share {
        match device {
            Device::Cpu => self.on_cpu,
            Device::Cuda(_) => self.on_gpu,
        }
    }

    /// Who decodes where the network runs on `device`.
    #[must_use]
    pub fn decoding(&self, device: Device) -> Decoding {
        self.on(device).decoding
    }

    /// Sessions that run side by side on `device`.
    #[must_use]
    pub fn sessions(&self, device: Device) -> usize {
        self.on(device).sessions
    }

    /// The most images in one run on `device`.
    #[must_use]
    pub fn max_batch(&self, device: Device) -> usize {
        self.on(device).max_batch
    }

    /// How batches are filled on `device`.
    ///
    /// A GPU runs a batch in little more time than one image, so it takes all that is there, as does who
    /// chose to wait for batches. A core of a CPU needs nearly as long for each image of a batch as for
    /// one alone: it takes more than one only where two already wait for each session.
    #[must_use]
    pub fn batch(&self, device: Device, max_wait: Duration) -> BatchPlan {
        let Share { sessions, max_batch, .. } = self.on(device);
        let backlog = match device {
            Device::Cpu if max_wait.is_zero() => 2 * sessions,
            Device::Cpu | Device::Cuda(_) => 1,
        };
        BatchPlan { max_batch, max_wait, backlog }
    }
}

impl Share {
    const ONE: Self = Self { sessions: 1, max_batch: 1, decoding: Decoding::ByWorkers };
}
